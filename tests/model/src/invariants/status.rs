//! Invariants of each decision and of each status that is written.

use std::sync::Arc;

use jiff::Timestamp;
use tabular_operator::api::{CancelCause, ConcurrencyPolicy, Reason, Run, RunState, Status, Time, TriggerType};
use tabular_operator::engine::reconcile::{NextEffect, PendingDecision, PlannedCall, View};
use tabular_operator::engine::{Effect, EffectResult};
use tabular_operator::operation::{CancelResult, Operation, Origin, Phase, PollResult, SubmitResult};

use super::accountability::{abandoned_at_deadline, applied_resubmit, cancellable, has, is_beyond_limit, live_or_coming};
use super::conditions::conditions;
use super::names::{DECISION, END_MATCHES_SERVICE, EVIDENCE, FINISHED, FORBIDDEN, INTENT, ONE_RUN, SCHEDULE, holds, violation};
use super::runs::runs;
use super::{accepted, checks};
use crate::world::object::Object;
use crate::world::{Appearance, Owner, Violation, World, timestamp};

/// Whether a decision submits.
#[must_use]
pub fn submits(decision: &PendingDecision) -> bool {
    matches!(decision.effect, NextEffect::Call(PlannedCall::Submit(_)))
}

/// Checks each decision, whether it is written or not.
pub fn decision(world: &World, operator: usize, resource: usize, view: &Object, decision: &PendingDecision) -> Result<(), Violation> {
    let after = decision.status.as_ref().unwrap_or(&view.status);
    if !world.resources[resource].is_edited(&view.status) {
        runs(&view.status, after)?;
    }
    checks::starts(world, operator, resource, view, decision)?;
    if submits(decision) {
        let intended = after.run.as_ref().is_some_and(|run| run.state == RunState::Submitting) && decision.status.is_some();
        holds(intended || after == &view.status, INTENT, || format!("resource {resource}: a submission without a record of its intent"))?;
        let desired = &view.revision.desired;
        let is_tracked = desired.has_finalizer && desired.deletion.is_none();
        holds(is_tracked, INTENT, || format!("resource {resource}: a submission whose operation would not be tracked"))?;
        let desired = view.desired(world.external(operator, resource, view));
        let is_requested = |run: &Run| {
            run.request_digest == desired.operation.digest
                && run.resolved_from == desired.operation.model.names()
                && run.model == decision.model
        };
        let may_start = !desired.policy.suspend && desired.blocker.is_none();
        holds(may_start && after.run.as_ref().is_some_and(is_requested), INTENT, || {
            format!("resource {resource}: {:?} is submitted, and the intent is {:?}", desired.operation, after.run)
        })?;
    }
    let needs_ids = match &decision.effect {
        NextEffect::Call(call) => *call != PlannedCall::ResolveModel,
        effect => *effect == NextEffect::AcquireTurn,
    };
    holds(!needs_ids || decision.model.names().is_none(), INTENT, || {
        format!("resource {resource}: {:?} without the ids of the model", decision.effect)
    })?;
    let desired = &view.revision.desired;
    let forbids = desired.policy.concurrency == ConcurrencyPolicy::Forbid && desired.deletion.is_none();
    let in_progress = after.run.as_ref().filter(|run| matches!(run.state, RunState::Running | RunState::Cancelling));
    // A run that replaces another starts, whatever the policy is now.
    if let Some(run) = in_progress.filter(|run| forbids && run.cancel_cause != Some(CancelCause::Replacement)) {
        // A trigger that was queued under another policy is dropped when triggers are handled next.
        let queued = after.queued.as_ref().filter(|queued| view.status.queued.as_ref() != Some(*queued));
        holds(queued.is_none(), FORBIDDEN, || format!("resource {resource}: {queued:?} is queued after run {}", run.number))?;
    }
    Ok(())
}

/// Checks each status that is written.
pub fn write(world: &World, operator: usize, resource: usize, decision: &PendingDecision, after: &Status) -> Result<(), Violation> {
    let before = &world.resources[resource].now().status;
    if !world.resources[resource].is_edited(before) {
        runs(before, after)?;
    }
    conditions(after, world.resources[resource].now().revision.desired.generation)?;
    accepted::write(world, operator, resource, &decision.events, after)?;
    checks::recorded(resource, (before, after), decision)?;
    if let Some(value) = applied_resubmit(world, resource, after) {
        let it = &world.resources[resource];
        let is_requested = it.now().revision.desired.requests.resubmit.as_deref() == Some(&*value);
        holds(is_requested && !it.applied_resubmits.contains(&value), DECISION, || {
            format!(
                "resource {resource}: {value} is applied by {:?}, after {:?}",
                it.now().revision.desired.requests.resubmit,
                it.applied_resubmits
            )
        })?;
    }
    let Some(run) = &after.run else { return Ok(()) };
    let old = before.run.as_ref().filter(|old| old.number == run.number);
    let known = old.and_then(|old| old.operation_id.as_ref());
    if let Some(id) = run.operation_id.as_ref().filter(|id| Some(*id) != known) {
        tracks(world, operator, resource, run, id, decision.accepted.is_some())?;
    }
    if before.run.as_ref().is_none_or(|old| old.number < run.number) {
        starts(world, operator, resource, run)?;
    }
    if run.state.ended() && old.is_none_or(|old| !old.state.ended()) {
        ended(world, operator, resource, (run, applied_resubmit(world, resource, after).is_some()))?;
        late_responses(world, operator, resource, after)?;
    }
    Ok(())
}

