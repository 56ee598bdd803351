//! The decision itself, from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use super::draft::Pass;
use super::next::Next;
use super::rules::upstream::Cursor;
use super::rules::{
    cancel_request, cancelling, completion, decisions, deletion, idle, interrupts, restoration, running, schedule, submitting, upstream,
    waiting,
};
use super::{Effect, Seen, Situation, Step, timing};
use crate::api::{DeletionPolicy, Run, RunState};
use crate::operation::Submission;

/// Decides what to record and what to do next.
///
/// The caller writes [`Step::recorded`] with the resource version of the status that it gave, before it performs
/// [`Step::effect`]. If that write is refused, the view was stale and the whole step is void. The result of the effect
/// is the [`Situation::seen`] of the next decision.
///
/// 1. A resource that is being deleted starts no run, and keeps its finalizer until no operation of it is running.
/// 2. A run in progress is tracked by its own record, whatever the spec is meanwhile.
/// 3. A trigger is handled only if no run is in progress and the operator is not about to be uninstalled.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Step {
    let mut step = decisions::wake(situation, choose(situation));
    let under_way = step.recorded.run.as_ref().filter(|run| restoration::may_run(run));
    // Most decisions do not change the run, so they share it.
    let same = |run: &Run| situation.scratch.under_way.as_ref().filter(|known| ***known == *run).cloned();
    step.scratch.under_way = under_way.map(|run| same(run).unwrap_or_else(|| Arc::new(run.clone())));
    step
}

fn choose(situation: &Situation<'_>) -> Step {
    let mut pass = Pass::new(situation);
    let is_ours = !pass.deleting() || situation.desired.finalizer;
    let accepted = matches!(situation.seen, Seen::Submission(Submission::Accepted { .. }));
    let restored = is_ours && (restoration::put_back(&mut pass) || !accepted && restoration::restore(&mut pass));
    if accepted {
        restoration::heed_acceptance(&mut pass);
    } else if restored {
        return pass.stop(Effect::Nothing, Some(Duration::ZERO));
    }
    if !is_ours {
        return pass.leave();
    }
    if situation.seen == Seen::Nothing
        && !pass.leaves_metadata()
        && let Some(annotation) = decisions::leftover(&mut pass)
    {
        return pass.keep(Effect::RemoveAnnotation(annotation), None);
    }
    if pass.deleting() { delete(pass) } else { run(pass) }
}

/// Decides for a resource that is being deleted: an operation that may be running is tracked to its end.
fn delete(mut pass: Pass<'_>) -> Step {
    if let Some(next) = deletion::at_once(&mut pass) {
        return execute(pass, next);
    }
    let until_release = deletion::held_until(&pass).filter(|pause| !pause.is_zero());
    let next = match deletion::decide(&pass) {
        Some(next) => next,
        None => by_state(&mut pass, false),
    };
    let step = execute(pass, next);
    let look_again = until_release.map(|pause| timing::at_latest(step.look_again, pause)).or(step.look_again);
    Step { look_again, ..step }
}

/// Decides for a resource that is not being deleted.
fn run(mut pass: Pass<'_>) -> Step {
    let (desired, situation) = (pass.desired, pass.situation);
    schedule::look(&mut pass);
    let under_way = pass.record.run.as_ref().is_some_and(|run| !run.state.ended());
    // A finalizer that was removed before an uninstall is added again before a submission.
    let may_go = desired.policy.deletion == DeletionPolicy::Orphan
        || situation.recorded.run.as_ref().is_some_and(|run| run.state == RunState::Waiting);
    let needless = desired.leaving.is_some() && may_go;
    if under_way && !desired.finalizer && situation.seen == Seen::Nothing && !needless && !pass.leaves_metadata() {
        // A client has replaced the whole object, and the finalizer with it.
        return pass.keep(Effect::AddFinalizer, None);
    }
    let cursor = upstream::look(&mut pass);
    let reported = cursor == Cursor::Reported;
    if !under_way && desired.leaving.is_some() {
        // The next installation starts it.
        return pass.leave();
    }
    let next = if under_way && reported {
        interrupts::keep_record(&mut pass)
    } else if under_way && cancel_request::is_asked(&pass) {
        cancel_request::heed(&mut pass)
    } else {
        by_state(&mut pass, reported)
    };
    let mut step = interrupts::wake(desired, situation.now, execute(pass, next));
    if cursor == Cursor::Postponed && step.effect == Effect::Nothing {
        step.look_again = Some(Duration::ZERO);
    }
    schedule::wake(desired, situation.now, step)
}

/// The rule of the state that the run is recorded in.
fn by_state(pass: &mut Pass<'_>, reported: bool) -> Next {
    match pass.record.run.as_ref().map(|run| run.state) {
        None | Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_)) => {
            idle::decide(pass, reported)
        }
        Some(RunState::Waiting) => waiting::decide(pass),
        Some(RunState::Submitting) => submitting::decide(pass),
        Some(RunState::Running) => running::decide(pass),
        Some(RunState::Cancelling) => cancelling::decide(pass),
    }
}

/// Executes the result of a rule. Only [`Next::Wait`] applies a second rule, and that rule never returns it.
fn execute(mut pass: Pass<'_>, next: Next) -> Step {
    let mut next = adapted(&mut pass, next);
    if matches!(next, Next::Wait) {
        next = waiting::decide(&mut pass);
    }
    match next {
        Next::Record { effect, requeue } => pass.stop(effect, requeue),
        Next::Keep { effect, requeue } => pass.keep(effect, requeue),
        Next::Wait => pass.keep(Effect::Nothing, Some(Duration::ZERO)),
        Next::Cancel { cause, id } => {
            cancelling::begin(&mut pass, cause, &id);
            pass.stop(Effect::Cancel(id), None)
        }
        Next::End { state, reason, message } => {
            let requeue = completion::record_end(&mut pass, state, reason, &message);
            pass.stop(Effect::Nothing, requeue)
        }
        Next::Retry { failure, .. } => {
            let requeue = completion::attempt_again(&mut pass, &failure);
            pass.stop(Effect::Nothing, requeue)
        }
        Next::Release { ended } => {
            if let Some((reason, message)) = ended {
                pass.notice(reason, message);
            }
            pass.keep(Effect::Release, None)
        }
    }
}

/// Adapts the result of a rule to a deletion and to a pending request to cancel.
fn adapted(pass: &mut Pass<'_>, next: Next) -> Next {
    match next {
        Next::End { reason, message, .. } | Next::Retry { reason, failure: message } if pass.deleting() => {
            Next::Release { ended: Some((reason, message)) }
        }
        Next::Wait if pass.deleting() => Next::Release { ended: None },
        Next::Wait if cancel_request::is_pending(pass) => cancel_request::nothing_began(pass),
        Next::Record { .. }
        | Next::Keep { .. }
        | Next::Wait
        | Next::Cancel { .. }
        | Next::End { .. }
        | Next::Retry { .. }
        | Next::Release { .. } => next,
    }
}
