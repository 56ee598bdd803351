//! The values of metric labels. The sets are closed, so that no name of an object becomes a label value.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::api::{Kind, Reason, RunState, TriggerType, UnrecognizedValue};
use crate::operation::{CallFault, CallKind, IdentityKind, ServiceKind};

/// A value of a closed set that labels metrics.
pub trait LabelValue: Copy {
    /// The text of the label.
    fn label(self) -> &'static str;
}

/// A label of a time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(&'static str);

impl<T: LabelValue> From<T> for Label {
    fn from(value: T) -> Self {
        Self(value.label())
    }
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0)
    }
}

impl LabelValue for Kind {
    fn label(self) -> &'static str {
        self.as_str()
    }
}

impl LabelValue for Reason {
    fn label(self) -> &'static str {
        self.as_str()
    }
}

impl LabelValue for RunState {
    fn label(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Submitting => "Submitting",
            Self::Running => "Running",
            Self::Cancelling => "Cancelling",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelled => "Cancelled",
            Self::Unrecognized(_) => "Newer",
        }
    }
}

impl LabelValue for TriggerType {
    fn label(self) -> &'static str {
        match self {
            Self::Creation => "Creation",
            Self::Change => "Change",
            Self::Request => "Request",
            Self::Schedule => "Schedule",
            Self::AfterRefresh => "AfterRefresh",
            Self::Unrecognized(_) => "Newer",
        }
    }
}

impl LabelValue for ServiceKind {
    fn label(self) -> &'static str {
        match self {
            Self::AnalysisServices => "analysis-services",
            Self::PowerBi => "power-bi",
        }
    }
}

impl LabelValue for CallKind {
    fn label(self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Poll(_) => "get",
            Self::List(_) => "list",
            Self::Cancel => "cancel",
            Self::Resolve => "resolve",
        }
    }
}

impl LabelValue for IdentityKind {
    fn label(self) -> &'static str {
        match self {
            Self::ServicePrincipal => "service-principal",
            Self::WorkloadIdentity => "workload-identity",
            Self::ManagedIdentity => "managed-identity",
            Self::Operator => "operator",
        }
    }
}

/// The states of a run that has not ended.
pub const ACTIVE_STATES: [RunState; 4] = [RunState::Waiting, RunState::Submitting, RunState::Running, RunState::Cancelling];

/// The states of a run that has ended.
pub const END_STATES: [RunState; 4] = [RunState::Succeeded, RunState::Failed, RunState::TimedOut, RunState::Cancelled];

/// What starts runs. The last is for triggers that only a newer version of the operator defines.
#[must_use]
pub fn triggers() -> [TriggerType; 6] {
    let newer = TriggerType::Unrecognized(UnrecognizedValue::from(""));
    [TriggerType::Creation, TriggerType::Change, TriggerType::Request, TriggerType::Schedule, TriggerType::AfterRefresh, newer]
}

