//! The values that metric labels can take: closed sets, so that no name of anybody's object becomes a time series.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::api::{Kind, Reason, RunState, TriggerType};

/// A set of label values and how each is written.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As the label has it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(self.as_str())
            }
        }
    };
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

label! {
    /// How a reconcile pass ended.
    ReconcileResult {
        /// It did what there was to do.
        Success = "success",
        /// The view that it was made on was stale; the next pass looks again.
        Conflict = "conflict",
        /// It failed, and is tried again later.
        Error = "error",
        /// It took longer than a pass may.
        Timeout = "timeout",
        /// It panicked: a bug.
        Panic = "panic",
    }
}

label! {
    /// A state in which a run still has something before it.
    ActiveState {
        /// Waits for its turn.
        Waiting = "Waiting",
        /// Is being submitted.
        Submitting = "Submitting",
        /// Runs at the service.
        Running = "Running",
        /// Is being cancelled.
        Cancelling = "Cancelling",
    }
}

label! {
    /// A state in which a run has ended.
    EndState {
        /// It did what was asked.
        Succeeded = "Succeeded",
        /// It failed.
        Failed = "Failed",
        /// It took too long.
        TimedOut = "TimedOut",
        /// It was cancelled.
        Cancelled = "Cancelled",
    }
}

impl EndState {
    /// The end that a state is; `None` where it is none.
    #[must_use]
    pub fn of(state: RunState) -> Option<Self> {
        match state {
            RunState::Waiting | RunState::Submitting | RunState::Running | RunState::Cancelling | RunState::Newer(_) => None,
            RunState::Succeeded => Some(Self::Succeeded),
            RunState::Failed => Some(Self::Failed),
            RunState::TimedOut => Some(Self::TimedOut),
            RunState::Cancelled => Some(Self::Cancelled),
        }
    }
}

/// The ways in which a run ends, by state and reason. Those that were cancelled or let go with their resource are among the
/// cancelled.
pub const ENDS: &[(EndState, Reason)] = &[
    (EndState::Succeeded, Reason::Succeeded),
    (EndState::Failed, Reason::RefreshFailed),
    (EndState::Failed, Reason::SyncFailed),
    (EndState::Failed, Reason::Evicted),
    (EndState::Failed, Reason::NodeMoved),
    (EndState::Failed, Reason::CapacityPaused),
    (EndState::Failed, Reason::RefreshDisabled),
    (EndState::Failed, Reason::RequestDropped),
    (EndState::Failed, Reason::OperationLost),
    (EndState::Failed, Reason::Conflict),
    (EndState::Failed, Reason::RequestRejected),
    (EndState::Failed, Reason::ContradictoryAnswer),
    (EndState::TimedOut, Reason::AttemptTimeLimit),
    (EndState::TimedOut, Reason::TotalTimeLimit),
    (EndState::TimedOut, Reason::TimedOut),
    (EndState::TimedOut, Reason::DeadlineExceeded),
    (EndState::TimedOut, Reason::WaitDeadlineExceeded),
    (EndState::Cancelled, Reason::Cancelled),
    (EndState::Cancelled, Reason::CancelledOnRequest),
    (EndState::Cancelled, Reason::Replaced),
    (EndState::Cancelled, Reason::Uninstalled),
    (EndState::Cancelled, Reason::Deleted),
    (EndState::Cancelled, Reason::Released),
];

/// Why a run ended: a reason of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndReason(Reason);

