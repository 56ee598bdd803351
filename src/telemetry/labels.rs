//! The values of metric labels. The sets are closed, so that no name of an object becomes a time series.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::api::{Kind, Reason, RunState, TriggerType};

/// Defines a set of label values and their text.
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

            /// The text of the label.
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

label! {
    /// State of a run that has not ended.
    ActiveState {
        /// The run waits for its turn.
        Waiting = "Waiting",
        /// The run is being submitted.
        Submitting = "Submitting",
        /// The operation is running at the service.
        Running = "Running",
        /// The operation is being cancelled.
        Cancelling = "Cancelling",
    }
}

label! {
    /// State of a run that has ended.
    EndState {
        /// The run succeeded.
        Succeeded = "Succeeded",
        /// The run failed.
        Failed = "Failed",
        /// The run exceeded a time limit.
        TimedOut = "TimedOut",
        /// The run was cancelled.
        Cancelled = "Cancelled",
    }
}

impl EndState {
    /// The end state of a run state; `None` if the run has not ended.
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

/// The combinations of state and reason in which a run ends. Runs that were cancelled or released with their resource count as cancelled.
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

/// The reason of the end of a run, from the reference of reasons.
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
        /// The resource was created.
        Creation = "Creation",
        /// The model or the refresh parameters changed.
        Change = "Change",
        /// The annotation `run-requested-at` requested it.
        Request = "Request",
        /// The schedule was due.
        Schedule = "Schedule",
        /// A run of the upstream refresh succeeded.
        AfterRefresh = "AfterRefresh",
        /// A trigger that only a newer version of the operator defines and has recorded.
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
    /// Summary of the conditions of a resource.
    Standing {
        /// Its latest run succeeded, or nothing is requested.
        Ready = "ready",
        /// A run is in progress or about to start.
        Reconciling = "reconciling",
        /// A user must act: its run failed, or something prevents it from starting.
        Stalled = "stalled",
        /// A run waits for `spec.suspend` to be false.
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
    /// The called service.
    Service {
        /// Azure Analysis Services.
        AnalysisServices = "analysis-services",
        /// Power BI.
        PowerBi = "power-bi",
    }
}

label! {
    /// The type of the call.
    Route {
        /// Starts an operation.
        Submit = "submit",
        /// Polls one operation.
        Look = "look",
        /// Lists the operations.
        List = "list",
        /// Cancels an operation.
        Cancel = "cancel",
        /// Resolves a name to an id.
        Resolve = "resolve",
    }
}

label! {
    /// The result of a call: the class of the status code, with separate values where alerts need them.
    Answer {
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

impl Answer {
    /// The result for this HTTP status.
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
    /// A write to the Kubernetes API.
    Write {
        /// Adding or removing a finalizer.
        Finalizer = "finalizer",
        /// A status: an intent, a result, or an end.
        Status = "status",
        /// A status that changes only the progress of a run.
        Progress = "progress",
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
    /// The identity of a token request.
    Identity {
        /// A service principal from a Secret.
        ServicePrincipal = "service-principal",
        /// A federated `ServiceAccount`.
        WorkloadIdentity = "workload-identity",
        /// A managed identity.
        ManagedIdentity = "managed-identity",
        /// The operator's own identity.
        Operator = "operator",
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

label! {
    /// Resolution of a submission whose response was lost.
    UnknownSubmission {
        /// It is unknown whether the operation started.
        Observed = "observed",
        /// The operation started, and the run follows it.
        Adopted = "adopted",
        /// The operation did not start, and was submitted again.
        Resubmitted = "resubmitted",
        /// A user must decide.
        Held = "held",
    }
}
