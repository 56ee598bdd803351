//! Invariants of what a status shows besides its conditions: its size, and the grace period of a missing reference.

use jiff::Timestamp;
use tabular_operator::api::{Condition, ConditionType, EventPolicy, Reason, Status, Time};
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
    reference(status, now, settings)
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
