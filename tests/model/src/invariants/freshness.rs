//! Invariants of the condition Fresh: it shows the age of the data, and it changes nothing else.

use std::time::Duration;

use tabular_operator::api::{Condition, ConditionStatus, ConditionType, Reason, Status, Time};
use tabular_operator::engine::reconcile::View;
use tabular_operator::engine::{Decision, DecisionInput, DecisionMemory, DesiredState, Effect, EffectResult, decide};

use super::names::{FRESH, holds};
use crate::world::object::Object;
use crate::world::{Violation, World};

/// How far ahead of the operator's clock a success may be.
const MAX_AHEAD: Duration = Duration::from_hours(1);

/// Checks the decisions on this view with and without `staleAfterSeconds`.
pub fn freshness(world: &World, operator: usize, resource: usize, view: &Object) -> Result<(), Violation> {
    let desired = view.desired(world.external(operator, resource, view));
    let Some(stale_after) = desired.policy.stale_after else { return Ok(()) };
    let mut without = desired.clone().into_owned();
    without.policy.stale_after = None;
    let now = world.wall(operator);
    let decide = |desired: &DesiredState, memory: &DecisionMemory| {
        let settings = &world.settings;
        decide(&DecisionInput { desired, status: &view.status, memory, effect_result: EffectResult::None, now, settings })
    };
    for memory in [&world.operators[operator].states[resource].in_memory().memory, &DecisionMemory::default()] {
        let (decision, plain) = (decide(&desired, memory), decide(&without, memory));
        holds(is_same(&decision, &plain), FRESH, || {
            format!("resource {resource}: staleAfterSeconds changes the decision {plain:#?} to {decision:#?}")
        })?;
        let shown = fresh(&decision.status);
        let is_due = decision.effect == Effect::None && decision.status.observed_generation >= 0;
        let is_kept = desired.deletion.is_some() || desired.drain.is_some() || !is_due;
        // A user's edit of the status does not make the data fresh forever.
        let success = decision.status.last_successful_time.map(Time::timestamp).filter(|time| *time <= now + MAX_AHEAD);
        let data = success.unwrap_or(desired.created);
        let expected = if now < data + stale_after { ConditionStatus::True } else { ConditionStatus::False };
        // A clock that is set back does not make stale data fresh.
        let was_stale =
            shown.is_some_and(|it| it.status == ConditionStatus::False && it.last_transition_time.timestamp() >= data + stale_after);
        holds(is_kept || was_stale || shown.is_some_and(|it| it.status == expected), FRESH, || {
            format!("resource {resource}: the data is of {data}, and at {now} Fresh is {shown:#?}")
        })?;
        let is_transition = shown.is_some_and(|it| it.status == ConditionStatus::False)
            && fresh(&view.status).is_none_or(|it| it.status != ConditionStatus::False);
        let events = decision.events.iter().filter(|event| event.reason == Reason::Stale).count();
        holds(events == usize::from(is_transition), FRESH, || format!("resource {resource}: {events} events with {shown:#?}"))?;
    }
    Ok(())
}

fn fresh(status: &Status) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.r#type == ConditionType::Fresh)
}

/// Whether two decisions differ only in the condition, its event, and in when to decide again.
fn is_same(decision: &Decision, plain: &Decision) -> bool {
    let status = |status: &Status| {
        let mut status = status.clone();
        status.conditions.retain(|condition| condition.r#type != ConditionType::Fresh);
        status
    };
    let events = |decision: &Decision| decision.events.iter().filter(|event| event.reason != Reason::Stale).cloned().collect::<Vec<_>>();
    let is_sooner = decision.requeue_after.is_some() || plain.requeue_after.is_none();
    let is_not_later = decision.requeue_after.zip(plain.requeue_after).is_none_or(|(with, without)| with <= without);
    status(&decision.status) == status(&plain.status)
        && (&decision.memory, &decision.effect, &decision.model) == (&plain.memory, &plain.effect, &plain.model)
        && events(decision) == events(plain)
        && is_sooner
        && is_not_later
}
