//! Invariants of what a status shows besides its conditions: its size, and the grace period of a missing reference.

use jiff::Timestamp;
use tabular_operator::api::{Condition, ConditionType, EventPolicy, Reason, Status, Time};
use tabular_operator::engine::{DecisionMemory, Effect, EffectResult, Settings};

use super::names::{QUIESCENCE, SHOWN, holds};
use crate::world::object::Object;
use crate::world::{Existence, Violation, World};

/// The largest status, in bytes.
const MAX_SIZE: usize = 64 * 1024;

fn find(status: &Status, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.r#type == kind)
}

/// Checks a status that the operator has written.
pub fn shown(object: &Object) -> Result<(), Violation> {
    let (status, desired) = (&*object.status, &object.revision.desired);
    let text = serde_json::to_vec(status).unwrap_or_default();
    holds(text.len() <= MAX_SIZE, SHOWN, || format!("a status of {} bytes", text.len()))?;
    holds(serde_json::from_slice::<Status>(&text).is_ok_and(|read| read == *status), SHOWN, || {
        "what is written is not what is read".to_owned()
    })?;
    holds(status.history.len() <= desired.policy.history_limit, SHOWN, || "more history than requested".to_owned())
}

/// Checks a status at the time of its decision: a missing reference is Reconciling for the grace period, counted from the record, and Stalled after that.
pub fn reference(status: &Status, now: Timestamp, settings: &Settings) -> Result<(), Violation> {
    let reason = find(status, ConditionType::Ready).and_then(|ready| Reason::parse(&ready.reason));
    let Some(reason) = reason.filter(|reason| reason.event_policy() == EventPolicy::Awaited) else { return Ok(()) };
    let since = status.missing_since_time.filter(|since| *since <= Time::from(now));
    let Some(since) = since else { return holds(false, SHOWN, || format!("{reason} since {:?}", status.missing_since_time)) };
    let may_arrive = now < since.timestamp() + settings.reference_grace;
    let is_reconciling = find(status, ConditionType::Reconciling).is_some();
    let is_stalled = find(status, ConditionType::Stalled).is_some();
    holds((is_reconciling, is_stalled) == (may_arrive, !may_arrive), SHOWN, || format!("{reason} since {since} at {now}"))
}

/// Checks that a reconciliation without news writes nothing, also after a restart. If calls fail, a decision to make one is discarded.
pub fn settled(world: &World, operator: usize, resource: usize, calls_fail: bool) -> Result<(), Violation> {
    let (state, it) = (&world.operators[operator].states[resource], &world.resources[resource]);
    let is_due = state.dirty || state.due.is_some_and(|due| due <= world.now + 1);
    if is_due || state.task.is_some() || it.is_deleted || state.existence != Existence::Present {
        return Ok(());
    }
    let status = &it.now().status;
    for memory in [&state.in_memory.memory, &DecisionMemory::default()] {
        let decision = world.decide((operator, resource), it.now(), memory, EffectResult::None);
        let is_call = !matches!(
            decision.effect,
            Effect::None | Effect::AcquireTurn | Effect::AddFinalizer | Effect::RemoveAnnotation(_) | Effect::RemoveFinalizer
        );
        holds(calls_fail && is_call || decision.status == **status, QUIESCENCE, || {
            format!("resource {resource} is written without news: {status:#?} to {:#?}", decision.status)
        })?;
    }
    Ok(())
}
