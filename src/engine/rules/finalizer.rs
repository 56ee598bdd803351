//! The finalizer: when a run requires it, and when a deletion removes it.

use super::deletion;
use crate::api::{self, DeletionPolicy, Reason, RunState};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{DesiredState, Effect, EffectResult, conditions};
use crate::operation::{PollResult, SubmitResult};

/// Whether a run in progress lacks the finalizer that it requires: a client has replaced the whole object, and the finalizer with it.
pub(in crate::engine) fn is_missing(draft: &Draft<'_>) -> bool {
    let (desired, input) = (draft.desired, draft.input);
    let in_progress = draft.status.run.as_ref().is_some_and(|run| !run.state.ended());
    // A finalizer that was removed before an uninstall is added again before a submission.
    let may_lack_finalizer =
        desired.policy.deletion == DeletionPolicy::Orphan || input.status.run.as_ref().is_some_and(|run| run.state == RunState::Waiting);
    let not_required = desired.drain.is_some() && may_lack_finalizer;
    in_progress && !desired.has_finalizer && input.effect_result == EffectResult::None && !not_required && !desired.skipped_writes.metadata
}

/// Adds the finalizer before the first operation can exist; `None` if the resource has it. Not before the turn is granted: a write before
/// the request for the turn would let another resource overtake this one.
pub(super) fn add_before_submission(desired: &DesiredState) -> Option<Next> {
    (!desired.has_finalizer).then(|| Next::unchanged(Effect::AddFinalizer, None))
}

/// Removes the finalizer of a resource that is being deleted, whatever the last effect showed; `None` if the state of its run decides.
pub(in crate::engine) fn remove_now(draft: &Draft<'_>) -> Option<Next> {
    let removed = Some(Next::RemoveFinalizer { ended: None });
    let Some(run) = draft.status.run.as_ref() else {
        return removed;
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return removed;
    }
    // An operation that has just started is recorded before it is orphaned, so that it can be named and no resource adopts it.
    let is_recordable = !draft.desired.skipped_writes.status;
    if state == RunState::Submitting
        && is_recordable
        && matches!(draft.input.effect_result, EffectResult::Submitted(SubmitResult::Accepted { .. }))
    {
        return None;
    }
    let what = id.as_ref().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
    let orphaned = |why: &str| {
        let ended = (RunState::Cancelled, Reason::Released, format!("{what} {why}"));
        Some(Next::RemoveFinalizer { ended: Some(ended) })
    };
    if draft.desired.requests.release {
        return orphaned(&format!("may still be running: released by the annotation {}", api::RELEASE));
    }
    if !draft.kind().capabilities().cancel {
        let started = if state == RunState::Submitting { "may have started at the service" } else { "is still running at the service" };
        return orphaned(&format!("{started} and is orphaned: a {} cannot be cancelled", draft.kind().noun()));
    }
    if draft.desired.policy.deletion == DeletionPolicy::Orphan {
        return orphaned("may still be running: deletionPolicy is Orphan");
    }
    if has_timed_out(draft) {
        let visibility_error = visibility_error(draft).map(|message| format!(" ({message})")).unwrap_or_default();
        return orphaned(&format!(
            "may still be running{visibility_error}: the namespace is being deleted, and its deletion waits for at most two minutes"
        ));
    }
    None
}

/// Whether the deletion of the namespace has waited for its time limit. An end that was just observed counts first, and a cancellation that
/// this process has not tried yet, unless it cannot be recorded.
fn has_timed_out(draft: &Draft<'_>) -> bool {
    let can_be_cancelled = draft.status.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Running | RunState::Cancelling));
    let is_tried = draft.memory.cancels > 0 || draft.memory.cancel_refusals > 0 || draft.desired.skipped_writes.status;
    if can_be_cancelled && !is_tried && draft.input.effect_result == EffectResult::None {
        return false;
    }
    let observed = match &draft.input.effect_result {
        EffectResult::Polled(PollResult::Found { operation, .. }) => operation.phase.ended(),
        EffectResult::Submitted(_) | EffectResult::Listed { result: Ok(_), .. } => true,
        EffectResult::Polled(PollResult::NotFound | PollResult::Failed(_))
        | EffectResult::Listed { result: Err(_), .. }
        | EffectResult::None
        | EffectResult::ModelResolved(_)
        | EffectResult::Turn(_)
        | EffectResult::CancelRequested(_)
        | EffectResult::ModelChecked(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => false,
    };
    !observed && deletion::time_left(draft).is_some_and(|delay| delay.is_zero())
}

/// What kept the operator from seeing the end, if the run shows it.
fn visibility_error(draft: &Draft<'_>) -> Option<String> {
    let run = draft.status.run.as_ref()?;
    run.reason().filter(|reason| *reason == Reason::Retrying || conditions::is_stalled(*reason)).map(|_| run.message.clone())
}
