//! The annotation `cancel-requested-at`: a new value ends the run that is recorded as in progress when it is read, and no other.
//!
//! The value counts as handled with the record of its effect, so a restart does not repeat it and its removal has no effect.

use std::time::Duration;

use super::{completion, triggers};
use crate::api::{CancelCause, Reason, RunState};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Effect, EffectResult, text};

/// Whether the annotation has a value that was not handled.
fn is_new(draft: &Draft<'_>) -> bool {
    let value = draft.desired.requests.cancel.as_ref();
    value.is_some_and(|value| !text::is_recorded(value, draft.status.last_handled_cancel_request.as_ref()))
}

/// Whether the run in progress must be cancelled now. A result that was just observed is recorded first: the next decision reads
/// the value again.
pub(in crate::engine) fn is_requested(draft: &Draft<'_>) -> bool {
    draft.input.effect_result == EffectResult::None && is_new(draft)
}

fn mark_handled(draft: &mut Draft<'_>) {
    draft.status.last_handled_cancel_request.clone_from(&draft.desired.requests.cancel);
}

/// Handles a new value while a run is in progress.
pub(in crate::engine) fn apply(draft: &mut Draft<'_>) -> Next {
    mark_handled(draft);
    let can_be_cancelled = draft.kind().capabilities().cancel;
    let Some(run) = draft.status.run.as_mut() else {
        return Next::unchanged(Effect::None, None);
    };
    match (run.state, run.operation()) {
        (RunState::Waiting, _) => {
            triggers::drop_joined(draft);
            cancelled_before_submission(draft)
        }
        (RunState::Running, Some(id)) if can_be_cancelled => Next::Cancel { cause: CancelCause::Request, id },
        (RunState::Running, Some(_)) => {
            report_not_cancellable(draft);
            Next::record(Effect::None, Some(Duration::ZERO))
        }
        // The submission is resolved first.
        (RunState::Submitting, _) | (RunState::Running, None) => {
            run.cancel_cause = Some(CancelCause::Request);
            Next::record(Effect::None, Some(Duration::ZERO))
        }
        // It is already being cancelled.
        (RunState::Cancelling, _) => Next::record(Effect::None, Some(Duration::ZERO)),
        (RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_), _) => {
            Next::unchanged(Effect::None, None)
        }
    }
}

/// Handles a new value while no run is in progress: it cancels neither this nor a later run. Returns whether an event reports that. On a
/// resource without a status the value is an old one, from a manifest or a backup, and is not reported.
pub(super) fn ignore_stale_request(draft: &mut Draft<'_>) -> bool {
    if !is_new(draft) {
        return false;
    }
    mark_handled(draft);
    let observed = draft.input.status.is_observed();
    if observed {
        draft.emit(
            Reason::NotCancelled,
            "nothing was cancelled: no run was in progress when the operator read the annotation cancel-requested-at",
        );
    }
    observed
}

/// Whether the run will be cancelled once its submission is resolved.
pub(in crate::engine) fn is_pending(draft: &Draft<'_>) -> bool {
    draft.status.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Request))
}

/// Reports that the operation of the run cannot be cancelled and is still running.
pub(super) fn report_not_cancellable(draft: &mut Draft<'_>) {
    let noun = draft.kind().noun();
    if let Some(run) = draft.status.run.as_mut() {
        run.cancel_cause = None;
        let id = run.operation_id.clone().unwrap_or_default();
        draft.emit(Reason::NotCancelled, format!("operation {id} is still running: a {noun} cannot be cancelled"));
    }
}

/// Ends a run that certainly has no operation.
pub(in crate::engine) fn cancelled_before_submission(draft: &mut Draft<'_>) -> Next {
    let attempt = draft.status.run.as_ref().map_or(1, |run| run.attempt);
    let message = format!("{}: the run was cancelled by the annotation cancel-requested-at", not_submitted(attempt));
    completion::end(draft, RunState::Cancelled, Reason::CancelledOnRequest, message)
}

/// What was not submitted, if a run ends before this attempt.
pub(super) fn not_submitted(attempt: i32) -> String {
    if attempt > 1 { format!("attempt {attempt} was not submitted") } else { "nothing was submitted".to_owned() }
}
