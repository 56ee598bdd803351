//! A call that brought nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// The issuer of the assertion may not issue it, or does not know the identity.
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
