//! An operation, as a service describes it.

use jiff::Timestamp;

use super::id::OperationId;
use super::request::ObjectName;

/// One operation, as a service described it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Id of the operation at the service.
    pub id: OperationId,
    /// State of the operation.
    pub phase: Phase,
    /// Status of the operation as the service reported it, at most 64 characters.
    pub service_status: String,
    /// When the operation started, by the clock of the service.
    pub start: Option<Timestamp>,
    /// When the operation ended, by the clock of the service.
    pub end: Option<Timestamp>,
    /// The refresh type in lower case, if the response contains it.
    pub refresh_type: Option<String>,
    /// The commit mode in lower case, if the response contains it.
    pub commit_mode: Option<String>,
    /// The objects, if the response contains any. Absent and empty are equivalent: both occur before the operation starts.
    pub objects: Vec<ObjectProgress>,
    /// Messages of the service: at most 50 different ones, causes before consequences.
    pub messages: Vec<ServiceMessage>,
    /// Activity id of the service, for a support case.
    pub activity_id: Option<String>,
    /// Why the operation failed, if it failed and the response contains the cause.
    pub failure: Option<FailureCause>,
    /// Who can have submitted the operation.
    pub origin: Origin,
    /// Whether its description could not be read, or only in part, or contradicts itself, so that a later list may show more of it.
    pub incomplete: bool,
}

impl Operation {
    /// An operation that a client of the API submitted, and of which only the state is known.
    #[must_use]
    pub fn new(id: OperationId, phase: Phase, service_status: String) -> Self {
        Self {
            id,
            phase,
            service_status,
            start: None,
            end: None,
            refresh_type: None,
            commit_mode: None,
            objects: Vec::new(),
            messages: Vec::new(),
            activity_id: None,
            failure: None,
            origin: Origin::Client,
            incomplete: false,
        }
    }
}

/// State of an operation, independent of the terms of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Accepted, not started yet.
    NotStarted,
    /// Running. An undocumented status counts as running: only a documented end is an end.
    InProgress,
    /// Succeeded. A sync that is `Finalizing` counts as succeeded: the replicas have the data, and the service cleans up afterwards.
    Succeeded,
    /// Failed.
    Failed,
    /// Ended by a time limit of the service.
    TimedOut,
    /// Cancelled.
    Cancelled,
}

impl Phase {
    /// Whether the operation has ended and no longer changes.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::NotStarted | Self::InProgress => false,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled => true,
        }
    }

    /// Whether the operation has ended without success.
    #[must_use]
    pub fn failed(self) -> bool {
        self.ended() && self != Self::Succeeded
    }
}

/// Who can have submitted an operation, as far as the service shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client of the API that this operator uses: this operator or another client.
    Client,
    /// The service does not show it, or shows an undocumented value. This is inconclusive: the operator never adopts such an operation
    /// without a user decision, and never cancels it as another client's.
    Unknown,
    /// A schedule, a user or the service itself. It is certainly not this operator's, and cannot be cancelled.
    External,
}

/// One object of an operation and its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectProgress {
    /// Name of the table or partition.
    pub name: ObjectName,
    /// State of the object.
    pub phase: Phase,
    /// Status of the object as the service reported it, at most 64 characters.
    pub service_status: String,
}

/// A message that the service attached to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceMessage {
    /// `Error` or `Warning`, as the service reported it.
    pub severity: String,
    /// Error code of the service, such as `0xC11C0020`.
    pub code: Option<String>,
    /// The text, at most 1,024 characters.
    pub text: String,
    /// Number of identical messages.
    pub times: u32,
}

/// Why an operation failed, if the response contains one of the documented causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCause {
    /// Power BI evicted the model from memory (`0xC11C0020`). Another attempt can succeed.
    Evicted,
    /// Analysis Services moved the model to another node or lost the request ("Please resubmit"). Another attempt can succeed.
    NodeMoved,
    /// One attempt exceeded the time limit of the service (Power BI: `timeout`, by default 5 hours).
    AttemptTimeLimit,
    /// All attempts together exceeded the time limit of the service (Power BI: 24 hours).
    TotalTimeLimit,
    /// The capacity is paused or out of memory.
    CapacityPaused,
    /// Refreshes are disabled for the model.
    Disabled,
}

/// Replaces a token in a text from a service. A name that contains it differs from the name at the service.
pub const REDACTED: &str = "[redacted]";
