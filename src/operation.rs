//! The words for an operation at a service: what is asked, and what the service was seen to say.
//!
//! Both services' clients speak in these words and the decision understands nothing else, so no HTTP
//! status, header or body travels further in than [`crate::service`]. No I/O and no Kubernetes here.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The id that a service gave to an operation (Analysis Services `refreshId`, Power BI `requestId`).
///
/// Always 1 to 128 characters of `A-Z a-z 0-9 - _`, so it can stand in a URL path, a label or a log line as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// Takes an id from outside; `None` where it is empty, too long, or not safe in a URL path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ((1..=128).contains(&text.len()) && text.chars().all(safe)).then(|| Self(text.to_owned()))
    }

    /// The id as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two spellings name the same operation: the services write GUIDs in either case.
    #[must_use]
    pub fn same(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One table, or one partition of a table, as a refresh request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The table.
    pub table: String,
    /// One partition of the table; `None` is the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// What a refresh is asked to do: the service's own parameters. `None` leaves the service's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RefreshRequest {
    /// `full`, `clearValues`, `calculate`, `dataOnly`, `automatic` or `defragment`.
    pub refresh_type: Option<String>,
    /// `transactional` or `partialBatch`.
    pub commit_mode: Option<String>,
    /// Threads that run the processing commands.
    pub max_parallelism: Option<i32>,
    /// How often the service itself tries again.
    pub retry_count: Option<i32>,
    /// What to refresh; empty is the whole model.
    pub objects: Vec<ObjectName>,
    /// Power BI alone: whether an incremental refresh policy is applied.
    pub apply_refresh_policy: Option<bool>,
    /// Power BI alone: the date that the policy takes for today, `YYYY-MM-DD`.
    pub effective_date: Option<String>,
    /// Power BI alone: how long one attempt may take.
    pub attempt_timeout: Option<Duration>,
}

/// What sort of operation: the engine decides both alike, by what [`OperationKind::offers`] says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// A refresh of the model's data.
    Refresh,
    /// A synchronisation of the read-only replicas with the model.
    Sync,
}

/// What the services offer for a sort of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whether one that runs can be cancelled.
    pub cancel: bool,
    /// Whether the service itself refuses one while a refresh of the model runs. Where nobody knows that it does, the listing of
    /// refreshes is read before anything is submitted.
    pub refused_during_refresh: bool,
}

impl OperationKind {
    /// What the services offer for it. Neither has a way to cancel a synchronisation.
    #[must_use]
    pub fn offers(self) -> Offers {
        match self {
            Self::Refresh => Offers { cancel: true, refused_during_refresh: true },
            Self::Sync => Offers { cancel: false, refused_during_refresh: false },
        }
    }

    /// What people call one.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Sync => "synchronisation",
        }
    }
}

/// What is asked of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A refresh with these parameters.
    Refresh(RefreshRequest),
    /// A synchronisation of the replicas, which has no parameters.
    Sync,
}

impl Request {
    /// What sort of operation it asks for.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Refresh(_) => OperationKind::Refresh,
            Self::Sync => OperationKind::Sync,
        }
    }

    /// The parameters, where it asks for a refresh.
    #[must_use]
    pub fn as_refresh(&self) -> Option<&RefreshRequest> {
        match self {
            Self::Refresh(request) => Some(request),
            Self::Sync => None,
        }
    }
}

/// How to find an operation again: its id, and where the service said to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The service's id for it; for a service that gives none, what the client made of its answer. Two synchronisations may then
    /// have the same id, where nothing has changed between them: an accepted one is followed whatever ids were there before.
    pub id: OperationId,
    /// The `Location` of the service's last answer, at most 2,048 characters, where an operation is followed by it: each
    /// answer about a synchronisation may name another. Checked against the host that is called before each use.
    pub location: Option<String>,
}

