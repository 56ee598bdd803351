//! One version of a resource, the input of a reconciliation.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use kube::Resource as _;

use super::super::{DesiredState, External};
use crate::api::{ModelResource, Status, has_finalizer};

static NO_STATUS: LazyLock<Status> = LazyLock::new(Status::default);

/// One version of a resource. Clones are cheap.
pub trait View: Clone {
    /// The status; a missing one is `Status::default()`.
    fn status(&self) -> &Status;

    /// The resource version, as a number: it increases with each change of the resource.
    fn version(&self) -> u64;

    /// Whether the resource is being deleted.
    fn is_deleting(&self) -> bool;

    /// Whether it has the operator's finalizer.
    fn has_finalizer(&self) -> bool;

    /// The desired state of the resource.
    fn desired(&self, external: External) -> Cow<'_, DesiredState>;

    /// The same resource with another status. Only for an object that no longer exists, whose status is kept in memory.
    #[must_use]
    fn with_status(&self, status: &Arc<Status>) -> Self;

    /// Whether the resource is being deleted without the operator's finalizer. Only the finalizer of another controller keeps it.
    fn is_released(&self) -> bool {
        self.is_deleting() && !self.has_finalizer()
    }
}

impl View for Arc<ModelResource> {
    fn status(&self) -> &Status {
        ModelResource::status(self).unwrap_or(&NO_STATUS)
    }

    /// The Kubernetes API allows comparing resource versions as numbers. One that is not a number counts as the oldest.
    fn version(&self) -> u64 {
        self.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
    }

    fn is_deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    fn has_finalizer(&self) -> bool {
        has_finalizer(self.meta())
    }

    fn desired(&self, external: External) -> Cow<'_, DesiredState> {
        Cow::Owned(DesiredState::of(self, external))
    }

    fn with_status(&self, status: &Arc<Status>) -> Self {
        Self::new(ModelResource::with_status(self, status))
    }
}
