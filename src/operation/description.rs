//! An operation, as a service describes it.

use jiff::Timestamp;

use super::id::OperationId;
use super::request::ObjectName;

/// One operation, as a service described it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The service's id for it.
    pub id: OperationId,
    /// Where it stands.
    pub phase: Phase,
    /// The service's own word for the phase, at most 64 characters.
    pub reported: String,
    /// When it began, by the service's clock.
    pub start: Option<Timestamp>,
    /// When it ended, by the service's clock.
    pub end: Option<Timestamp>,
    /// The refresh type in lower case, where this answer said so.
    pub refresh_type: Option<String>,
    /// Its objects, where this answer had any. Absent and empty are the same: both are seen before it begins.
    pub objects: Vec<ObjectProgress>,
    /// What the service reports about it: at most 50 different messages, causes before consequences.
    pub messages: Vec<ServiceMessage>,
    /// The service's activity id, for a support case.
    pub activity_id: Option<String>,
    /// Why it failed, where it did and the answer tells.
    pub failure: Option<Failure>,
    /// Who can have submitted it.
    pub origin: Origin,
    /// Whether its description could not be read this time, or only in part, so that a later list may show more of it.
    pub unread: bool,
}

/// Where an operation stands, whatever the service calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Accepted, not yet begun.
    NotStarted,
    /// Under way. A state that nobody has documented counts as this: only a known end is an end.
    InProgress,
    /// Ended well. A synchronisation that is `Finalizing` has: the replicas have the data, and the service cleans up after it.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by the service's own time limit.
    TimedOut,
    /// Ended because somebody cancelled it.
    Cancelled,
}

impl Phase {
    /// Whether the operation will change no more.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::NotStarted | Self::InProgress => false,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled => true,
        }
    }
}

/// Who can have submitted an operation, as far as the service shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client of the API that this operator uses: this operator, or another client of it.
    Client,
    /// The service does not show it, or shows a value that this version does not know. It proves nothing: such an operation is
    /// never adopted without a user decision, and never cancelled as another client's.
    Unknown,
    /// A schedule, a person or the service itself. It is certainly not this operator's, and cannot be cancelled.
    External,
}

/// One object of an operation and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectProgress {
    /// Which table or partition.
    pub name: ObjectName,
    /// Where it stands.
    pub phase: Phase,
    /// The service's own word for it, at most 64 characters.
    pub reported: String,
}

/// A message that the service attached to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceMessage {
    /// `Error` or `Warning`, as the service wrote it.
    pub severity: String,
    /// The service's code, such as `0xC11C0020`.
    pub code: Option<String>,
    /// The text, at most 1,024 characters.
    pub text: String,
    /// How many identical messages there were.
    pub times: u32,
}

/// Why an operation failed, where the service's answer tells one of the causes that it documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The model was evicted from memory (Power BI, `0xC11C0020`): run it again.
    Evicted,
    /// The node was moved or lost the request (Analysis Services, "Please resubmit"): run it again.
    NodeMoved,
    /// One attempt took longer than the service allows (Power BI: `timeout`, 5 hours where it is not set).
    AttemptTimeLimit,
    /// All attempts together took longer than the service allows (Power BI: 24 hours).
    TotalTimeLimit,
    /// The capacity is paused or out of memory.
    CapacityPaused,
    /// Refreshes are switched off for the model.
    Disabled,
}

/// What stands in the place of a token in a text of a service. A name that holds it is not the name as the service has it.
pub const REDACTED: &str = "[redacted]";
