//! What may interrupt an operation: its deadline, a request, an uninstall, or a trigger that comes during its run.

use std::time::Duration;

use jiff::Timestamp;

use super::{cancel_request, triggers};
use crate::api::{CancelCause, ConcurrencyPolicy, DeletionPolicy, Reason, RunState, TriggerType};
use crate::engine::conditions::Standing;
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Desired, Effect, Leaving, Step, timing};

/// Why the operation must be cancelled; `None` if it must not. `due` is whether a run is due after it.
pub(super) fn cancel_cause(pass: &Pass<'_>, due: bool) -> Option<CancelCause> {
    if cancel_request::is_pending(pass) && pass.kind().offers().cancel {
        return Some(CancelCause::Request);
    }
    let submitted = pass.record.run.as_ref()?.submitted_time?;
    if timing::after(submitted, pass.desired.policy.active_deadline).is_some_and(|deadline| pass.now >= deadline) {
        return Some(CancelCause::Deadline);
    }
    if pass.desired.leaving == Some(Leaving::Cancel)
        && pass.desired.policy.deletion == DeletionPolicy::Cancel
        && pass.kind().offers().cancel
    {
        return Some(CancelCause::Uninstall);
    }
    let can_begin = pass.desired.fault.is_none() && !pass.desired.policy.suspend && pass.desired.leaving.is_none();
    let replaces = due && pass.desired.policy.concurrency == ConcurrencyPolicy::Replace && pass.kind().offers().cancel;
    (replaces && can_begin).then_some(CancelCause::Replacement)
}

/// Requeues the resource for the deadline of its operation, whatever backoff the service requests.
pub(in crate::engine) fn wake(desired: &Desired, now: Timestamp, step: Step) -> Step {
    let running = step.recorded.run.as_ref().filter(|run| run.state == RunState::Running && step.effect == Effect::Nothing);
    let deadline = running.and_then(|run| timing::after(run.submitted_time?, desired.policy.active_deadline));
    let Some(deadline) = deadline else { return step };
    // After the deadline the cancellation may be blocked, and is not retried immediately.
    let pause = Some(timing::between(now, deadline)).filter(|pause| !pause.is_zero()).unwrap_or(timing::SERVICE);
    Step { look_again: Some(timing::at_latest(step.look_again, pause)), ..step }
}

/// Handles the triggers that came during the run. Returns whether a run is due after this one.
///
/// `Forbid` drops only occurrences. A declared change holds until it has run: it is not accepted, so that reverting it starts nothing,
/// and it is not handled, so that the success of this run is not a success of the change.
pub(super) fn heed_triggers(pass: &mut Pass<'_>) -> bool {
    if pass.deleting() {
        return false;
    }
    triggers::withdraw(pass);
    // The run that this one is being cancelled for must start, whatever the policy is now.
    let replaced = pass.record.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Replacement));
    if pass.desired.policy.concurrency == ConcurrencyPolicy::Forbid && !replaced {
        forbid(pass);
    } else if triggers::accept(pass.desired, &mut pass.record, pass.now).is_none() {
        triggers::settle(pass.desired, &mut pass.record);
    }
    triggers::next(pass.desired, &pass.record, pass.now).is_some()
}

/// Drops each occurrence that is due, except a trigger that was accepted under another policy.
fn forbid(pass: &mut Pass<'_>) {
    while let Some(due) = triggers::occurrence(pass.desired, &pass.record, pass.now).filter(|due| pass.record.queued.as_ref() != Some(due))
    {
        triggers::drop(pass.desired, &mut pass.record, &due);
        let of = if due.r#type == TriggerType::AfterRefresh { format!(" of {}", due.value) } else { String::new() };
        let message = format!("no run starts for a trigger ({}{of}) that came during a run: concurrencyPolicy is Forbid", due.r#type);
        pass.notice(Reason::TriggerDropped, message);
    }
    match triggers::declared(pass.desired, &pass.record) {
        Some(change) => pass.stand(Standing::not_run(&pass.record, &change)),
        None if pass.record.queued.is_none() => triggers::settle(pass.desired, &mut pass.record),
        None => {}
    }
}

/// Records what was reported before anything else, so that it is reported once.
pub(in crate::engine) fn keep_record(pass: &mut Pass<'_>) -> Next {
    if pass.record.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Running | RunState::Cancelling)) {
        heed_triggers(pass);
    }
    Next::record(Effect::Nothing, Some(Duration::ZERO))
}