/// Checks the first record of a run: no trigger starts two runs.
fn starts(world: &World, operator: usize, resource: usize, run: &Run) -> Result<(), Violation> {
    let (it, trigger) = (&world.resources[resource], &run.trigger);
    // A changed refresh type has no value of its own, and may be requested again.
    let has_value = trigger.r#type != TriggerType::Change || !trigger.value.is_empty();
    holds(!(has_value && it.started_triggers.contains(trigger)), ONE_RUN, || {
        format!("resource {resource}: {trigger:?} has started a run before")
    })?;
    if trigger.r#type != TriggerType::Schedule {
        return Ok(());
    }
    let time = trigger.value.parse().unwrap_or(Timestamp::MAX);
    let times = it.started_triggers.iter().filter(|earlier| earlier.r#type == TriggerType::Schedule);
    let in_order = times.filter_map(|earlier| earlier.value.parse::<Timestamp>().ok()).all(|earlier| earlier < time);
    // An accepted time was due then, and runs even if the clock was set back since.
    let is_due = time <= world.wall(operator) || it.now().status.queued.as_ref() == Some(trigger);
    holds(in_order && is_due, ONE_RUN, || format!("resource {resource}: {trigger:?} is not due, or is out of order"))
}

/// Checks schedules after all faults have stopped.
pub fn schedules_handled(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.is_deleted && resource.deleted.is_none()) {
        let Some(next) = resource.now().status.next_schedule_time else { continue };
        let clock = world.operators.iter().map(|operator| operator.clock).min().unwrap_or_default();
        holds(next.timestamp() > timestamp(world.now + clock - 1), SCHEDULE, || format!("resource {index}: {next} has passed"))?;
    }
    Ok(())
}

/// Checks that late responses to earlier requests do not change an ended run, and that nothing is cancelled or submitted for it.
fn late_responses(world: &World, operator: usize, resource: usize, after: &Status) -> Result<(), Violation> {
    let now = world.resources[resource].now();
    let view = Object { status: Arc::new(after.clone()), ..now.clone() };
    let polls = world.service.ops.iter().flat_map(|op| {
        let running = Operation { phase: Phase::InProgress, end: None, ..world.service.describe(op, Appearance::Plain) };
        let failed = Operation { phase: Phase::Failed, ..running.clone() };
        [running, failed].map(|operation| PollResult::Found { operation: Box::new(operation), retry_after: None, location: None })
    });
    let id = world.service.ops.first().map(|op| op.id.clone());
    let accepted = id.map(|id| SubmitResult::Accepted { id, location: None, activity_id: None, retry_after: None });
    let late = polls
        .chain([PollResult::NotFound])
        .map(EffectResult::Polled)
        .chain([EffectResult::CancelRequested(CancelResult::Accepted), EffectResult::CancelRequested(CancelResult::NotRunning)])
        .chain(accepted.map(EffectResult::Submitted))
        .chain([EffectResult::Submitted(SubmitResult::Unknown { message: "no response".to_owned() })]);
    for effect_result in late {
        let late = format!("{effect_result:?}");
        let memory = &world.operators[operator].states[resource].in_memory().memory;
        let after = world.decide((operator, resource), &view, memory, effect_result);
        let same = runs(&view.status, &after.status).is_ok();
        let idle = !matches!(after.effect, Effect::Submit | Effect::Cancel(_));
        holds(same && idle, FINISHED, || {
            format!("resource {resource}: run {:?} had ended; after the late {late} the effect is {:?}", view.status.run, after.effect)
        })?;
    }
    Ok(())
}

