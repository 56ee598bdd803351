//! Results of calls.

use std::time::Duration;

use super::error::ServiceError;
use super::id::OperationId;
use super::observed_operation::Operation;

/// Result of a submission (POST).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubmitResult {
    /// The service accepted the operation with this id.
    Accepted {
        /// Id of the operation at the service.
        id: OperationId,
        /// The URL for polling, if the operation is polled by it ([`OperationRef::location`](super::OperationRef::location)).
        location: Option<String>,
        /// Activity id of the service, for a support case.
        activity_id: Option<String>,
        /// The wait before the first poll that the service requested.
        retry_after: Option<Duration>,
    },
    /// Nothing had to be started, because the requested state exists: a sync without replicas.
    NothingToDo {
        /// The reason, in one sentence.
        message: String,
    },
    /// Certainly nothing was started.
    NotStarted(ServiceError),
    /// Nothing was started, because another operation of the model is running.
    Busy {
        /// The message of the service.
        message: String,
    },
    /// The operator sent nothing: it may no longer submit, or the intent is too old.
    Deferred {
        /// The reason, in one sentence.
        message: String,
    },
    /// It is unknown whether an operation was started: the response was lost or is inconclusive.
    Unknown {
        /// What happened, in one sentence.
        message: String,
    },
}

/// Result of polling one operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PollResult {
    /// The service returned the operation.
    Found {
        /// The operation as the service described it.
        operation: Box<Operation>,
        /// The wait before the next poll that the service requested.
        retry_after: Option<Duration>,
        /// The URL for the next poll, if the service returned one ([`OperationRef::location`](super::OperationRef::location)).
        location: Option<String>,
    },
    /// The service does not know the operation (404).
    NotFound,
    /// The call failed.
    Failed(ServiceError),
}

/// Result of a cancellation (DELETE). Only a poll shows that the operation has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CancelResult {
    /// The service will cancel the operation eventually.
    Accepted,
    /// The service reports nothing to cancel: the operation has ended (409) or is unknown (404).
    NotRunning,
    /// The call failed. The operation may or may not be cancelled.
    Failed(ServiceError),
}

/// Result of resolving a model by its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelLookup {
    /// Exactly one model has these names; these are its ids.
    Found(ModelIds),
    /// No model, or more than one, has these names. The sentence states which name, and the remedy.
    Ambiguous(String),
    /// The call failed.
    Failed(ServiceError),
}

/// The ids of a Power BI semantic model, GUIDs in lower case. They do not change if its names do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelIds {
    /// Id of the workspace.
    pub group_id: String,
    /// Id of the semantic model.
    pub dataset_id: String,
}

/// Whether a model exists that the service reported as unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelExistence {
    /// The model exists.
    Exists,
    /// The model does not exist, and the identity would see it: it was deleted, or republished under another id.
    Absent,
    /// The call failed. The identity may have lost its access; the services respond in the same way.
    Failed(ServiceError),
}
