//! The reasons for a missing identity.

use crate::api::Reason;
use crate::controller::cluster::timeout::ApiError;
use crate::engine::{Blocker, Remedy};
use crate::operation::{ServiceError, ServiceErrorKind};

/// Why no identity is available.
#[derive(Debug)]
pub(crate) enum CredentialError {
    /// A fault that a user can correct.
    Blocker(Blocker),
    /// The Kubernetes API did not return the referenced object.
    Unavailable(ServiceError),
}

/// A referenced object could not be read. The read is retried like a call to a service that does not respond.
pub(super) fn unavailable(what: &str, error: &ApiError) -> CredentialError {
    let message = format!("failed to read {what}: {error}");
    CredentialError::Unavailable(ServiceError::new(ServiceErrorKind::Unreachable, message))
}

/// A fault that a change in the cluster resolves.
pub(super) fn blocker(reason: Reason, message: String) -> CredentialError {
    CredentialError::Blocker(Blocker { reason, message, remedy: Remedy::ClusterChange })
}
