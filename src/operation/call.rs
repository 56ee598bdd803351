//! Calls to a service, and the record of one HTTP exchange for metrics, logs and traces.

use std::time::Duration;

use super::request::OperationKind;

/// A service that has tabular models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Azure Analysis Services.
    AnalysisServices,
    /// Power BI.
    PowerBi,
}

impl ServiceKind {
    /// All services.
    pub const ALL: &[Self] = &[Self::AnalysisServices, Self::PowerBi];

    /// Maximum duration of a refresh at the service. A service that shows a refresh as running for longer is wrong.
    ///
    /// Power BI documentation, enhanced refresh, "Considerations and limitations": all attempts end after 24 hours, and a paused capacity
    /// delays a refresh by up to 6 hours. Analysis Services documents no limit, so its limit is a setting.
    #[must_use]
    pub fn max_refresh_duration(self, of_analysis_services: Duration) -> Duration {
        match self {
            Self::AnalysisServices => of_analysis_services,
            Self::PowerBi => Duration::from_hours(30),
        }
    }
}

/// The type of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Starts an operation.
    Submit(OperationKind),
    /// Polls one operation.
    Poll(OperationKind),
    /// Lists the operations.
    List(OperationKind),
    /// Cancels a refresh.
    Cancel,
    /// Resolves a name to an id, by the lists of workspaces and semantic models.
    Resolve,
}

impl CallKind {
    /// All calls.
    pub const ALL: &[Self] = &[
        Self::Submit(OperationKind::Refresh),
        Self::Submit(OperationKind::Sync),
        Self::Poll(OperationKind::Refresh),
        Self::Poll(OperationKind::Sync),
        Self::List(OperationKind::Refresh),
        Self::List(OperationKind::Sync),
        Self::Cancel,
        Self::Resolve,
    ];
}

/// The type of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// An application with a secret or a certificate.
    ServicePrincipal,
    /// An application with tokens of another issuer.
    WorkloadIdentity,
    /// A managed identity of the machine.
    ManagedIdentity,
    /// The operator's own identity, of any of these types.
    Operator,
}

impl IdentityKind {
    /// All types of identities.
    pub const ALL: &[Self] = &[Self::ServicePrincipal, Self::WorkloadIdentity, Self::ManagedIdentity, Self::Operator];
}

/// The purpose of an HTTP exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// A call to a service.
    Service(ServiceKind, CallKind),
    /// A token for an identity.
    Token(IdentityKind),
}

impl CallTarget {
    /// The name of the exchange in logs and traces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service(_, CallKind::Submit(OperationKind::Refresh)) => "POST refreshes",
            Self::Service(_, CallKind::Submit(OperationKind::Sync)) => "POST sync",
            Self::Service(_, CallKind::Poll(OperationKind::Refresh)) => "GET refresh",
            Self::Service(_, CallKind::Poll(OperationKind::Sync)) => "GET sync",
            Self::Service(_, CallKind::List(OperationKind::Refresh)) => "GET refreshes",
            Self::Service(_, CallKind::List(OperationKind::Sync)) => "GET syncs",
            Self::Service(_, CallKind::Cancel) => "DELETE refresh",
            Self::Service(_, CallKind::Resolve) => "GET names",
            Self::Token(IdentityKind::ServicePrincipal) => "token of service principal",
            Self::Token(IdentityKind::WorkloadIdentity) => "token of workload identity",
            Self::Token(IdentityKind::ManagedIdentity) => "token of managed identity",
            Self::Token(IdentityKind::Operator) => "token of operator",
        }
    }
}

/// One HTTP exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord<'a> {
    /// Its purpose.
    pub target: CallTarget,
    /// The called host.
    pub host: &'a str,
    /// The HTTP status code; `None` without a response.
    pub status: Option<u16>,
    /// Why the response is missing or incomplete.
    pub fault: Option<CallFault>,
    /// Time from before the request until the last byte of the response that was read.
    pub duration: Duration,
}

/// Why a response is missing or incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// It did not arrive before the deadline.
    Timeout,
    /// No connection, or a broken one.
    Connection,
    /// It exceeds the size limit.
    TooLarge,
    /// It is compressed, although the request excluded that.
    Compressed,
}

impl CallFault {
    /// A short text for logs and traces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::TooLarge => "response too large",
            Self::Compressed => "response compressed",
        }
    }
}
