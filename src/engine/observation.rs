//! What was just learnt, and what other resources have of it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Fault;
use crate::operation::{Cancellation, Listing, Look, OperationId, OperationKind, Presence, Resolution, Submission, Trouble};

/// What was just learnt. One variant for each effect, and [`Seen::Fault`] for what hindered it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nothing yet: this is a first look.
    Nothing,
    /// What the names of the model stand for.
    Resolved(Resolution),
    /// Whether it is this run's turn on its model.
    Turn(Turn),
    /// What became of a submission.
    Submission(Submission),
    /// What a look at the operation showed.
    Look(Look),
    /// What the service's listing showed.
    Listing {
        /// What was listed.
        kind: OperationKind,
        /// The operations, or why there are none.
        result: Result<Listing, Trouble>,
        /// Which of them are other resources'.
        taken: Taken,
    },
    /// What became of a cancellation.
    Cancellation(Cancellation),
    /// Whether a model still exists that the service says not to know.
    Presence(Presence),
    /// A call could not even be prepared.
    Trouble(Trouble),
    /// Something outside the service is wrong: a Secret, a reference, a permission.
    Fault(Fault),
}

/// Operations of other resources than the one that asks, by their ids in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Taken {
    /// Those that others follow or have followed: it adopts none of them.
    pub watched: BTreeSet<String>,
    /// Those that were let go, as far as they are remembered. Nobody of ours watches them any more, so to `conflictPolicy` they are
    /// another client's, as they are once they are forgotten.
    pub let_go: BTreeSet<String>,
    /// Those that others may have started, as they show their users. That proves nothing: each of them may as well be the one that the
    /// resource itself has started.
    pub candidates: BTreeSet<String>,
    /// When other resources recorded the intents of submissions on this model that are unresolved: each of them may have started an
    /// operation of this kind that no record names.
    pub unresolved: BTreeSet<Timestamp>,
}

impl Taken {
    /// Whether another resource has an operation, or had it when it was let go.
    pub(super) fn has(&self, id: &OperationId) -> bool {
        self.is_watched(id) || self.let_go.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource asks its user about an operation.
    pub(super) fn is_candidate(&self, id: &OperationId) -> bool {
        self.candidates.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource has an operation.
    pub(super) fn is_watched(&self, id: &OperationId) -> bool {
        self.watched.contains(&id.as_str().to_lowercase())
    }
}

/// Whether it is a run's turn on its model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It is.
    Granted,
    /// Another resource of this operator is ahead: its namespace and name.
    Behind(String),
}
