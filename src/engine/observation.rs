//! The result of the last effect, and which operations belong to other resources.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Fault;
use crate::operation::{Cancellation, Listing, Look, OperationId, OperationKind, Presence, Resolution, Submission, Trouble};

/// The result of the last effect. One variant for each effect, and [`Seen::Fault`] for what blocked it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nothing yet: this is the first decision of a reconciliation.
    Nothing,
    /// The ids that the names of the model were resolved to.
    Resolved(Resolution),
    /// The response of the queue of the model.
    Turn(Turn),
    /// The result of a submission.
    Submission(Submission),
    /// The result of a poll.
    Look(Look),
    /// The service's list.
    Listing {
        /// The kind of the listed operations.
        kind: OperationKind,
        /// The operations, or why there are none.
        result: Result<Listing, Trouble>,
        /// Which of them belong to other resources.
        taken: Taken,
    },
    /// The result of a cancellation.
    Cancellation(Cancellation),
    /// Whether a model still exists that the service reported as not found.
    Presence(Presence),
    /// A call could not be prepared.
    Trouble(Trouble),
    /// A fault outside the service: in a Secret, a reference or a permission.
    Fault(Fault),
}

/// Operations of other resources, by their ids in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Taken {
    /// Operations that other resources track or have tracked. None of them is adopted.
    pub watched: BTreeSet<String>,
    /// Operations that were orphaned, as far as they are remembered. This operator no longer tracks them, so `conflictPolicy` treats them
    /// as another client's.
    pub let_go: BTreeSet<String>,
    /// Candidates of other resources. Each of them may also be the operation that this resource started.
    pub candidates: BTreeSet<String>,
    /// The intents of other resources' unresolved submissions on this model. Each of them may have started an operation of this kind that
    /// no record names.
    pub unresolved: BTreeSet<Timestamp>,
}

impl Taken {
    /// Whether another resource tracks an operation, or orphaned it.
    pub(super) fn has(&self, id: &OperationId) -> bool {
        self.is_watched(id) || self.let_go.contains(&id.as_str().to_lowercase())
    }

    /// Whether an operation is a candidate of another resource.
    pub(super) fn is_candidate(&self, id: &OperationId) -> bool {
        self.candidates.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource tracks an operation.
    pub(super) fn is_watched(&self, id: &OperationId) -> bool {
        self.watched.contains(&id.as_str().to_lowercase())
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
