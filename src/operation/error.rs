//! A failed call.

use std::time::Duration;

/// Why a service, or an identity provider, gave no useful response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceErrorKind {
    /// No connection, or no response before the timeout.
    Unreachable,
    /// Too many requests of this identity (429).
    Throttled,
    /// The capacity has exceeded its limits. Nothing was started, and other capacities are not affected.
    CapacityExceeded,
    /// The service failed (5xx).
    ServerError,
    /// A response that is not from the service (HTML, a redirect, another host), or is truncated or too large.
    InvalidResponse,
    /// The identity provider rejects the credentials.
    CredentialsRefused,
    /// The issuer of the assertion must not issue it, or does not know the identity.
    AssertionRefused,
    /// The service denies access to the identity (401, 403, or 400 `Unauthorized` from Analysis Services).
    AccessDenied,
    /// The server, model, workspace or semantic model does not exist.
    NotFound,
    /// The owner of the model no longer exists.
    OwnerNotFound,
    /// The server or capacity is paused or scaling.
    Paused,
    /// A quota is exhausted.
    QuotaExceeded,
    /// The replicas of the model cannot be synchronized until a user enables query scale-out.
    ScaleOutDisabled,
    /// The service reports that the request itself is invalid.
    Rejected,
}

/// A failed call, described so that a user can act on it. Never contains a secret or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceError {
    /// Kind of the error.
    pub kind: ServiceErrorKind,
    /// One sentence of at most 1,024 characters: what happened, and the remedy if it is known. It contains nothing that changes between
    /// retries (no call ids, and no time except the end of a throttle), so that a repetition is recognized.
    pub message: String,
    /// The backoff that the service requested.
    pub retry_after: Option<Duration>,
    /// Activity id of the service, for a support case.
    pub activity_id: Option<String>,
}

impl ServiceError {
    /// An error without a requested backoff and an activity id.
    #[must_use]
    pub fn new(kind: ServiceErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, activity_id: None }
    }
}
