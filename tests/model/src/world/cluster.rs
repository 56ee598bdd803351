//! The API server: the latest versions of each resource.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time as ClusterTime};
use tabular_operator::api::{
    AnalysisServicesModel, FINALIZER, Model, ModelRefresh, ModelRefreshSpec, ModelResource as Manifest, ModelSync, Status, Trigger,
    TriggerSpec,
};
use tabular_operator::engine::Upstream;

use super::object::{Object, Revision, Spec, metadata, metadata_of};
use super::{Seconds, timestamp};
use crate::invariants::SubmittedWork;

/// How many versions of a resource a stale view can show.
pub const VERSIONS: usize = 4;

/// A resource at the API server.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its latest versions, the newest last.
    pub versions: Vec<Object>,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// The operator is not accountable for runs up to this number ([`crate::invariants::exemptions`]).
    pub exempt_up_to: i32,
    /// The values of the annotation `resubmit` that were applied.
    pub applied_resubmits: Vec<String>,
    /// The request that was submitted last.
    pub submitted_work: Option<SubmittedWork>,
    /// The statuses that users have edited.
    pub edited_statuses: Vec<Arc<Status>>,
    /// The triggers of its runs.
    pub started_triggers: Vec<Trigger>,
    /// Whether an event reports that upstream runs start no run, or a user has changed the upstream.
    pub misses_upstream_runs: bool,
    /// Whether it was released with an event that reports what may still be running.
    pub reported: bool,
    /// The version that an uninstall has listed, until the uninstall removes its finalizer.
    pub listed_version: Option<u32>,
    /// Whether the uninstall that listed it leaves its operation running and reports that.
    pub left_running: bool,
    /// When its deletion was requested.
    pub deleted: Option<Seconds>,
    /// Whether its namespace is being deleted.
    pub namespace_terminating: bool,
}

/// The model with this index.
#[must_use]
pub fn model(index: u8) -> Model {
    let server = "asazure://westus.asazure.windows.net/myserver".to_owned();
    Model { analysis_services: Some(AnalysisServicesModel { server, database: format!("Model{index}") }), power_bi: None }
}

impl Resource {
    /// A resource that was just applied.
    #[must_use]
    pub fn new(index: usize, spec: Spec) -> Self {
        let name = format!("resource-{index}");
        let mut manifest = match spec {
            Spec::Refresh(spec) => Manifest::ModelRefresh(ModelRefresh::new(&name, spec)),
            Spec::Sync(spec) => Manifest::ModelSync(ModelSync::new(&name, spec)),
        };
        let metadata = metadata_of(&mut manifest);
        metadata.namespace = Some("bi".to_owned());
        metadata.uid = Some(format!("uid-{index}"));
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(ClusterTime(timestamp(0)));
        let object = Object { version: 1, revision: Revision::of(manifest), status: Arc::default() };
        Self {
            versions: vec![object],
            is_deleted: false,
            exempt_up_to: 0,
            applied_resubmits: Vec::new(),
            submitted_work: None,
            edited_statuses: Vec::new(),
            started_triggers: Vec::new(),
            misses_upstream_runs: false,
            reported: false,
            listed_version: None,
            left_running: false,
            deleted: None,
            namespace_terminating: false,
        }
    }

    /// The newest version.
    #[must_use]
    pub fn now(&self) -> &Object {
        // There is always one: the newest version is never removed.
        &self.versions[self.versions.len() - 1]
    }

    /// The version that is `age` versions old, or the oldest known one.
    #[must_use]
    pub fn aged(&self, age: usize) -> &Object {
        &self.versions[self.versions.len().saturating_sub(1 + age)]
    }

    fn write_version(&mut self, revision: Arc<Revision>, status: Arc<Status>) {
        if self.versions.len() == VERSIONS {
            self.versions.remove(0);
        }
        let version = self.now().version + 1;
        self.versions.push(Object { version, revision, status });
    }

    /// Writes the status.
    pub fn write_status(&mut self, status: Arc<Status>) {
        self.write_version(Arc::clone(&self.now().revision), status);
    }

    /// Changes everything except the status. A change of the spec, and the deletion, increase the generation.
    pub fn change(&mut self, edit: impl FnOnce(&mut Manifest)) {
        let before = &self.now().revision.manifest;
        let mut manifest = before.clone();
        edit(&mut manifest);
        let dying = |manifest: &Manifest| metadata(manifest).deletion_timestamp.is_some();
        let same_spec = match (&manifest, before) {
            (Manifest::ModelRefresh(after), Manifest::ModelRefresh(before)) => after.spec == before.spec,
            (Manifest::ModelSync(after), Manifest::ModelSync(before)) => after.spec == before.spec,
            (Manifest::ModelRefresh(_), Manifest::ModelSync(_)) | (Manifest::ModelSync(_), Manifest::ModelRefresh(_)) => false,
        };
        let starts_deletion = dying(&manifest) != dying(before);
        let metadata = metadata_of(&mut manifest);
        if !same_spec || starts_deletion {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
        self.is_deleted = metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
        let status = Arc::clone(&self.now().status);
        self.write_version(Revision::of(manifest), status);
    }

    /// Changes the metadata.
    pub(super) fn edit_metadata(&mut self, edit: impl FnOnce(&mut ObjectMeta)) {
        self.change(|manifest| edit(metadata_of(manifest)));
    }

    /// Changes the spec of a refresh.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut ModelRefreshSpec)) {
        self.change(|manifest| match manifest {
            Manifest::ModelRefresh(refresh) => edit(&mut refresh.spec),
            Manifest::ModelSync(_) => {}
        });
    }

    pub(super) fn trigger(&mut self, edit: impl FnOnce(&mut TriggerSpec)) {
        self.change(|manifest| {
            edit(match manifest {
                Manifest::ModelRefresh(refresh) => refresh.spec.trigger.get_or_insert_default(),
                Manifest::ModelSync(sync) => sync.spec.trigger.get_or_insert_default(),
            });
        });
    }

    /// Adds or removes the finalizer.
    pub fn set_finalizer(&mut self, present: bool) {
        self.edit_metadata(|metadata| {
            let others = metadata.finalizers.take().unwrap_or_default().into_iter().filter(|name| name != FINALIZER);
            let finalizers: Vec<_> = present.then(|| FINALIZER.to_owned()).into_iter().chain(others).collect();
            metadata.finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
        });
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.edit_metadata(|metadata| {
            metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        });
    }

    /// Removes an annotation.
    pub fn remove_annotation(&mut self, key: &str) {
        self.edit_metadata(|metadata| {
            metadata.annotations.get_or_insert_default().remove(key);
        });
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&String> {
        metadata(&self.now().revision.manifest).annotations.as_ref()?.get(key)
    }

    /// Whether a user has edited this status.
    #[must_use]
    pub fn is_edited(&self, status: &Arc<Status>) -> bool {
        self.edited_statuses.iter().any(|edited| Arc::ptr_eq(edited, status))
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn suspended(&self) -> bool {
        self.now().revision.desired.policy.suspend
    }

    /// Its runs, as an upstream.
    #[must_use]
    pub fn as_upstream(&self) -> Option<Upstream> {
        match self.now().revision.manifest.with_status(&self.now().status) {
            Manifest::ModelRefresh(refresh) if !self.is_deleted => Some(Upstream::of(&refresh)),
            Manifest::ModelRefresh(_) | Manifest::ModelSync(_) => None,
        }
    }
}
