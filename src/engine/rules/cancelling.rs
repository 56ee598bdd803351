//! A run whose operation is being cancelled: the cancellation is repeated until the service reports the end of the operation.

use super::{errors, interrupts, poll};
use crate::api::{CancelCause, Reason, Run, RunState};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Scratch, Seen, timing};
use crate::operation::{Cancellation, OperationId, Trouble, TroubleKind};

/// Decides for a run that is recorded as Cancelling.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>) -> Next {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return poll::lost_id(pass);
    };
    interrupts::heed_triggers(pass);
    match &pass.situation.seen {
        // The cancellation may have been lost, and repeating it is harmless.
        Seen::Nothing => match pass.not_before() {
            Some(pause) => Next::record(Effect::Nothing, Some(pause)),
            None if !pass.scratch.look_first && pass.cancel_is_due() => Next::record(Effect::Cancel(id), None),
            None => poll::look(pass, id),
        },
        // Neither an accepted cancellation nor "nothing to cancel" is an end: only a poll shows it.
        Seen::Cancellation(Cancellation::Accepted | Cancellation::NothingToCancel) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            pass.scratch.cancel_refusals = 0;
            pass.scratch.troubles = 0;
            let pause = timing::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        // If the model is not visible, there may be nothing left to cancel: a poll shows it.
        Seen::Cancellation(Cancellation::Trouble(Trouble { kind: TroubleKind::NotFound, .. })) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            let pause = timing::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        Seen::Cancellation(Cancellation::Trouble(trouble)) => uncancelled(pass, trouble),
        // The cancellation was not sent.
        Seen::Trouble(trouble) if !pass.scratch.look_first && pass.cancel_is_due() => uncancelled(pass, trouble),
        Seen::Look(_) | Seen::Listing { .. } | Seen::Presence(_) | Seen::Trouble(_) | Seen::Fault(_) => {
            pass.scratch.look_first = false;
            poll::observed(pass, &id)
        }
        Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) => Next::record(Effect::Nothing, Some(timing::CLUSTER)),
    }
}

/// Handles a failed cancellation. The operation may have ended meanwhile, so a poll comes first.
fn uncancelled(pass: &mut Pass<'_>, trouble: &Trouble) -> Next {
    if pass.scratch.cancel_refusals > 0 {
        // The second failure in a row is worth a write, whatever the poll in between showed.
        pass.scratch.troubles = pass.scratch.troubles.max(errors::SHOWN - 1);
    }
    pass.scratch.cancel_refusals = pass.scratch.cancel_refusals.saturating_add(1);
    let until_next = timing::cancel_again(pass.scratch.cancel_refusals);
    pass.scratch.cancelled_at = pass.now.checked_sub(timing::CANCEL_AGAIN.saturating_sub(until_next)).ok();
    pass.scratch.look_first = true;
    poll::troubled(pass, trouble, "cannot be cancelled")
}

/// Records the cancellation of the operation.
pub(in crate::engine) fn begin(pass: &mut Pass<'_>, cause: CancelCause, id: &OperationId) {
    let why = match cause {
        CancelCause::Deletion => "its resource is being deleted".to_owned(),
        CancelCause::Uninstall => "the operator is about to be uninstalled".to_owned(),
        CancelCause::Request => "the annotation cancel-requested-at requests it".to_owned(),
        CancelCause::Replacement => "a new trigger replaces it (concurrencyPolicy: Replace)".to_owned(),
        CancelCause::Newer(cause) => format!("a newer version of the operator requested it ({cause})"),
        CancelCause::Deadline => format!("it has run for {} s (activeDeadlineSeconds)", pass.desired.policy.active_deadline.as_secs()),
    };
    if let Some(run) = pass.record.run.as_mut() {
        run.cancel_cause = Some(cause);
        run.tell(RunState::Cancelling, Reason::Cancelling, format!("operation {id} is being cancelled: {why}"));
    }
    pass.scratch = Scratch::default();
}
