//! The annotation `cancel-requested-at`: a new value ends the run that is recorded as in progress when it is read, and no other.
//!
//! The value counts as handled with the record of its effect, so a restart does not repeat it and its removal has no effect.

use std::time::Duration;

use super::{completion, triggers};
use crate::api::{CancelCause, Reason, RunState};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Seen};

/// Whether the annotation has a value that was not handled.
fn is_new(pass: &Pass<'_>) -> bool {
    let value = pass.desired.requests.cancel.as_ref();
    value.is_some() && value != pass.record.last_handled_cancel_request.as_ref()
}

/// Whether the run in progress must be cancelled now. A result that was just observed is recorded first: the next pass reads
/// the value again.
pub(in crate::engine) fn is_asked(pass: &Pass<'_>) -> bool {
    pass.situation.seen == Seen::Nothing && is_new(pass)
}

fn settle(pass: &mut Pass<'_>) {
    pass.record.last_handled_cancel_request.clone_from(&pass.desired.requests.cancel);
}

/// Handles a new value while a run is in progress.
pub(in crate::engine) fn heed(pass: &mut Pass<'_>) -> Next {
    settle(pass);
    let can_be_cancelled = pass.kind().offers().cancel;
    let Some(run) = pass.record.run.as_mut() else {
        return Next::keep(Effect::Nothing, None);
    };
    match (run.state, run.operation()) {
        (RunState::Waiting, _) => {
            // Triggers that came while it waited were part of it, so they are handled too.
            triggers::settle(pass.desired, &mut pass.record);
            nothing_began(pass)
        }
        (RunState::Running, Some(id)) if can_be_cancelled => Next::Cancel { cause: CancelCause::Request, id },
        (RunState::Running, Some(_)) => {
            goes_on(pass);
            Next::record(Effect::Nothing, Some(Duration::ZERO))
        }
        // The submission is resolved first.
        (RunState::Submitting, _) | (RunState::Running, None) => {
            run.cancel_cause = Some(CancelCause::Request);
            Next::record(Effect::Nothing, Some(Duration::ZERO))
        }
        // It is already being cancelled.
        (RunState::Cancelling, _) => Next::record(Effect::Nothing, Some(Duration::ZERO)),
        (RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_), _) => {
            Next::keep(Effect::Nothing, None)
        }
    }
}

/// Handles a new value while no run is in progress: it cancels neither this nor a later run. Returns whether an event reports that. On a
/// resource without a status the value is an old one, from a manifest or a backup, and is not reported.
pub(super) fn too_late(pass: &mut Pass<'_>) -> bool {
    if !is_new(pass) {
        return false;
    }
    settle(pass);
    let new = pass.situation.recorded.observed_generation < 0;
    if !new {
        pass.notice(
            Reason::NotCancelled,
            "nothing was cancelled: no run was in progress when the operator read the annotation cancel-requested-at",
        );
    }
    !new
}

/// Whether the run will be cancelled once its submission is resolved.
pub(in crate::engine) fn is_pending(pass: &Pass<'_>) -> bool {
    pass.record.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Request))
}

/// Reports that the operation of the run cannot be cancelled and is still running.
pub(super) fn goes_on(pass: &mut Pass<'_>) {
    let noun = pass.kind().noun();
    if let Some(run) = pass.record.run.as_mut() {
        run.cancel_cause = None;
        let id = run.operation_id.clone().unwrap_or_default();
        pass.notice(Reason::NotCancelled, format!("operation {id} is still running: a {noun} cannot be cancelled"));
    }
}

/// Ends a run that certainly has no operation.
pub(in crate::engine) fn nothing_began(pass: &mut Pass<'_>) -> Next {
    let attempt = pass.record.run.as_ref().map_or(1, |run| run.attempt);
    let what = if attempt > 1 { format!("attempt {attempt} was not submitted") } else { "nothing was submitted".to_owned() };
    let message = format!("{what}: the run was cancelled by the annotation cancel-requested-at");
    completion::end(pass, RunState::Cancelled, Reason::CancelledOnRequest, message)
}
