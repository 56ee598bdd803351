//! A run whose operation is being cancelled: the cancellation is repeated until the service reports the end of the operation.

use super::{errors, interrupts, poll};
use crate::api::{CancelCause, Reason, Run, RunState};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{DecisionMemory, Effect, EffectResult, timing};
use crate::operation::{CancelResult, OperationId, ServiceError, ServiceErrorKind};

/// Decides for a run that is recorded as Cancelling.
pub(in crate::engine) fn decide(draft: &mut Draft<'_>) -> Next {
    let Some(id) = draft.status.run.as_ref().and_then(Run::operation) else {
        return poll::missing_id(draft);
    };
    interrupts::apply_triggers(draft);
    match &draft.input.effect_result {
        // The cancellation may have been lost, and repeating it is harmless.
        EffectResult::None => match draft.poll_due_in() {
            Some(delay) => Next::record(Effect::None, Some(delay)),
            None if !draft.memory.poll_before_cancel && draft.cancel_is_due() => Next::record(Effect::Cancel(id), None),
            None => poll::poll(draft, id),
        },
        // Neither an accepted cancellation nor "nothing to cancel" is an end: only a poll shows it.
        EffectResult::CancelRequested(CancelResult::Accepted | CancelResult::NotRunning) => {
            if draft.memory.cancel_refusals > 0 {
                // The first one that the service accepts.
                (draft.memory.cancel_refusals, draft.memory.cancels) = (0, 0);
            }
            draft.memory.consecutive_errors = 0;
            draft.memory.cancel_accepted |= draft.input.effect_result == EffectResult::CancelRequested(CancelResult::Accepted);
            cancel_sent(draft)
        }
        // If the model is not visible, there may be nothing left to cancel: a poll shows it.
        EffectResult::CancelRequested(CancelResult::Failed(ServiceError { kind: ServiceErrorKind::NotFound, .. })) => cancel_sent(draft),
        EffectResult::CancelRequested(CancelResult::Failed(error)) => {
            draft.count_cancel();
            cancel_failed(draft, error)
        }
        // The cancellation was not sent.
        EffectResult::CallFailed(error) if !draft.memory.poll_before_cancel && draft.cancel_is_due() => cancel_failed(draft, error),
        EffectResult::Polled(_)
        | EffectResult::Listed { .. }
        | EffectResult::ModelChecked(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => {
            draft.memory.poll_before_cancel = false;
            poll::observed(draft, &id)
        }
        EffectResult::ModelResolved(_) | EffectResult::Turn(_) | EffectResult::Submitted(_) => {
            Next::record(Effect::None, Some(timing::CLUSTER_RECHECK))
        }
    }
}

/// Handles a cancellation that reached the service: the next one is sent only if polls still show the operation as running.
fn cancel_sent(draft: &mut Draft<'_>) -> Next {
    draft.count_cancel();
    (draft.memory.cancelled_at, draft.memory.poll_before_cancel) = (Some(draft.now), true);
    let delay = timing::cancel_poll_interval(draft.input.settings, draft.memory.cancels);
    draft.record_and_delay(delay)
}

/// Handles a failed cancellation. The operation may have ended meanwhile, so a poll comes first.
fn cancel_failed(draft: &mut Draft<'_>, error: &ServiceError) -> Next {
    if draft.memory.cancel_refusals > 0 {
        // The second failure in a row is worth a write, whatever the poll in between showed.
        draft.memory.consecutive_errors = draft.memory.consecutive_errors.max(errors::NEXT_IS_REPORTED);
    }
    draft.memory.cancel_refusals = draft.memory.cancel_refusals.saturating_add(1);
    let until_next = timing::cancel_delay(draft.memory.cancel_refusals);
    draft.memory.cancelled_at = draft.now.checked_sub(timing::cancel_resend(draft.memory.cancels).saturating_sub(until_next)).ok();
    draft.memory.poll_before_cancel = true;
    poll::failed_while_running(draft, error, "cannot be cancelled")
}

/// Records the cancellation of the operation.
pub(in crate::engine) fn start_cancel(draft: &mut Draft<'_>, cause: CancelCause, id: &OperationId) {
    let why = match cause {
        CancelCause::Deletion => "its resource is being deleted".to_owned(),
        CancelCause::Uninstall => "the operator is about to be uninstalled".to_owned(),
        CancelCause::Request => "the annotation cancel-requested-at requests it".to_owned(),
        CancelCause::Replacement => "a new trigger replaces it (concurrencyPolicy: Replace)".to_owned(),
        CancelCause::Unrecognized(cause) => format!("a newer version of the operator requested it ({cause})"),
        CancelCause::Deadline => format!("it has run for {} s (activeDeadlineSeconds)", draft.desired.policy.active_deadline.as_secs()),
    };
    if let Some(run) = draft.status.run.as_mut() {
        run.cancel_cause = Some(cause);
        run.set_state(RunState::Cancelling, Reason::Cancelling, format!("operation {id} is being cancelled: {why}"));
    }
    draft.memory = DecisionMemory::default();
}