impl From<Reason> for EndReason {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl EncodeLabelValue for EndReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

label! {
    /// What started a run.
    Trigger {
        /// The resource is new.
        Creation = "Creation",
        /// What is to be done has changed.
        Change = "Change",
        /// Somebody asked for it.
        Request = "Request",
        /// Its schedule was due.
        Schedule = "Schedule",
        /// The refresh that it follows succeeded.
        AfterRefresh = "AfterRefresh",
        /// What only a newer version of the operator knows, which has recorded it.
        Newer = "Newer",
    }
}

impl From<TriggerType> for Trigger {
    fn from(trigger: TriggerType) -> Self {
        match trigger {
            TriggerType::Creation => Self::Creation,
            TriggerType::Change => Self::Change,
            TriggerType::Request => Self::Request,
            TriggerType::Schedule => Self::Schedule,
            TriggerType::AfterRefresh => Self::AfterRefresh,
            TriggerType::Newer(_) => Self::Newer,
        }
    }
}

label! {
    /// How a resource stands, by its conditions.
    Standing {
        /// Ready: its latest run has succeeded, or nothing is asked for.
        Ready = "ready",
        /// A run is under way, or is about to be.
        Reconciling = "reconciling",
        /// A person is needed: its run has failed, or something keeps it from beginning.
        Stalled = "stalled",
        /// A run waits for `spec.suspend` to be false.
        Suspended = "suspended",
        /// It cannot be decoded, and is left alone.
        Undecodable = "undecodable",
    }
}

label! {
    /// What came of sending spans to the collector of traces.
    ExportResult {
        /// It took them.
        Success = "success",
        /// They are lost.
        Error = "error",
    }
}

label! {
    /// The service that is called.
    Service {
        /// Azure Analysis Services.
        AnalysisServices = "analysis-services",
        /// Power BI.
        PowerBi = "power-bi",
    }
}

label! {
    /// What is called.
    Route {
        /// Starts an operation.
        Submit = "submit",
        /// Looks at one operation.
        Look = "look",
        /// Lists the operations.
        List = "list",
        /// Cancels an operation.
        Cancel = "cancel",
        /// Finds a name's id.
        Resolve = "resolve",
    }
}

label! {
    /// What came back of a call: the class of the status, and apart from it what an alert must tell apart.
    Answer {
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399: a redirect is never followed to another host.
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
        /// No answer, or not all of it, within the time allowed.
        Timeout = "timeout",
        /// No connection, or a broken one.
        Connection = "connection",
        /// An answer that is larger than anything that is read.
        Unreadable = "unreadable",
    }
}

impl Answer {
    /// The answer with this HTTP status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            409 => Self::Conflict,
            429 => Self::Throttled,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Unreadable,
        }
    }
}

label! {
    /// What is written to the Kubernetes API.
    Write {
        /// A finalizer, put on or taken off.
        Finalizer = "finalizer",
        /// A status: an intent, an outcome, an end.
        Status = "status",
        /// A status that says no more than how far a run has come.
        Progress = "progress",
        /// An event.
        Event = "event",
    }
}

label! {
    /// What came of a write to the Kubernetes API.
    WriteResult {
        /// Written.
        Success = "success",
        /// Refused, since the object has changed.
        Conflict = "conflict",
        /// Refused for what it is: by an admission policy, a permission, or the resource definition.
        Refused = "refused",
        /// Failed, or nobody knows.
        Error = "error",
    }
}

label! {
    /// Whose token is asked for.
    Identity {
        /// A Secret's service principal.
        ServicePrincipal = "service-principal",
        /// A federated `ServiceAccount`.
        WorkloadIdentity = "workload-identity",
        /// A managed identity.
        ManagedIdentity = "managed-identity",
        /// The operator's own.
        Operator = "operator",
    }
}

label! {
    /// What came of asking for a token.
    TokenResult {
        /// A new token.
        Success = "success",
        /// The identity provider said no: the credentials are wrong.
        Refused = "refused",
        /// It could not be asked.
        Error = "error",
    }
}

label! {
    /// What became of a submission whose answer was lost.
    UnknownSubmission {
        /// Nobody knows yet whether it started.
        Observed = "observed",
        /// It had started, and is followed.
        Adopted = "adopted",
        /// It had not, and was submitted again.
        Resubmitted = "resubmitted",
        /// Only a person can tell.
        Held = "held",
    }
}
