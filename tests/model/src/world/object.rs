//! A version of a resource.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time as ClusterTime};
use tabular_operator::api::{FINALIZER, ModelRefreshSpec, ModelResource as Manifest, ModelSyncSpec, Status};
use tabular_operator::engine::reconcile::View;
use tabular_operator::engine::{DesiredState, External, SkippedWrites};

use super::{Seconds, timestamp};

/// The spec of a resource.
#[derive(Clone, Debug)]
pub enum Spec {
    /// A refresh.
    Refresh(ModelRefreshSpec),
    /// A sync.
    Sync(ModelSyncSpec),
}

/// All of a resource except its status: the spec, the finalizer and the annotations.
#[derive(Debug)]
pub struct Revision {
    /// The object at the API server, without the status.
    pub manifest: Manifest,
    /// The engine's input, without an upstream.
    pub desired: DesiredState,
    /// Identifies the content, without the generation.
    pub fingerprint: u64,
}

impl Revision {
    pub(super) fn of(manifest: Manifest) -> Arc<Self> {
        let desired = DesiredState::of(&manifest, External::default());
        let mut hasher = DefaultHasher::new();
        let spec = match &manifest {
            Manifest::ModelRefresh(refresh) => serde_json::to_string(&refresh.spec),
            Manifest::ModelSync(sync) => serde_json::to_string(&sync.spec),
        };
        let metadata = metadata(&manifest);
        (spec.unwrap_or_default(), &metadata.annotations, &metadata.finalizers, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
        Arc::new(Self { fingerprint: hasher.finish(), manifest, desired })
    }

    /// The spec of a refresh.
    #[must_use]
    pub fn refresh(&self) -> Option<&ModelRefreshSpec> {
        match &self.manifest {
            Manifest::ModelRefresh(refresh) => Some(&refresh.spec),
            Manifest::ModelSync(_) => None,
        }
    }
}

pub(crate) fn metadata(manifest: &Manifest) -> &ObjectMeta {
    match manifest {
        Manifest::ModelRefresh(refresh) => &refresh.metadata,
        Manifest::ModelSync(sync) => &sync.metadata,
    }
}

pub(crate) fn metadata_of(manifest: &mut Manifest) -> &mut ObjectMeta {
    match manifest {
        Manifest::ModelRefresh(refresh) => &mut refresh.metadata,
        Manifest::ModelSync(sync) => &mut sync.metadata,
    }
}

/// One version of a resource.
#[derive(Clone, Debug)]
pub struct Object {
    /// The resource version.
    pub version: u32,
    /// All except the status.
    pub revision: Arc<Revision>,
    /// The status.
    pub status: Arc<Status>,
}

impl Object {
    /// The same version, as if its deletion had waited for the operator. A detached reconciliation works on it.
    #[must_use]
    pub fn deleted(&self, now: Seconds) -> Self {
        let mut manifest = self.revision.manifest.clone();
        let metadata = metadata_of(&mut manifest);
        metadata.deletion_timestamp.get_or_insert(ClusterTime(timestamp(now)));
        metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        Self { revision: Revision::of(manifest), ..self.clone() }
    }
}

impl View for Object {
    fn status(&self) -> &Status {
        &self.status
    }

    fn version(&self) -> u64 {
        u64::from(self.version)
    }

    fn is_deleting(&self) -> bool {
        metadata(&self.revision.manifest).deletion_timestamp.is_some()
    }

    fn has_finalizer(&self) -> bool {
        self.revision.desired.has_finalizer
    }

    fn desired(&self, external: External) -> Cow<'_, DesiredState> {
        match &external {
            External {
                blocker: None,
                namespace_terminating: false,
                upstream: None,
                drain: None,
                adopt_claimed: false,
                skipped_writes: SkippedWrites { metadata: false, annotations: false, status: false },
            } => Cow::Borrowed(&self.revision.desired),
            _ => Cow::Owned(DesiredState::of(&self.revision.manifest, external)),
        }
    }

    fn with_status(&self, status: &Arc<Status>) -> Self {
        Self { status: Arc::clone(status), ..self.clone() }
    }
}
