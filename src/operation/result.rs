//! What became of a call.

use std::time::Duration;

use super::description::Operation;
use super::error::Trouble;
use super::id::OperationId;

/// What became of a submission (POST).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Submission {
    /// The service has it, under this id.
    Accepted {
        /// The service's id for the operation.
        id: OperationId,
        /// Where the service said to look, where the operation is followed by it ([`Handle::location`](super::Handle::location)).
        location: Option<String>,
        /// The service's activity id, for a support case.
        activity_id: Option<String>,
        /// How long the service asked us to wait before the first look.
        retry_after: Option<Duration>,
    },
    /// There was nothing to start, and what was asked for holds: a synchronisation without replicas.
    Completed {
        /// One sentence for why.
        message: String,
    },
    /// Nothing was started, for certain.
    Refused(Trouble),
    /// Nothing was started, since another operation runs on the model.
    Busy {
        /// The service's sentence.
        message: String,
    },
    /// The operator sent nothing: it may not submit any more, or the intent is too old.
    Deferred {
        /// Why, in one sentence.
        message: String,
    },
    /// Nobody knows whether it was started: the answer was lost, or says nothing certain.
    Unanswered {
        /// What happened, in one sentence.
        message: String,
    },
}

/// What a look at one operation showed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// There it is.
    Found {
        /// As the service described it.
        operation: Box<Operation>,
        /// How long the service asked us to wait before the next look.
        retry_after: Option<Duration>,
        /// Where to look the next time, where the service said so ([`Handle::location`](super::Handle::location)).
        location: Option<String>,
    },
    /// The service does not know it (404).
    Gone,
    /// Nothing was learnt.
    Trouble(Trouble),
}

/// What became of a cancellation (DELETE). Only a look tells that the operation has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cancellation {
    /// The service will cancel it, by and by.
    Accepted,
    /// The service says that there is nothing to cancel: it has ended (409), or it is unknown (404).
    NothingToCancel,
    /// Nothing was learnt; the operation may be cancelled or not.
    Trouble(Trouble),
}

/// What became of looking up a model by its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// There is exactly one, and these are its ids.
    Found(ModelIds),
    /// There is none, or there are several. The sentence says of which name, and what to do.
    Unclear(String),
    /// Nothing was learnt.
    Trouble(Trouble),
}

/// The ids of a Power BI semantic model, GUIDs in lower case. They outlive a change of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelIds {
    /// The workspace's.
    pub group_id: String,
    /// The semantic model's.
    pub dataset_id: String,
}

/// What was found out about a model that the service says not to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It is there.
    There,
    /// It is not, and the identity would see it: it was deleted, or republished under another id.
    Gone,
    /// Nothing was learnt. The identity may have lost its access, which the services answer in the same way.
    Trouble(Trouble),
}
