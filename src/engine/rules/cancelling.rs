//! A run whose operation is being cancelled: the cancellation is repeated until the service says that the operation has ended.

use super::{errors, interrupts, poll};
use crate::api::{CancelCause, Reason, Run, RunState};
use crate::engine::next::Next;
use crate::engine::pass::Pass;
use crate::engine::{Effect, Scratch, Seen, pace};
use crate::operation::{Cancellation, OperationId, Trouble, TroubleKind};

/// Decides for a run that is recorded as Cancelling.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>) -> Next {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return poll::lost_id(pass);
    };
    interrupts::heed_triggers(pass);
    match &pass.situation.seen {
        // The request to cancel may have been lost, and to repeat it does no harm.
        Seen::Nothing => match pass.not_before() {
            Some(pause) => Next::record(Effect::Nothing, Some(pause)),
            None if !pass.scratch.look_first && pass.cancel_is_due() => Next::record(Effect::Cancel(id), None),
            None => poll::look(pass, id),
        },
        // Accepted is not cancelled, and "nothing to cancel" is no end either: only a look tells.
        Seen::Cancellation(Cancellation::Accepted | Cancellation::NothingToCancel) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            pass.scratch.cancel_refusals = 0;
            pass.scratch.troubles = 0;
            let pause = pace::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        // Where the model is not to be seen, there may be nothing to cancel any more: a look tells.
        Seen::Cancellation(Cancellation::Trouble(Trouble { kind: TroubleKind::NotFound, .. })) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            let pause = pace::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        Seen::Cancellation(Cancellation::Trouble(trouble)) => uncancelled(pass, trouble),
        // It could not even be sent.
        Seen::Trouble(trouble) if !pass.scratch.look_first && pass.cancel_is_due() => uncancelled(pass, trouble),
        Seen::Look(_) | Seen::Listing { .. } | Seen::Presence(_) | Seen::Trouble(_) | Seen::Fault(_) => {
            pass.scratch.look_first = false;
            poll::observed(pass, &id)
        }
        Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) => Next::record(Effect::Nothing, Some(pace::CLUSTER)),
    }
}

/// The operation may have ended meanwhile, so the next look comes first.
fn uncancelled(pass: &mut Pass<'_>, trouble: &Trouble) -> Next {
    if pass.scratch.cancel_refusals > 0 {
        // The second in a row is news, whatever the look in between has brought.
        pass.scratch.troubles = pass.scratch.troubles.max(errors::SHOWN - 1);
    }
    pass.scratch.cancel_refusals = pass.scratch.cancel_refusals.saturating_add(1);
    let until_next = pace::cancel_again(pass.scratch.cancel_refusals);
    pass.scratch.cancelled_at = pass.now.checked_sub(pace::CANCEL_AGAIN.saturating_sub(until_next)).ok();
    pass.scratch.look_first = true;
    poll::troubled(pass, trouble, "cannot be cancelled")
}

/// Records that the operation is to be cancelled.
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
