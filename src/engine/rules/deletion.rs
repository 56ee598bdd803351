//! A resource that is being deleted: nothing more begins, and the finalizer stays until nothing of it runs.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{self, CancelCause, DeletionPolicy, Reason, RunState};
use crate::engine::next::Next;
use crate::engine::pass::Pass;
use crate::engine::{Desired, Seen, conditions, pace};
use crate::operation::{Look, Submission};

/// How long an ending namespace waits for a resource, counted from the deletion of the resource: for the end of its operation, and for
/// whatever keeps the operator from seeing it.
const NAMESPACE_HELD: Duration = Duration::from_mins(2);

/// Whether the resource is released whatever was just learnt; `None` where its run decides.
pub(in crate::engine) fn at_once(pass: &mut Pass<'_>) -> Option<Next> {
    let released = Some(Next::Release { ended: None });
    let Some(run) = pass.record.run.as_ref() else {
        return released;
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return released;
    }
    // What has just begun is on record before it is let go: so that it can be named, and is nobody else's.
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
        let message = format!("{what} may still be running{hindrance}: the namespace is being deleted, which waits for two minutes at most");
        pass.notice(Reason::Released, message);
        return released;
    }
    None
}

/// What the deletion makes of a run that may be under way; `None` where the run's own rule decides.
pub(in crate::engine) fn decide(pass: &Pass<'_>) -> Option<Next> {
    let run = pass.record.run.as_ref()?;
    // For certain.
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

/// Whether an ending namespace has waited for as long as it may. What was just learnt of an end counts first.
fn is_time_up(pass: &Pass<'_>) -> bool {
    let learnt = match &pass.situation.seen {
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
    !learnt && held_until(pass).is_some_and(|pause| pause.is_zero())
}

/// What kept the operator from seeing the end, where it says so.
fn hindrance(pass: &Pass<'_>) -> Option<String> {
    let run = pass.record.run.as_ref()?;
    run.why().filter(|reason| *reason == Reason::Retrying || conditions::stalls(*reason)).map(|_| run.message.clone())
}

/// How long the operator still waits for an answer about a resource in an ending namespace; `None` where nothing limits it.
#[must_use]
pub fn patience(desired: &Desired, now: Timestamp) -> Option<Duration> {
    let deletion = desired.deletion.as_ref().filter(|deletion| deletion.namespace_ending)?;
    Some(namespace_patience(deletion.requested, now))
}

/// How long an ending namespace still waits for a resource whose deletion was requested then.
#[must_use]
pub fn namespace_patience(requested: Timestamp, now: Timestamp) -> Duration {
    NAMESPACE_HELD.saturating_sub(pace::between(requested, now))
}

/// How long an ending namespace may still be held, whatever hinders the operator; `None` where it is not ending.
pub(in crate::engine) fn held_until(pass: &Pass<'_>) -> Option<Duration> {
    patience(pass.desired, pass.now)
}
