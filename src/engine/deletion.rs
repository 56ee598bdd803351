//! A resource that is being deleted: nothing more begins, and the finalizer stays until nothing of it runs.

use std::time::Duration;

use super::pass::Pass;
use super::{Effect, Seen, Step, following, pace, submission};
use crate::api::{self, CancelCause, DeletionPolicy, Reason, RunState};
use crate::operation::{OperationId, Submission};

/// How long an ending namespace is held by a resource whose Secret is already gone.
const NAMESPACE_HELD: Duration = Duration::from_mins(2);

/// Decides for a resource that is being deleted.
pub(super) fn decide(mut pass: Pass<'_>) -> Step {
    if !pass.desired.finalizer {
        return pass.leave();
    }
    let Some(run) = pass.record.run.as_ref() else {
        return release(pass, None);
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return release(pass, None);
    }
    // What has just begun is on record before it is let go: so that it can be named, and is nobody else's.
    if state == RunState::Submitting && matches!(pass.situation.seen, Seen::Submission(Submission::Accepted { .. })) {
        return submission::decide(pass);
    }
    let what = id.as_ref().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
    if pass.desired.requests.release {
        pass.notice(Reason::Released, format!("{what} may still be running: let go by the annotation {}", api::RELEASE));
        return release(pass, None);
    }
    if !pass.kind().offers().cancel {
        let begun = if state == RunState::Submitting { "may have begun at the service" } else { "goes on at the service" };
        let message = format!("{what} {begun}, and is let go: a {} cannot be cancelled", pass.kind().noun());
        pass.notice(Reason::Released, message);
        return release(pass, None);
    }
    if pass.desired.policy.deletion == DeletionPolicy::Orphan {
        pass.notice(Reason::Released, format!("{what} may still be running: deletionPolicy is Orphan"));
        return release(pass, None);
    }
    if nothing_can_be_mended(&pass) {
        let message = format!("{what} may still be running: the namespace is being deleted, and nobody can see to it any more");
        pass.notice(Reason::Released, message);
        return release(pass, None);
    }
    let until_release = held_until(&pass).filter(|pause| !pause.is_zero());
    let mut step = followed(pass, state, id);
    if let Some(pause) = until_release {
        step.look_again = Some(pace::at_latest(step.look_again, pause));
    }
    step
}

/// Follows what runs to its end, or finds out whether anything runs.
fn followed(pass: Pass<'_>, state: RunState, id: Option<OperationId>) -> Step {
    match (state, id) {
        (RunState::Running, Some(id)) if pass.situation.seen == Seen::Nothing => following::cancel(pass, CancelCause::Deletion, id),
        (RunState::Running, _) => following::running(pass),
        (RunState::Cancelling, _) => following::cancelling(pass),
        (RunState::Submitting, _) => match pass.situation.seen {
            // Nothing was started, for certain.
            Seen::Submission(Submission::Refused(_) | Submission::Busy { .. } | Submission::Deferred { .. }) => release(pass, None),
            Seen::Submission(Submission::Accepted { .. } | Submission::Completed { .. } | Submission::Unanswered { .. })
            | Seen::Nothing
            | Seen::Resolved(_)
            | Seen::Turn(_)
            | Seen::Look(_)
            | Seen::Listing { .. }
            | Seen::Cancellation(_)
            | Seen::Trouble(_)
            | Seen::Fault(_)
            | Seen::ResubmitTaken => submission::decide(pass),
        },
        (RunState::Waiting | RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled, _) => release(pass, None),
    }
}

/// Whether the namespace is ending, and what the operator would need, a Secret or a person's word, will not come any more.
fn nothing_can_be_mended(pass: &Pass<'_>) -> bool {
    let gone = matches!(&pass.situation.seen, Seen::Fault(_)) || submission::held(pass);
    gone && held_until(pass).is_some_and(|pause| pause.is_zero())
}

/// How long an ending namespace may still be held, whatever hinders the operator; `None` where it is not ending.
fn held_until(pass: &Pass<'_>) -> Option<Duration> {
    let deletion = pass.desired.deletion.as_ref().filter(|deletion| deletion.namespace_ending)?;
    Some(NAMESPACE_HELD.saturating_sub(pace::between(deletion.requested, pass.now)))
}

/// Lets go of the resource, and says how its operation ended where it did.
pub(super) fn release(mut pass: Pass<'_>, end: Option<(Reason, String)>) -> Step {
    if let Some((reason, message)) = end {
        pass.notice(reason, message);
    }
    pass.keep(Effect::Release, None)
}
