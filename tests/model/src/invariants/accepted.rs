//! Invariants of what users request: an accepted trigger runs or is reported, and no success is reported for a change that did not run.

use jiff::Timestamp;
use tabular_operator::api::{CancelCause, ConditionStatus, ConditionType, Reason, RunState, Status, Trigger, TriggerType};
use tabular_operator::engine::Event;

use super::names::{ACCEPTED, DUE, SUCCESS, holds, violation};
use crate::world::{Violation, World, timestamp};

/// What a submission was for: the digest of its request, and the token.
pub type SubmittedWork = (String, Option<String>);

/// Checks each status that is written.
pub(super) fn write(world: &World, operator: usize, resource: usize, events: &[Event], after: &Status) -> Result<(), Violation> {
    let before = &world.resources[resource].now().status;
    due(world.wall(operator), resource, before, after)?;
    accepted(resource, (before, after), events)?;
    replacement_starts(resource, before, after)?;
    success(world, resource, after)
}

/// Checks that a scheduled time is accepted when it is due, and not before.
fn due(wall: Timestamp, resource: usize, before: &Status, after: &Status) -> Result<(), Violation> {
    let queued = after.queued.as_ref().filter(|queued| before.queued.as_ref() != Some(*queued));
    let Some(queued) = queued.filter(|queued| queued.r#type == TriggerType::Schedule) else { return Ok(()) };
    let is_due = queued.value.parse::<Timestamp>().is_ok_and(|time| time <= wall);
    holds(is_due, DUE, || format!("resource {resource}: {queued:?} is accepted at {wall}"))
}

/// Whether a decision starts a run, or submits one.
fn starts_or_submits(before: &Status, after: &Status) -> bool {
    let Some(run) = &after.run else { return false };
    let submits = run.state == RunState::Submitting && before.run.as_ref().is_none_or(|old| old.submitted_time != run.submitted_time);
    submits || before.run.as_ref().is_none_or(|old| old.number < run.number)
}

/// Checks that a trigger leaves the queue only when a run starts, when a trigger that is at least as deliberate takes its place, or with an
/// event.
fn accepted(resource: usize, (before, after): (&Status, &Status), events: &[Event]) -> Result<(), Violation> {
    let Some(queued) = &before.queued else { return Ok(()) };
    let joined = |later: &Trigger| rank(queued) <= rank(later);
    let kept = after.queued.as_ref().is_some_and(joined);
    let reported = [Reason::TriggerDropped, Reason::MissedSchedule, Reason::UpstreamRunsMissed];
    let is_reported = events.iter().any(|event| reported.contains(&event.reason));
    // If the upstream refresh is unchanged, the cursor has the run.
    let has_cursor = queued.r#type == TriggerType::AfterRefresh && after.last_upstream_run == before.last_upstream_run;
    holds(kept || is_reported || has_cursor || starts_or_submits(before, after), ACCEPTED, || {
        format!("resource {resource}: {queued:?} was accepted and is lost: {:?}", after.queued)
    })
}

fn rank(trigger: &Trigger) -> u8 {
    match trigger.r#type {
        TriggerType::AfterRefresh => 0,
        TriggerType::Schedule => 1,
        TriggerType::Creation | TriggerType::Change | TriggerType::Unrecognized(_) => 2,
        TriggerType::Request => 3,
    }
}

/// Checks that a run starts after one that was cancelled as replaced.
fn replacement_starts(resource: usize, before: &Status, after: &Status) -> Result<(), Violation> {
    let replaced = |status: &Status| {
        let run = status.run.as_ref()?;
        (run.cancel_cause == Some(CancelCause::Replacement) && run.state.ended()).then_some(run.number)
    };
    let Some(number) = replaced(after).filter(|_| replaced(before).is_none()) else { return Ok(()) };
    if after.queued.is_some() {
        return Ok(());
    }
    Err(violation(ACCEPTED, format!("resource {resource}: run {number} was cancelled as replaced, and no run replaces it")))
}

/// Checks, after all faults have stopped, that each success of an upstream has started one run, in order, or an event reports why not.
pub fn upstream_runs_handled(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, it)| !it.is_deleted && !it.misses_upstream_runs) {
        let Some(upstream) = world.upstream_of(resource.now()) else { continue };
        // A success in the second of the creation may have been before it.
        let later = upstream.successes.iter().filter(|success| success.recorded > timestamp(0));
        let expected: Vec<_> = later.map(|success| format!("{} run {}", upstream.name, success.number)).collect();
        let triggers = resource.started_triggers.iter().filter(|trigger| trigger.r#type == TriggerType::AfterRefresh);
        let started: Vec<_> = triggers.map(|trigger| trigger.value.clone()).collect();
        holds(started.ends_with(&expected), ACCEPTED, || format!("resource {index}: {started:?} for the successes {expected:?}"))?;
    }
    Ok(())
}

/// Checks that the latest generation is shown as done only if it was submitted last.
fn success(world: &World, resource: usize, after: &Status) -> Result<(), Violation> {
    let it = &world.resources[resource];
    let desired = &it.now().revision.desired;
    // A resource with only a schedule or an upstream is ready before its first run: the token that it was created with requests nothing. It
    // has not succeeded.
    let is_idle = it.submitted_work.is_none() && !desired.runs_on_change && desired.token == after.last_handled_token;
    let claims = |shown: ConditionType| shown == ConditionType::Succeeded || shown == ConditionType::Ready && !is_idle;
    let mut shown = after.conditions.iter().filter(|condition| condition.status == ConditionStatus::True);
    if after.observed_generation != desired.generation || !shown.any(|condition| claims(condition.r#type)) {
        return Ok(());
    }
    // A removed token requests nothing.
    let ran = it.submitted_work.as_ref().is_some_and(|(digest, token)| {
        (!desired.runs_on_change || desired.operation.has_digest(digest)) && (desired.token.is_none() || *token == desired.token)
    });
    holds(ran, SUCCESS, || {
        format!(
            "resource {resource}: success of {:?} is shown, but {:?} was submitted",
            (&desired.operation.digest, &desired.token),
            it.submitted_work
        )
    })
}
