//! The laws on what users ask for: what was accepted runs or is reported, and no success is reported for what did not run.

use jiff::Timestamp;
use tabular_operator::api::{CancelCause, ConditionStatus, ConditionType, Reason, RunState, Status, Trigger, TriggerType};
use tabular_operator::engine::Event;

use crate::laws::{broken, holds};
use crate::world::{Broken, World};

/// What the status has shown as accepted runs, or an event reports why it does not.
pub const ACCEPTED: &str = "an accepted trigger runs, or is reported as dropped";
/// A time of a schedule starts nothing early.
pub const DUE: &str = "a time of a schedule is accepted when it has come";
/// A success is one of what the spec asks for.
pub const SUCCESS: &str = "no success is reported for a change that did not run";

/// What a submission was for: the digest of its work, and the token.
pub type Asked = (String, Option<String>);

/// What holds for each status that is written.
pub fn write(world: &World, operator: usize, resource: usize, events: &[Event], after: &Status) -> Result<(), Broken> {
    let before = &world.resources[resource].now().status;
    due(world.wall(operator), resource, before, after)?;
    accepted(resource, (before, after), events)?;
    followed(resource, before, after)?;
    success(world, resource, after)
}

/// A time of a schedule is accepted when it has come, and not before.
fn due(wall: Timestamp, resource: usize, before: &Status, after: &Status) -> Result<(), Broken> {
    let queued = after.queued.as_ref().filter(|queued| before.queued.as_ref() != Some(*queued));
    let Some(queued) = queued.filter(|queued| queued.r#type == TriggerType::Schedule) else { return Ok(()) };
    let is_due = queued.value.parse::<Timestamp>().is_ok_and(|time| time <= wall);
    holds(is_due, DUE, || format!("resource {resource}: {queued:?} is accepted at {wall}"))
}

/// Whether a step begins a run, or submits one.
fn begins(before: &Status, after: &Status) -> bool {
    let Some(run) = &after.run else { return false };
    let submits = run.state == RunState::Submitting && before.run.as_ref().is_none_or(|old| old.submitted_time != run.submitted_time);
    submits || before.run.as_ref().is_none_or(|old| old.number < run.number)
}

/// A trigger leaves the queue when a run begins, when one that is at least as deliberate takes its place, or with an event.
fn accepted(resource: usize, (before, after): (&Status, &Status), events: &[Event]) -> Result<(), Broken> {
    let Some(queued) = &before.queued else { return Ok(()) };
    let joined = |later: &Trigger| rank(queued) <= rank(later);
    let kept = after.queued.as_ref().is_some_and(joined);
    let reported = [Reason::TriggerDropped, Reason::MissedSchedule, Reason::UpstreamRunsMissed];
    let said = events.iter().any(|notice| reported.contains(&notice.reason));
    // Of a refresh that is still followed, the cursor has the run.
    let has_cursor = queued.r#type == TriggerType::AfterRefresh && after.last_upstream_run == before.last_upstream_run;
    holds(kept || said || has_cursor || begins(before, after), ACCEPTED, || {
        format!("resource {resource}: {queued:?} was accepted, and nothing becomes of it: {:?}", after.queued)
    })
}

fn rank(trigger: &Trigger) -> u8 {
    match trigger.r#type {
        TriggerType::AfterRefresh => 0,
        TriggerType::Schedule => 1,
        TriggerType::Creation | TriggerType::Change | TriggerType::Newer(_) => 2,
        TriggerType::Request => 3,
    }
}

/// What was cancelled as a replacement is followed by a run.
fn followed(resource: usize, before: &Status, after: &Status) -> Result<(), Broken> {
    let replaced = |status: &Status| {
        let run = status.run.as_ref()?;
        (run.cancel_cause == Some(CancelCause::Replacement) && run.state.ended()).then_some(run.number)
    };
    let Some(number) = replaced(after).filter(|_| replaced(before).is_none()) else { return Ok(()) };
    if after.queued.is_some() {
        return Ok(());
    }
    Err(broken(ACCEPTED, format!("resource {resource}: run {number} was cancelled as replaced, and nothing follows it")))
}

/// Where the latest version of the spec is shown as done, it is what was submitted last.
fn success(world: &World, resource: usize, after: &Status) -> Result<(), Broken> {
    let it = &world.resources[resource];
    let desired = &it.now().edition.desired;
    // What only follows another resource, or a schedule, is ready before its first run: the token that it was created with asks for
    // nothing. It has not succeeded.
    let is_idle = it.asked.is_none() && !desired.runs_on_change && desired.token == after.last_handled_token;
    let claims = |shown: ConditionType| shown == ConditionType::Succeeded || shown == ConditionType::Ready && !is_idle;
    let mut shown = after.conditions.iter().filter(|condition| condition.status == ConditionStatus::True);
    if after.observed_generation != desired.generation || !shown.any(|condition| claims(condition.r#type)) {
        return Ok(());
    }
    // A token that is removed asks for nothing.
    let ran = it.asked.as_ref().is_some_and(|(work, token)| {
        (*work == desired.work.digest || !desired.runs_on_change) && (desired.token.is_none() || *token == desired.token)
    });
    holds(ran, SUCCESS, || {
        format!(
            "resource {resource}: success is shown of {:?}, and what was submitted is {:?}",
            (&desired.work.digest, &desired.token),
            it.asked
        )
    })
}
