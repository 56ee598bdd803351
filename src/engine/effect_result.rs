//! The result of the last effect, and which operations belong to other resources.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Blocker;
use crate::operation::{
    CancelResult, Listing, ModelExistence, ModelLookup, OperationId, OperationKind, PollResult, ServiceError, SubmitResult,
};

/// The result of the last effect. One variant for each effect that has a result, and [`EffectResult::CallFailed`] and
/// [`EffectResult::Blocked`] for a call that could not be prepared or timed out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EffectResult {
    /// Nothing yet: this is the first decision of a reconciliation.
    None,
    /// The ids that the names of the model were resolved to.
    ModelResolved(ModelLookup),
    /// The response of the queue of the model.
    Turn(Turn),
    /// The result of a submission.
    Submitted(SubmitResult),
    /// The result of a poll.
    Polled(PollResult),
    /// The service's list.
    Listed {
        /// The kind of the listed operations.
        kind: OperationKind,
        /// The operations, or why there are none.
        result: Result<Listing, ServiceError>,
        /// Which of them belong to other resources.
        claimed: ClaimedOperations,
    },
    /// The result of a cancellation.
    CancelRequested(CancelResult),
    /// Whether a model still exists that the service reported as not found.
    ModelChecked(ModelExistence),
    /// A call could not be prepared, or timed out while its namespace is being deleted.
    CallFailed(ServiceError),
    /// What blocks the call, outside the service: in a Secret, a reference or a permission.
    Blocked(Blocker),
}

/// Operations of other resources, by their ids in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClaimedOperations {
    /// Operations that other resources track or have tracked. None of them is adopted.
    pub active: BTreeSet<String>,
    /// Operations that were orphaned, as far as they are remembered. This operator no longer tracks them, so `conflictPolicy` treats them
    /// as another client's.
    pub orphaned: BTreeSet<String>,
    /// Candidates of other resources. Each of them may also be the operation that this resource started.
    pub candidates: BTreeSet<String>,
    /// The intents of other resources' unresolved submissions on this model. Each of them may have started an operation of this kind that
    /// no record names.
    pub unresolved: BTreeSet<Timestamp>,
}

impl ClaimedOperations {
    /// Whether another resource tracks an operation, or orphaned it.
    pub(super) fn contains(&self, id: &OperationId) -> bool {
        self.is_active(id) || self.orphaned.contains(&id.as_str().to_lowercase())
    }

    /// Whether an operation is a candidate of another resource.
    pub(super) fn is_candidate(&self, id: &OperationId) -> bool {
        self.candidates.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource tracks an operation.
    pub(super) fn is_active(&self, id: &OperationId) -> bool {
        self.active.contains(&id.as_str().to_lowercase())
    }
}

/// The response of the queue of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It is the turn of the run.
    Granted,
    /// Another resource is ahead: how a message names it.
    Behind(String),
}
