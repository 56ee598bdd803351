//! The failures that the services document: their reasons, their remedies, and whether another operation helps.

use crate::api::{Reason, RunState};
use crate::operation::{FailureCause, OperationKind, Phase};

/// How an operation that did not succeed ends its run.
pub(super) struct FailureOutcome {
    pub(super) state: RunState,
    pub(super) reason: Reason,
    /// What happened, after the name of the operation.
    pub(super) description: &'static str,
    /// The remedy, if it is known; otherwise empty.
    pub(super) remedy: &'static str,
    /// Whether another operation may end better: then `backoffLimit` counts.
    pub(super) retryable: bool,
}

/// The end of an operation that failed or exceeded a limit of the service.
#[must_use]
pub(super) fn failure_outcome(kind: OperationKind, phase: Phase, failure: Option<FailureCause>) -> FailureOutcome {
    let Some(failure) = failure else { return unknown_failure(kind, phase) };
    let end = |state, reason, description, remedy, retryable| FailureOutcome { state, reason, description, remedy, retryable };
    match failure {
        FailureCause::Evicted => {
            let description = "failed because the model was evicted from memory to make room for other operations";
            end(RunState::Failed, Reason::Evicted, description, "run it again, which backoffLimit does automatically", true)
        }
        FailureCause::NodeMoved => {
            let description = "was lost: the service moved the model to another node, or had an error on that node";
            end(RunState::Failed, Reason::NodeMoved, description, "run it again, which backoffLimit does automatically", true)
        }
        FailureCause::AttemptTimeLimit => {
            let description = "exceeded the time limit of one attempt (refresh.attemptTimeoutSeconds, by default 5 hours), or its capacity was paused for more than 6 hours";
            let remedy = "refresh fewer objects at a time (refresh.objects, commitMode partialBatch), or increase refresh.attemptTimeoutSeconds; after a pause, run it again";
            end(RunState::TimedOut, Reason::AttemptTimeLimit, description, remedy, false)
        }
        FailureCause::TotalTimeLimit => {
            let description = "exceeded the service's time limit for all attempts together (24 hours)";
            let remedy = "refresh fewer objects at a time (refresh.objects, commitMode partialBatch), or lower refresh.retryCount";
            end(RunState::TimedOut, Reason::TotalTimeLimit, description, remedy, false)
        }
        FailureCause::CapacityPaused => {
            let description = "failed because the capacity was paused or out of memory";
            end(RunState::Failed, Reason::CapacityPaused, description, "resume the capacity or add memory to it, then run it again", true)
        }
        FailureCause::Disabled => {
            let description = "did not run because refreshes are disabled for the model";
            end(RunState::Failed, Reason::RefreshDisabled, description, "enable them in the model's settings, then run it again", false)
        }
    }
}

/// A failure that the response describes only by its messages.
fn unknown_failure(kind: OperationKind, phase: Phase) -> FailureOutcome {
    let reason = match kind {
        OperationKind::Refresh => Reason::RefreshFailed,
        OperationKind::Sync => Reason::SyncFailed,
    };
    match phase {
        Phase::TimedOut => {
            let description = "exceeded the service's time limit";
            FailureOutcome { state: RunState::TimedOut, reason: Reason::TimedOut, description, remedy: "", retryable: true }
        }
        Phase::NotStarted | Phase::InProgress | Phase::Succeeded | Phase::Failed | Phase::Cancelled => {
            FailureOutcome { state: RunState::Failed, reason, description: "failed", remedy: "", retryable: true }
        }
    }
}
