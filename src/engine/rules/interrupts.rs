//! What may interrupt an operation: its deadline, a request, an uninstall, or a trigger that comes during its run.

use std::time::Duration;

use jiff::Timestamp;

use super::{cancel_request, triggers};
use crate::api::{CancelCause, ConcurrencyPolicy, DeletionPolicy, Reason, RunState, TriggerType};
use crate::engine::conditions::ConditionOverride;
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Decision, DesiredState, DrainMode, Effect, timing};

/// Why the operation must be cancelled; `None` if it must not. `due` is whether a run is due after it.
pub(super) fn cancel_cause(draft: &Draft<'_>, due: bool) -> Option<CancelCause> {
    if cancel_request::is_pending(draft) && draft.kind().capabilities().cancel {
        return Some(CancelCause::Request);
    }
    let submitted = draft.status.run.as_ref()?.submitted_time?;
    if timing::timestamp_after(submitted, draft.desired.policy.active_deadline).is_some_and(|deadline| draft.now >= deadline) {
        return Some(CancelCause::Deadline);
    }
    if draft.desired.drain == Some(DrainMode::Cancel)
        && draft.desired.policy.deletion == DeletionPolicy::Cancel
        && draft.kind().capabilities().cancel
    {
        return Some(CancelCause::Uninstall);
    }
    let can_start = draft.desired.blocker.is_none() && !draft.desired.policy.suspend && draft.desired.drain.is_none();
    let replaces = due && draft.desired.policy.concurrency == ConcurrencyPolicy::Replace && draft.kind().capabilities().cancel;
    (replaces && can_start).then_some(CancelCause::Replacement)
}

/// Requeues the resource for the deadline of its operation, whatever backoff the service requests.
pub(in crate::engine) fn requeue_at_deadline(desired: &DesiredState, now: Timestamp, decision: Decision) -> Decision {
    let running = decision.status.run.as_ref().filter(|run| run.state == RunState::Running && decision.effect == Effect::None);
    let deadline = running.and_then(|run| timing::timestamp_after(run.submitted_time?, desired.policy.active_deadline));
    let Some(deadline) = deadline else { return decision };
    // After the deadline the cancellation may be blocked, and is not retried immediately.
    let delay = Some(timing::remaining(deadline, now)).filter(|delay| !delay.is_zero()).unwrap_or(timing::SERVICE_RECHECK);
    Decision { requeue_after: Some(timing::at_latest(decision.requeue_after, delay)), ..decision }
}

/// Handles the triggers that came during the run. Returns whether a run is due after this one.
///
/// `Forbid` drops only occurrences. A declared change holds until it has run: it is not accepted, so that reverting it starts nothing,
/// and it is not handled, so that the success of this run is not a success of the change.
pub(super) fn apply_triggers(draft: &mut Draft<'_>) -> bool {
    if draft.is_deleting() {
        return false;
    }
    triggers::withdraw(draft);
    // The run that this one is being cancelled for must start, whatever the policy is now.
    let replaced = draft.status.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Replacement));
    if draft.desired.policy.concurrency == ConcurrencyPolicy::Forbid && !replaced {
        forbid(draft);
    } else if triggers::accept(draft.desired, &mut draft.status, draft.now).is_none() {
        triggers::mark_handled(draft.desired, &mut draft.status);
    }
    triggers::next(draft.desired, &draft.status, draft.now).is_some()
}

/// Accepts the triggers that came while a submission is unresolved, so that they run even if their sources change. Returns whether the
/// record changes. `Forbid` applies when the operation is known.
pub(super) fn accept_triggers(draft: &mut Draft<'_>) -> bool {
    if draft.is_deleting() || draft.desired.policy.concurrency == ConcurrencyPolicy::Forbid {
        return false;
    }
    triggers::withdraw(draft);
    triggers::accept(draft.desired, &mut draft.status, draft.now);
    draft.status.queued != draft.input.status.queued
}

/// Drops each occurrence that is due, except a trigger that was accepted under another policy.
fn forbid(draft: &mut Draft<'_>) {
    while let Some(due) =
        triggers::occurrence(draft.desired, &draft.status, draft.now).filter(|due| draft.status.queued.as_ref() != Some(due))
    {
        triggers::mark_dropped(draft.desired, &mut draft.status, &due);
        let of = if due.r#type == TriggerType::AfterRefresh { format!(" of {}", due.value) } else { String::new() };
        let message = format!("no run starts for a trigger ({}{of}) that came during a run: concurrencyPolicy is Forbid", due.r#type);
        draft.emit(Reason::TriggerDropped, message);
    }
    match triggers::declared(draft.desired, &draft.status) {
        Some(change) => draft.override_conditions(ConditionOverride::not_run(&draft.status, &change)),
        None if draft.status.queued.is_none() => triggers::mark_handled(draft.desired, &mut draft.status),
        None => {}
    }
}

/// Records what was reported before anything else, so that it is reported once.
pub(in crate::engine) fn record_report(draft: &mut Draft<'_>) -> Next {
    if draft.status.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Running | RunState::Cancelling)) {
        apply_triggers(draft);
    }
    Next::record(Effect::None, Some(Duration::ZERO))
}