/// Defines a set of label values that the operator has no other type for.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }

        impl LabelValue for $name {
            fn label(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

label! {
    /// Result of a reconciliation.
    ReconcileResult {
        /// It completed.
        Success = "success",
        /// Its view of the resource was stale. The next reconciliation reads it again.
        Conflict = "conflict",
        /// It failed and is retried later.
        Error = "error",
        /// It exceeded its timeout.
        Timeout = "timeout",
        /// It panicked, which is a bug.
        Panic = "panic",
    }
}

/// The combinations of state and reason in which a run ends. Runs that were cancelled or released with their resource count as cancelled.
pub const ENDS: &[(RunState, Reason)] = &[
    (RunState::Succeeded, Reason::Succeeded),
    (RunState::Failed, Reason::RefreshFailed),
    (RunState::Failed, Reason::SyncFailed),
    (RunState::Failed, Reason::Evicted),
    (RunState::Failed, Reason::NodeMoved),
    (RunState::Failed, Reason::CapacityPaused),
    (RunState::Failed, Reason::RefreshDisabled),
    (RunState::Failed, Reason::RequestDropped),
    (RunState::Failed, Reason::OperationLost),
    (RunState::Failed, Reason::Conflict),
    (RunState::Failed, Reason::RequestRejected),
    (RunState::Failed, Reason::ContradictoryAnswer),
    (RunState::TimedOut, Reason::AttemptTimeLimit),
    (RunState::TimedOut, Reason::TotalTimeLimit),
    (RunState::TimedOut, Reason::TimedOut),
    (RunState::TimedOut, Reason::DeadlineExceeded),
    (RunState::TimedOut, Reason::WaitDeadlineExceeded),
    (RunState::Cancelled, Reason::Cancelled),
    (RunState::Cancelled, Reason::CancelledOnRequest),
    (RunState::Cancelled, Reason::Replaced),
    (RunState::Cancelled, Reason::Uninstalled),
    (RunState::Cancelled, Reason::Deleted),
    (RunState::Cancelled, Reason::Released),
];

label! {
    /// Summary of the conditions of a resource.
    ResourceStatus {
        /// Its latest run succeeded, or nothing is requested.
        Ready = "ready",
        /// A run is in progress or about to start.
        Reconciling = "reconciling",
        /// A user must act: its run failed, or something prevents it from starting.
        Stalled = "stalled",
        /// Its last run was cancelled as a user or a new trigger requested. Its condition Stalled is True, but no user must act.
        Cancelled = "cancelled",
        /// `spec.suspend` is true, whatever the outcome of its last run. A run that was submitted and has not ended comes first.
        Suspended = "suspended",
        /// The operator cannot decode it and does not act on it.
        Undecodable = "undecodable",
    }
}

label! {
    /// Result of sending spans to the collector.
    ExportResult {
        /// The collector accepted them.
        Success = "success",
        /// They are lost.
        Error = "error",
    }
}

label! {
    /// The result of a call: the class of the status code, with separate values where alerts need them.
    CallCode {
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399. The operator never follows a redirect to another host.
        Redirect = "3xx",
        /// 401 and 403.
        Denied = "denied",
        /// 404.
        NotFound = "404",
        /// 409.
        Conflict = "409",
        /// 429.
        Throttled = "429",
        /// Any other of 400 to 499.
        ClientError = "4xx",
        /// 500 to 599.
        ServerError = "5xx",
        /// No response, or only a part of it, before the timeout.
        Timeout = "timeout",
        /// No connection, or a broken one.
        Connection = "connection",
        /// The response exceeds the size limit.
        Unreadable = "unreadable",
    }
}

impl CallCode {
    /// The result for this HTTP status, if there is a response, and this fault.
    #[must_use]
    pub fn of(status: Option<u16>, fault: Option<CallFault>) -> Self {
        match (fault, status) {
            (Some(CallFault::Timeout), _) => Self::Timeout,
            (Some(CallFault::Connection), _) | (None, None) => Self::Connection,
            (Some(CallFault::TooLarge | CallFault::Compressed), _) => Self::Unreadable,
            (None, Some(status)) => match status {
                200..=299 => Self::Success,
                300..=399 => Self::Redirect,
                401 | 403 => Self::Denied,
                404 => Self::NotFound,
                409 => Self::Conflict,
                429 => Self::Throttled,
                400..=499 => Self::ClientError,
                500..=599 => Self::ServerError,
                _ => Self::Unreadable,
            },
        }
    }
}

label! {
    /// A write to the Kubernetes API.
    Write {
        /// Adding or removing a finalizer.
        Finalizer = "finalizer",
        /// Removing an annotation.
        Annotation = "annotation",
        /// A status: an intent, a result, or an end.
        Status = "status",
        /// An event.
        Event = "event",
    }
}

label! {
    /// Result of a write to the Kubernetes API.
    WriteResult {
        /// The write succeeded.
        Success = "success",
        /// The write was rejected because the object has changed.
        Conflict = "conflict",
        /// An admission policy, a permission or the resource definition rejected the write.
        Refused = "refused",
        /// The write failed, or its result is unknown.
        Error = "error",
    }
}

label! {
    /// Result of a token request.
    TokenResult {
        /// The provider issued a token.
        Success = "success",
        /// The identity provider rejected the credentials.
        Refused = "refused",
        /// The request failed.
        Error = "error",
    }
}

impl TokenResult {
    /// The result for this HTTP status, if there is a response.
    #[must_use]
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Success,
            Some(400..=499) => Self::Refused,
            Some(_) | None => Self::Error,
        }
    }
}

label! {
    /// A collection in the memory of the leader.
    Collection {
        /// Resources in the caches of the watches.
        Cache = "cache",
        /// Resources whose changes by other clients the watches detect.
        Changes = "changes",
        /// Resources in the index for gauges, claims and per-resource metrics.
        Index = "index",
        /// Names of resources that were reconciled, with their uids.
        Names = "names",
        /// The state of each resource between two reconciliations.
        LocalStates = "local-states",
        /// Reconciliations that are due at some time, or in progress.
        Schedule = "schedule",
        /// Resources that hold the turn on a model or wait for it.
        Turns = "turns",
        /// Resources with `trigger.afterRefresh`.
        Dependents = "dependents",
        /// The refreshes that they name.
        Upstreams = "upstreams",
        /// Resources whose operation may be running.
        Operations = "operations",
        /// Deleted resources whose operation is tracked to its end.
        Detached = "detached",
        /// Resources with claimed operations, also deleted ones, of which at most 1,000 are kept.
        Claims = "claims",
        /// Identities that were read, with the credentials that reference them.
        Identities = "identities",
        /// Identities that a service refused recently.
        Denials = "denials",
        /// Namespaces that were reported because the operator may not read them.
        UnreadableNamespaces = "unreadable-namespaces",
        /// Tokens, and failed requests for them.
        Tokens = "tokens",
        /// Backoffs that services requested.
        Backoffs = "backoffs",
        /// Servers whose calls in flight are counted.
        Servers = "servers",
        /// Events that wait to be written.
        Events = "events",
        /// Reconciliations, requests about resources and calls to servers that hold a permit or wait for one.
        Permits = "permits",
    }
}

label! {
    /// Resolution of a submission whose response was lost.
    SubmissionResolution {
        /// It is unknown whether the operation started.
        Detected = "detected",
        /// The operation started, and the run tracks it.
        Adopted = "adopted",
        /// The operation did not start, and was submitted again.
        Resubmitted = "resubmitted",
        /// A user must decide.
        Held = "held",
    }
}
