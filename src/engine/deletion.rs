//! A resource that is being deleted: nothing more begins, and the finalizer stays until nothing of it runs.

use std::time::Duration;

use super::pass::Pass;
use super::{Cure, Effect, Seen, Step, following, pace, submission};
use crate::api::{self, CancelCause, DeletionPolicy, Reason, RunState};

/// How long an ending namespace is held by a resource whose Secret is already gone.
const NAMESPACE_HELD: Duration = Duration::from_secs(120);

/// Decides for a resource that is being deleted.
pub(super) fn decide(mut pass: Pass<'_>) -> Step {
    if !pass.desired.finalizer {
        return pass.keep(Effect::Nothing, None);
    }
    let Some(run) = pass.record.run.as_ref() else {
        return release(pass, None);
    };
    let (state, id) = (run.state, run.operation());
    if state.ended() || state == RunState::Waiting {
        return release(pass, None);
    }
    let what = id.as_ref().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
    if pass.desired.requests.release {
        pass.notice(Reason::Released, true, format!("{what} may still be running: let go by the annotation {}", api::RELEASE));
        return release(pass, None);
    }
    if pass.desired.policy.deletion == DeletionPolicy::Orphan {
        pass.notice(Reason::Released, true, format!("{what} may still be running: deletionPolicy is Orphan"));
        return release(pass, None);
    }
    if nothing_can_be_mended(&pass) {
        let message = format!("{what} may still be running: the namespace is being deleted and the credentials are gone");
        pass.notice(Reason::Released, true, message);
        return release(pass, None);
    }
    match (state, id) {
        (RunState::Running, Some(id)) if pass.situation.seen == Seen::Nothing => following::cancel(pass, CancelCause::Deletion, id),
        (RunState::Running, _) => following::running(pass),
        (RunState::Cancelling, _) => following::cancelling(pass),
        (RunState::Submitting, _) => submission::decide(pass),
        (RunState::Waiting | RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled, _) => release(pass, None),
    }
}

/// Whether the namespace is ending and what the operator would need to cancel with is gone from it for good.
fn nothing_can_be_mended(pass: &Pass<'_>) -> bool {
    let Some(deletion) = &pass.desired.deletion else {
        return false;
    };
    let long = pace::between(deletion.requested, pass.now) >= NAMESPACE_HELD;
    let gone = matches!(&pass.situation.seen, Seen::Fault(fault) if fault.cure == Cure::Cluster);
    deletion.namespace_ending && long && gone
}

/// Lets go of the resource, and says how its operation ended where it did.
pub(super) fn release(mut pass: Pass<'_>, end: Option<(Reason, String)>) -> Step {
    if let Some((reason, message)) = end {
        pass.notice(reason, false, message);
    }
    pass.keep(Effect::Release, None)
}
