//! A resource that is being deleted: no run starts, and the finalizer stays until no operation is running.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{self, CancelCause, DeletionPolicy, Reason, RunState};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Desired, Observation, conditions, timing};
use crate::operation::{PollResult, Submission};

/// How long the deletion of a namespace waits for a resource, counted from the deletion of the resource, even if the operator cannot see
/// the end of its operation.
const NAMESPACE_TIMEOUT: Duration = Duration::from_mins(2);

/// Releases the resource, whatever the last effect showed; `None` if its run decides.
pub(in crate::engine) fn release_now(draft: &mut Draft<'_>) -> Option<Next> {
    let released = Some(Next::Release { ended: None });
    let Some(run) = draft.status.run.as_ref() else {
        return released;
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return released;
    }
    // An operation that has just started is recorded before it is orphaned, so that it can be named and no resource adopts it.
    if state == RunState::Submitting && matches!(draft.input.observation, Observation::Submission(Submission::Accepted { .. })) {
        return None;
    }
    let what = id.as_ref().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
    if draft.desired.requests.release {
        draft.emit(Reason::Released, format!("{what} may still be running: released by the annotation {}", api::RELEASE));
        return released;
    }
    if !draft.kind().capabilities().cancel {
        let started = if state == RunState::Submitting { "may have started at the service" } else { "is still running at the service" };
        let message = format!("{what} {started} and is orphaned: a {} cannot be cancelled", draft.kind().noun());
        draft.emit(Reason::Released, message);
        return released;
    }
    if draft.desired.policy.deletion == DeletionPolicy::Orphan {
        draft.emit(Reason::Released, format!("{what} may still be running: deletionPolicy is Orphan"));
        return released;
    }
    if has_timed_out(draft) {
        let visibility_error = visibility_error(draft).map(|message| format!(" ({message})")).unwrap_or_default();
        let message =
            format!("{what} may still be running{visibility_error}: the namespace is being deleted, which waits for two minutes at most");
        draft.emit(Reason::Released, message);
        return released;
    }
    None
}

/// The effect of the deletion on a run that may have an operation; `None` if the rule of its state decides.
pub(in crate::engine) fn decide(draft: &Draft<'_>) -> Option<Next> {
    let run = draft.status.run.as_ref()?;
    // Certainly: the service has refused it, or nothing was sent.
    let cancelled_before_submission = matches!(
        draft.input.observation,
        Observation::Submission(Submission::NotStarted(_) | Submission::Busy { .. } | Submission::Deferred { .. })
    );
    match run.state {
        RunState::Running if draft.input.observation == Observation::None => {
            run.operation().map(|id| Next::Cancel { cause: CancelCause::Deletion, id })
        }
        RunState::Submitting if cancelled_before_submission => Some(Next::Release { ended: None }),
        RunState::Waiting
        | RunState::Submitting
        | RunState::Running
        | RunState::Cancelling
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled
        | RunState::Unrecognized(_) => None,
    }
}

/// Whether the deletion of the namespace has waited for its time limit. An end that was just observed counts first.
fn has_timed_out(draft: &Draft<'_>) -> bool {
    let observed = match &draft.input.observation {
        Observation::Polled(PollResult::Found { operation, .. }) => operation.phase.ended(),
        Observation::Submission(_) | Observation::Listed { result: Ok(_), .. } => true,
        Observation::Polled(PollResult::NotFound | PollResult::Failed(_))
        | Observation::Listed { result: Err(_), .. }
        | Observation::None
        | Observation::ModelResolved(_)
        | Observation::Turn(_)
        | Observation::CancelRequested(_)
        | Observation::ModelChecked(_)
        | Observation::CallFailed(_)
        | Observation::Blocked(_) => false,
    };
    !observed && time_left(draft).is_some_and(|delay| delay.is_zero())
}

/// What kept the operator from seeing the end, if the run shows it.
fn visibility_error(draft: &Draft<'_>) -> Option<String> {
    let run = draft.status.run.as_ref()?;
    run.reason().filter(|reason| *reason == Reason::Retrying || conditions::is_stalled(*reason)).map(|_| run.message.clone())
}

/// How long a call for a resource may take while its namespace is being deleted; `None` if it is not.
#[must_use]
pub fn deletion_timeout(desired: &Desired, now: Timestamp) -> Option<Duration> {
    let deletion = desired.deletion.as_ref().filter(|deletion| deletion.namespace_terminating)?;
    Some(namespace_time_left(deletion.requested, now))
}

/// How long the deletion of a namespace still waits for a resource whose deletion was requested then.
#[must_use]
pub fn namespace_time_left(requested: Timestamp, now: Timestamp) -> Duration {
    NAMESPACE_TIMEOUT.saturating_sub(timing::elapsed(requested, now))
}

/// How long the deletion of the namespace may still be blocked; `None` if the namespace is not being deleted.
pub(in crate::engine) fn time_left(draft: &Draft<'_>) -> Option<Duration> {
    deletion_timeout(draft.desired, draft.now)
}
