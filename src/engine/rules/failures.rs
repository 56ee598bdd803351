//! The failures that the services document: their reasons, their remedies, and whether another operation helps.

use crate::api::{Reason, RunState};
use crate::operation::{Failure, OperationKind, Phase};

/// How an operation that did not succeed ends its run.
pub(super) struct BadEnd {
    pub(super) state: RunState,
    pub(super) reason: Reason,
    /// What happened, after the name of the operation.
    pub(super) happened: &'static str,
    /// The remedy, if it is known; otherwise empty.
    pub(super) cure: &'static str,
    /// Whether another operation may end better: then `backoffLimit` counts.
    pub(super) again: bool,
}

/// The end of an operation that failed or exceeded a limit of the service.
#[must_use]
pub(super) fn bad_end(kind: OperationKind, phase: Phase, failure: Option<Failure>) -> BadEnd {
    let Some(failure) = failure else { return plain(kind, phase) };
    let end = |state, reason, happened, cure, again| BadEnd { state, reason, happened, cure, again };
    match failure {
        Failure::Evicted => {
            let happened = "failed because the model was evicted from memory to make room for other operations";
            end(RunState::Failed, Reason::Evicted, happened, "run it again, which backoffLimit does automatically", true)
        }
        Failure::NodeMoved => {
            let happened = "was lost by the service, which moved the model to another node or had an error there";
            end(RunState::Failed, Reason::NodeMoved, happened, "run it again, which backoffLimit does automatically", true)
        }
        Failure::AttemptTimeLimit => {
            let happened = "exceeded the time limit of one attempt (refresh.attemptTimeoutSeconds, by default 5 hours), or of a pause of its capacity (6 hours)";
            let cure = "refresh less at once (refresh.objects, commitMode partialBatch), or raise refresh.attemptTimeoutSeconds; after a pause, run it again";
            end(RunState::TimedOut, Reason::AttemptTimeLimit, happened, cure, false)
        }
        Failure::TotalTimeLimit => {
            let happened = "exceeded the service's time limit for all attempts together (24 hours)";
            let cure = "refresh less at once (refresh.objects, commitMode partialBatch), or lower refresh.retryCount";
            end(RunState::TimedOut, Reason::TotalTimeLimit, happened, cure, false)
        }
        Failure::CapacityPaused => {
            let happened = "failed because the capacity was paused or out of memory";
            end(RunState::Failed, Reason::CapacityPaused, happened, "resume the capacity or add memory to it, then run it again", true)
        }
        Failure::Disabled => {
            let happened = "did not run because refreshes are disabled for the model";
            end(RunState::Failed, Reason::RefreshDisabled, happened, "enable them in the model's settings, then run it again", false)
        }
    }
}

/// A failure that the response describes only by its messages.
fn plain(kind: OperationKind, phase: Phase) -> BadEnd {
    let reason = match kind {
        OperationKind::Refresh => Reason::RefreshFailed,
        OperationKind::Sync => Reason::SyncFailed,
    };
    match phase {
        Phase::TimedOut => {
            let happened = "exceeded the service's time limit";
            BadEnd { state: RunState::TimedOut, reason: Reason::TimedOut, happened, cure: "", again: true }
        }
        Phase::NotStarted | Phase::InProgress | Phase::Succeeded | Phase::Failed | Phase::Cancelled => {
            BadEnd { state: RunState::Failed, reason, happened: "failed", cure: "", again: true }
        }
    }
}
