//! A resource that is being deleted: no run starts, and the finalizer stays until no operation is running.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{self, CancelCause, DeletionPolicy, Reason, RunState};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Desired, Seen, conditions, timing};
use crate::operation::{Look, Submission};

/// How long the deletion of a namespace waits for a resource, counted from the deletion of the resource, even if the operator cannot see
/// the end of its operation.
const NAMESPACE_HELD: Duration = Duration::from_mins(2);

/// Releases the resource, whatever the last effect showed; `None` if its run decides.
pub(in crate::engine) fn at_once(pass: &mut Pass<'_>) -> Option<Next> {
    let released = Some(Next::Release { ended: None });
    let Some(run) = pass.record.run.as_ref() else {
        return released;
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return released;
    }
    // An operation that has just started is recorded before it is orphaned, so that it can be named and no resource adopts it.
    if state == RunState::Submitting && matches!(pass.situation.seen, Seen::Submission(Submission::Accepted { .. })) {
        return None;
    }
    let what = id.as_ref().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
    if pass.desired.requests.release {
        pass.notice(Reason::Released, format!("{what} may still be running: released by the annotation {}", api::RELEASE));
        return released;
    }
    if !pass.kind().offers().cancel {
        let begun = if state == RunState::Submitting { "may have started at the service" } else { "is still running at the service" };
        let message = format!("{what} {begun} and is orphaned: a {} cannot be cancelled", pass.kind().noun());
        pass.notice(Reason::Released, message);
        return released;
    }
    if pass.desired.policy.deletion == DeletionPolicy::Orphan {
        pass.notice(Reason::Released, format!("{what} may still be running: deletionPolicy is Orphan"));
        return released;
    }
    if is_time_up(pass) {
        let hindrance = hindrance(pass).map(|said| format!(" ({said})")).unwrap_or_default();
        let message =
            format!("{what} may still be running{hindrance}: the namespace is being deleted, which waits for two minutes at most");
        pass.notice(Reason::Released, message);
        return released;
    }
    None
}

/// The effect of the deletion on a run that may have an operation; `None` if the rule of its state decides.
pub(in crate::engine) fn decide(pass: &Pass<'_>) -> Option<Next> {
    let run = pass.record.run.as_ref()?;
    // Certainly: the service has refused it, or nothing was sent.
    let nothing_began =
        matches!(pass.situation.seen, Seen::Submission(Submission::Refused(_) | Submission::Busy { .. } | Submission::Deferred { .. }));
    match run.state {
        RunState::Running if pass.situation.seen == Seen::Nothing => {
            run.operation().map(|id| Next::Cancel { cause: CancelCause::Deletion, id })
        }
        RunState::Submitting if nothing_began => Some(Next::Release { ended: None }),
        RunState::Waiting
        | RunState::Submitting
        | RunState::Running
        | RunState::Cancelling
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled
        | RunState::Newer(_) => None,
    }
}

/// Whether the deletion of the namespace has waited for its time limit. An end that was just observed counts first.
fn is_time_up(pass: &Pass<'_>) -> bool {
    let observed = match &pass.situation.seen {
        Seen::Look(Look::Found { operation, .. }) => operation.phase.ended(),
        Seen::Submission(_) | Seen::Listing { result: Ok(_), .. } => true,
        Seen::Look(Look::Gone | Look::Trouble(_))
        | Seen::Listing { result: Err(_), .. }
        | Seen::Nothing
        | Seen::Resolved(_)
        | Seen::Turn(_)
        | Seen::Cancellation(_)
        | Seen::Presence(_)
        | Seen::Trouble(_)
        | Seen::Fault(_) => false,
    };
    !observed && held_until(pass).is_some_and(|pause| pause.is_zero())
}

/// What kept the operator from seeing the end, if the run shows it.
fn hindrance(pass: &Pass<'_>) -> Option<String> {
    let run = pass.record.run.as_ref()?;
    run.why().filter(|reason| *reason == Reason::Retrying || conditions::stalls(*reason)).map(|_| run.message.clone())
}

/// How long a call for a resource may take while its namespace is being deleted; `None` if it is not.
#[must_use]
pub fn patience(desired: &Desired, now: Timestamp) -> Option<Duration> {
    let deletion = desired.deletion.as_ref().filter(|deletion| deletion.namespace_ending)?;
    Some(namespace_patience(deletion.requested, now))
}

/// How long the deletion of a namespace still waits for a resource whose deletion was requested then.
#[must_use]
pub fn namespace_patience(requested: Timestamp, now: Timestamp) -> Duration {
    NAMESPACE_HELD.saturating_sub(timing::between(requested, now))
}

/// How long the deletion of the namespace may still be blocked; `None` if the namespace is not being deleted.
pub(in crate::engine) fn held_until(pass: &Pass<'_>) -> Option<Duration> {
    patience(pass.desired, pass.now)
}