impl Handle {
    /// A handle by the id alone.
    #[must_use]
    pub fn by_id(id: OperationId) -> Self {
        Self { id, location: None }
    }
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

/// The operations of a model in a window of time, as its listing showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Those that run, whenever they began, and those that began in the window asked for. Newest first.
    /// Each is looked at one by one (type and objects) as far as the service allows; at most 50.
    pub operations: Vec<Operation>,
    /// Whether more matched than are shown here, so absence from it proves nothing.
    pub truncated: bool,
    /// Whether one that runs may be among those that are not shown, so none here does not mean that none runs.
    pub may_hide_running: bool,
    /// A running operation without an id that is certainly not this operator's.
    pub unnamed: Option<UnnamedOperation>,
    /// How far the service's clock is ahead of ours, where it said what it shows.
    pub ahead: Option<Ahead>,
}

/// A running operation of origin [`Origin::External`] that its list shows without an id: Power BI shows some that a person
/// started in its portal so (seen in public reports).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnnamedOperation {
    /// When it started, by the service's clock.
    pub start: Option<Timestamp>,
}

/// What stands in the place of a token in a text of a service. A name that holds it is not the name as the service has it.
pub const REDACTED: &str = "[redacted]";

/// How far the service's clock is ahead of ours. It was read at some time during a call, so by our clock between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ahead {
    /// At least so far: it was read at the end of the call.
    pub least: SignedDuration,
    /// At most so far: it was read at the beginning of the call.
    pub most: SignedDuration,
}

impl Ahead {
    /// A difference that is not believed: a gateway's cached `Date`, rather.
    const UNBELIEVABLE: SignedDuration = SignedDuration::from_hours(1);

    /// Whether both bounds are within what a clock may be off.
    #[must_use]
    pub fn is_believable(self) -> bool {
        self.least.abs().max(self.most.abs()) <= Self::UNBELIEVABLE
    }

    /// What a clock that shows `server` is ahead of ours, where it was read between two moments of ours.
    #[must_use]
    pub fn of(server: Timestamp, (asked, heard): (Timestamp, Timestamp)) -> Self {
        Self { least: server.duration_since(heard), most: server.duration_since(asked) }
    }
}

/// Why a service, or an identity provider, gave no useful answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TroubleKind {
    /// No connection, or no answer in time.
    Unreachable,
    /// Too many calls of this identity (429).
    Throttled,
    /// The capacity has exceeded its limits: nothing was started, and other capacities are not affected.
    CapacityExceeded,
    /// The service failed (5xx).
    ServiceError,
    /// An answer that is not the service's: HTML, truncated, too large, redirected, another host's.
    InvalidAnswer,
    /// The identity provider refuses the credentials.
    CredentialsRefused,
    /// Whoever is to vouch for the identity may not, or does not know it.
    AssertionRefused,
    /// The service refuses the identity (401, 403, or Analysis Services' 400 `Unauthorized`).
    AccessDenied,
    /// The server, model, workspace or semantic model is not there.
    NotFound,
    /// The model's owner no longer exists.
    OwnerNotFound,
    /// The server or capacity is paused or scaling.
    Paused,
    /// A quota is used up.
    QuotaExceeded,
    /// The model's replicas cannot be synchronised until somebody switches something on (query scale-out).
    ScaleOutOff,
    /// The service says that the request itself is wrong.
    Rejected,
}

/// A call that brought nothing, in words that a user can act on. Never holds a secret or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// What sort of trouble it is.
    pub kind: TroubleKind,
    /// One sentence, at most 1,024 characters: what happened, and what to do where we know. Holds nothing that
    /// differs from one try to the next (no ids of the call, and no time but the end of a throttle), so that a repeat is recognized as one.
    pub message: String,
    /// How long the service asked us to stay away.
    pub retry_after: Option<Duration>,
    /// The service's activity id, for a support case.
    pub activity_id: Option<String>,
}

/// What became of a submission (POST).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Submission {
    /// The service has it, under this id.
    Accepted {
        /// The service's id for the operation.
        id: OperationId,
        /// Where the service said to look, where the operation is followed by it ([`Handle::location`]).
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
        /// Where to look the next time, where the service said so ([`Handle::location`]).
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
    /// It is not, and the identity would see it: it was deleted, or published anew under another id.
    Gone,
    /// Nothing was learnt. The identity may have lost its access, which the services answer in the same way.
    Trouble(Trouble),
}
