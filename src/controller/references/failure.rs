//! Why there is no identity.

use crate::api::Reason;
use crate::controller::call::CallError;
use crate::engine::{Cure, Fault};
use crate::operation::{Trouble, TroubleKind};

/// Why there is no identity.
#[derive(Debug)]
pub(in crate::controller) enum NoIdentity {
    /// Something is wrong that a user can mend.
    Fault(Fault),
    /// The Kubernetes API did not show what is referred to.
    Unread(Trouble),
}

/// What is referred to could not be read. It is tried again, as a service is that does not answer.
pub(super) fn unread(what: &str, error: &CallError) -> NoIdentity {
    let message = format!("failed to read {what}: {error}");
    NoIdentity::Unread(Trouble { kind: TroubleKind::Unreachable, message, retry_after: None, activity_id: None })
}

/// A fault that is mended in the cluster.
pub(super) fn fault(reason: Reason, message: String) -> NoIdentity {
    NoIdentity::Fault(Fault { reason, message, cure: Cure::Cluster })
}
