//! Invariants of what a status shows: the rules of kstatus and Flux, its size, and the grace period of a missing reference.

use jiff::Timestamp;
use tabular_operator::api::{Condition, ConditionStatus, ConditionType, EventPolicy, Reason, Status, Time};
use tabular_operator::engine::Settings;

use super::names::{SHOWN, holds};
use crate::world::Violation;
use crate::world::object::Object;

/// The largest status, in bytes.
const MAX_SIZE: usize = 64 * 1024;

fn find(status: &Status, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.r#type == kind)
}

/// Checks a status that the operator has written.
pub fn shown(object: &Object, now: Timestamp, settings: &Settings) -> Result<(), Violation> {
    let (status, desired) = (&*object.status, &object.revision.desired);
    let text = serde_json::to_vec(status).unwrap_or_default();
    holds(text.len() <= MAX_SIZE, SHOWN, || format!("a status of {} bytes", text.len()))?;
    holds(serde_json::from_slice::<Status>(&text).is_ok_and(|read| read == *status), SHOWN, || {
        "what is written is not what is read".to_owned()
    })?;
    holds(status.history.len() <= desired.policy.history_limit, SHOWN, || "more history than requested".to_owned())?;
    holds(status.observed_generation <= desired.generation, SHOWN, || "observedGeneration is ahead".to_owned())?;
    conditions(status)?;
    reference(status, now, settings)
}

fn conditions(status: &Status) -> Result<(), Violation> {
    // What a newer version has recorded stays until this one records something else.
    let newer = |reason: &str| status.run.as_ref().is_some_and(|run| run.reason == reason);
    for condition in status.conditions.iter().filter(|condition| !matches!(condition.r#type, ConditionType::Unrecognized(_))) {
        let is_single = status.conditions.iter().filter(|other| other.r#type == condition.r#type).count() == 1;
        let is_documented = Reason::parse(&condition.reason).is_some() || newer(&condition.reason);
        let is_readable = !condition.message.is_empty() && condition.message.len() <= 1024;
        let is_current = condition.observed_generation == status.observed_generation;
        holds(is_single && is_documented && is_readable && is_current, SHOWN, || format!("{condition:?}"))?;
    }
    let (reconciling, stalled) = (find(status, ConditionType::Reconciling), find(status, ConditionType::Stalled));
    holds(reconciling.is_none() || stalled.is_none(), SHOWN, || "Reconciling and Stalled together".to_owned())?;
    for present in [reconciling, stalled].into_iter().flatten() {
        holds(present.status == ConditionStatus::True, SHOWN, || format!("present and not True: {present:?}"))?;
    }
    let progresses = reconciling.is_some() || stalled.is_some();
    let Some(ready) = find(status, ConditionType::Ready) else { return holds(false, SHOWN, || "no Ready".to_owned()) };
    holds(ready.status != ConditionStatus::True || !progresses, SHOWN, || format!("Ready beside {reconciling:?} {stalled:?}"))?;
    holds(ready.status != ConditionStatus::Unknown || reconciling.is_some(), SHOWN, || "Ready Unknown without Reconciling".to_owned())?;
    let (succeeded, finished) = (find(status, ConditionType::Succeeded), find(status, ConditionType::Finished));
    // The outcome of the run besides Ready, never a fault of a reference.
    for fact in [succeeded, finished].into_iter().flatten() {
        let is_awaited = Reason::parse(&fact.reason).is_some_and(|reason| reason.event_policy() == EventPolicy::Awaited);
        let is_short = fact.message.len() < 64 && fact.message != ready.message;
        holds(is_short && (fact.status != ConditionStatus::True || !is_awaited), SHOWN, || format!("{fact:?} beside {ready:?}"))?;
    }
    let claims_success = succeeded.filter(|succeeded| succeeded.status == ConditionStatus::True);
    holds(claims_success.is_none_or(|it| it.reason == Reason::Succeeded.as_str()), SHOWN, || format!("{claims_success:?}"))?;
    let Some(run) = &status.run else { return Ok(()) };
    let is = |condition: Option<&Condition>, wanted: &ConditionStatus| condition.is_some_and(|condition| condition.status == *wanted);
    let is_finished = is(finished, &ConditionStatus::True);
    let is_decided = succeeded.is_some_and(|succeeded| succeeded.status != ConditionStatus::Unknown);
    let is_open = run.state.ended() || is(finished, &ConditionStatus::False);
    holds(is_finished == is_decided && is_open, SHOWN, || format!("{succeeded:?} and {finished:?} of {:?}", run.state))
}

/// A missing reference is Reconciling for the grace period, counted from the record, and Stalled after that.
fn reference(status: &Status, now: Timestamp, settings: &Settings) -> Result<(), Violation> {
    let reason = find(status, ConditionType::Ready).and_then(|ready| Reason::parse(&ready.reason));
    let Some(reason) = reason.filter(|reason| reason.event_policy() == EventPolicy::Awaited) else { return Ok(()) };
    let since = status.missing_since_time.filter(|since| *since <= Time::from(now));
    let Some(since) = since else { return holds(false, SHOWN, || format!("{reason} since {:?}", status.missing_since_time)) };
    let may_arrive = now < since.timestamp() + settings.reference_grace;
    let is_reconciling = find(status, ConditionType::Reconciling).is_some();
    let is_stalled = find(status, ConditionType::Stalled).is_some();
    holds((is_reconciling, is_stalled) == (may_arrive, !may_arrive), SHOWN, || format!("{reason} since {since} at {now}"))
}
