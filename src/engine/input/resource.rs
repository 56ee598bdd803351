//! The input that a decision takes from a resource of either kind.

use super::{DesiredState, External, Upstream};
use crate::api::{Kind, ModelResource};
use crate::operation::OperationKind;

impl DesiredState {
    /// The desired state of a resource.
    #[must_use]
    pub fn of(resource: &ModelResource, external: External) -> Self {
        match resource {
            ModelResource::ModelRefresh(refresh) => Self::of_refresh(refresh, external),
            ModelResource::ModelSync(sync) => Self::of_sync(sync, external),
        }
    }
}

impl Upstream {
    /// The runs of a resource as an upstream; `None` for a sync, which cannot be one.
    #[must_use]
    pub fn of_resource(resource: &ModelResource) -> Option<Self> {
        match resource {
            ModelResource::ModelRefresh(refresh) => Some(Self::of(refresh)),
            ModelResource::ModelSync(_) => None,
        }
    }
}

impl From<Kind> for OperationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::ModelRefresh => Self::Refresh,
            Kind::ModelSync => Self::Sync,
        }
    }
}

impl From<OperationKind> for Kind {
    fn from(kind: OperationKind) -> Self {
        match kind {
            OperationKind::Refresh => Self::ModelRefresh,
            OperationKind::Sync => Self::ModelSync,
        }
    }
}
