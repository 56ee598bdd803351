//! The rules by which Flux, Helm, Argo CD and people read a status. The end-to-end tests check them on each version of a resource.

use tabular_operator::api::{Condition, ConditionStatus, ConditionType, EventPolicy, Reason, Run, RunState, Status};

use super::names::{CONDITIONS, holds};
use crate::world::Violation;

/// The longest message of a condition, in bytes.
const MAX_MESSAGE: usize = 1_024;
/// The messages of Succeeded and Finished are shorter than this, because Ready has the details.
const SHORT_MESSAGE: usize = 64;

/// Checks the conditions of a status of a resource with this generation.
pub fn conditions(status: &Status, generation: i64) -> Result<(), Violation> {
    let check = |condition: bool, rule: &str| holds(condition, CONDITIONS, || format!("{rule}: {:#?}", status.conditions));
    let find = |wanted: ConditionType| status.conditions.iter().find(|condition| condition.r#type == wanted);
    let value = |wanted| find(wanted).map(|condition| condition.status);
    check(status.observed_generation <= generation, "observedGeneration is ahead of the generation")?;
    if status.observed_generation < 0 {
        return check(status.conditions.is_empty(), "conditions exist before the first reconciliation");
    }
    let mut recognized = status.conditions.iter().filter(|condition| !matches!(condition.r#type, ConditionType::Unrecognized(_)));
    check(recognized.all(|condition| is_complete(condition, status)), "a condition is incomplete, repeated or outdated")?;
    let (reconciling, stalled) = (value(ConditionType::Reconciling), value(ConditionType::Stalled));
    let is_present_only_if_true = |status: Option<ConditionStatus>| status.is_none_or(|status| status == ConditionStatus::True);
    check(is_present_only_if_true(reconciling) && is_present_only_if_true(stalled), "Reconciling or Stalled exists but is not True")?;
    check(reconciling.is_none() || stalled.is_none(), "Reconciling and Stalled are both True")?;
    let ready = find(ConditionType::Ready);
    check(ready.is_some(), "Ready is missing")?;
    let is_ready = |wanted| ready.is_some_and(|ready| ready.status == wanted);
    check(!is_ready(ConditionStatus::True) || reconciling.or(stalled).is_none(), "Ready is True while Reconciling or Stalled")?;
    check(!is_ready(ConditionStatus::Unknown) || reconciling.is_some(), "Ready is Unknown without Reconciling")?;
    for short in [ConditionType::Succeeded, ConditionType::Finished].into_iter().filter_map(find) {
        let is_short = short.message.len() < SHORT_MESSAGE && ready.is_some_and(|ready| ready.message != short.message);
        check(is_short, "Succeeded or Finished repeats Ready")?;
        let is_awaited = Reason::parse(&short.reason).is_some_and(|reason| reason.event_policy() == EventPolicy::Awaited);
        check(short.status != ConditionStatus::True || !is_awaited, "a missing reference counts as a result")?;
    }
    let succeeded = find(ConditionType::Succeeded).filter(|succeeded| succeeded.status == ConditionStatus::True);
    check(succeeded.is_none_or(|it| it.reason == Reason::Succeeded.as_str()), "Succeeded is True for another reason")?;
    let Some(run) = &status.run else { return Ok(()) };
    let (succeeded, finished) = (value(ConditionType::Succeeded), value(ConditionType::Finished));
    if !run.state.ended() {
        let is_open = (succeeded, finished) == (Some(ConditionStatus::Unknown), Some(ConditionStatus::False));
        return check(is_open, "Succeeded or Finished has a result during the run");
    }
    let is_decided = succeeded.is_some_and(|succeeded| succeeded != ConditionStatus::Unknown);
    check((finished == Some(ConditionStatus::True)) == is_decided, "Succeeded and Finished do not match")?;
    // With an invalid spec the result is that no run can start.
    let finished_reason = find(ConditionType::Finished).map(|condition| condition.reason.as_str()).filter(|reason| *reason != run.reason);
    let is_blocked = stalled.is_some() && finished_reason.is_some() && finished_reason == ready.map(|ready| ready.reason.as_str());
    check(
        status.queued.is_some() || reconciling.is_some() || is_blocked || has_result(run, succeeded, finished),
        "the result of the ended run is missing",
    )
}

fn is_complete(condition: &Condition, status: &Status) -> bool {
    let is_single = status.conditions.iter().filter(|other| other.r#type == condition.r#type).count() == 1;
    // What a newer version of the operator has recorded stays until this one records something else.
    let is_documented = Reason::parse(&condition.reason).is_some() || status.run.as_ref().is_some_and(|run| run.reason == condition.reason);
    let is_current = condition.observed_generation == status.observed_generation && condition.observed_generation > 0;
    is_single && is_documented && is_current && !condition.message.is_empty() && condition.message.len() <= MAX_MESSAGE
}

fn has_result(run: &Run, succeeded: Option<ConditionStatus>, finished: Option<ConditionStatus>) -> bool {
    let wanted = if run.state == RunState::Succeeded { ConditionStatus::True } else { ConditionStatus::False };
    succeeded == Some(wanted) && finished == Some(ConditionStatus::True) && run.ended_time.is_some()
}