/// Checks that the operation of a run is its own, cannot be distinguished from it, or was named by a user.
fn tracks(world: &World, operator: usize, resource: usize, run: &Run, id: &str, accepted: bool) -> Result<(), Violation> {
    let Some(op) = world.service.ops.iter().find(|op| op.id.as_str() == id) else {
        return Err(violation(EVIDENCE, format!("resource {resource} tracks {id}, which does not exist")));
    };
    let ours = op.owner == Owner::Run { resource, number: run.number, attempt: run.attempt };
    let is_named = world.resources[resource].now().revision.desired.requests.adopt.as_deref() == Some(id);
    let mut others = world.resources.iter().enumerate().filter(|(index, other)| *index != resource && !other.is_deleted);
    let mut against = Vec::new();
    if others.any(|(_, other)| has(&other.now().status, id)) {
        against.push("another resource tracks it".to_owned());
    }
    // A user's decision is applied, but one operation never belongs to two resources.
    if ours || is_named {
        return holds(against.is_empty(), EVIDENCE, || {
            format!("resource {resource} adopts {id}, as a user decided: {}", against.join(", "))
        });
    }
    if accepted {
        against.push("the service returned its id to another client".to_owned());
    }
    let intent = run.submitted_time.map_or(world.wall(operator), Time::timestamp);
    // By the operator's clock, if the service reports its own. Otherwise only the shown times can be compared.
    let ahead = if world.service.reports_time { world.operators[operator].clock } else { world.service.ahead };
    let earlier = intent.duration_since(timestamp(op.started_at + ahead)).as_secs();
    if earlier > 0 {
        against.push(format!("it started {earlier} s before the intent"));
    }
    if world.resources[resource].now().revision.desired.operation.request != *op.request {
        against.push("it has another request".to_owned());
    }
    if op.shown_as(Appearance::Plain).origin() != Origin::Client {
        against.push("the service does not show that a client submitted it".to_owned());
    }
    // The operator may still know the operation of a resource that was deleted.
    if world.claimed_by_others((operator, resource), (op.request.kind(), &run.model.key()), [&op.id]).orphaned.contains(&id.to_lowercase())
    {
        against.push("it was orphaned".to_owned());
    }
    if let Owner::Run { resource: of, number, .. } = op.owner
        && of == resource
    {
        against.push(format!("it belongs to run {number}"));
    }
    holds(against.is_empty(), EVIDENCE, || {
        format!("resource {resource} adopts {id} for run {} attempt {}: {}", run.number, run.attempt, against.join(", "))
    })
}

/// Checks that a recorded end is the end at the service.
fn ended(world: &World, operator: usize, resource: usize, (run, is_decided): (&Run, bool)) -> Result<(), Violation> {
    let op = run.operation_id.as_deref().and_then(|id| world.service.ops.iter().find(|op| op.id.as_str() == id));
    let phase = op.and_then(|op| op.ended).map(|(_, phase)| phase);
    let lost = op.is_none_or(|op| op.lost);
    let over = lost || phase.is_some();
    let reason = Reason::parse(&run.reason);
    let true_end = match reason {
        Some(Reason::Succeeded) if run.operation_id.is_none() => !world.scenario.replicas,
        Some(Reason::Succeeded) => phase == Some(Phase::Succeeded),
        Some(Reason::RefreshFailed | Reason::SyncFailed) => phase == Some(Phase::Failed),
        Some(
            Reason::Evicted
            | Reason::NodeMoved
            | Reason::AttemptTimeLimit
            | Reason::TotalTimeLimit
            | Reason::CapacityPaused
            | Reason::RefreshDisabled,
        ) => matches!(phase, Some(Phase::Failed | Phase::TimedOut | Phase::Cancelled)) && world.service.failure_cause.is_some(),
        Some(Reason::TimedOut) => phase == Some(Phase::TimedOut),
        Some(Reason::OperationLost | Reason::RequestDropped) => lost || op.is_some_and(|op| is_beyond_limit(world, op)),
        // An operation that cannot be cancelled is abandoned at the deadline.
        Some(Reason::DeadlineExceeded) if !cancellable(world, resource) => {
            let deadline = world.resources[resource].now().revision.desired.policy.active_deadline.as_secs().cast_signed();
            let tracked_for = run.submitted_time.map_or(0, |at| world.wall(operator).duration_since(at.timestamp()).as_secs());
            abandoned_at_deadline(world, resource, run) && tracked_for >= deadline
        }
        Some(Reason::DeadlineExceeded | Reason::Replaced | Reason::Cancelled | Reason::Uninstalled) => {
            lost || phase == Some(Phase::Cancelled)
        }
        // Nothing was submitted, or the operation has ended without success.
        Some(Reason::CancelledOnRequest) => lost || matches!(phase, Some(Phase::Cancelled | Phase::Failed | Phase::TimedOut)),
        Some(Reason::Deleted) => lost || phase.is_some(),
        // An event reports what may still be running. It is recorded only for a resource that another controller keeps.
        Some(Reason::Released) => {
            let desired = &world.resources[resource].now().revision.desired;
            return holds(desired.deletion.is_some() && desired.has_other_finalizers, END_MATCHES_SERVICE, || {
                format!("resource {resource}: run {} ends as Released without a deletion", run.number)
            });
        }
        // Nothing was submitted, or an earlier attempt has ended.
        Some(Reason::WaitDeadlineExceeded | Reason::Conflict | Reason::RequestRejected) => over,
        _ => false,
    };
    holds(true_end, END_MATCHES_SERVICE, || {
        format!("resource {resource}: run {} ends {:?} ({}), but at the service {phase:?}", run.number, run.state, run.reason)
    })?;
    // A user's decision that nothing was started is applied.
    if is_decided || abandoned_at_deadline(world, resource, run) {
        return Ok(());
    }
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), END_MATCHES_SERVICE, || {
        format!("resource {resource}: run {} has ended ({}) while {} is running", run.number, run.reason, live.join(", "))
    })
}
