//! An index of the recorded state of all resources. The watch and the writes of the operator update it incrementally.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use parking_lot::Mutex;

use super::gauges::{Gauges, ResourceSummary};
use super::local_state::version_of;
use super::resource_rows::row;
use super::scope::WatchScope;
use crate::api::ModelResource;
use crate::engine::ClaimedOperations;
use crate::engine::claims::{ClaimSource, Claims};
use crate::operation::{OperationId, OperationKind};
use crate::telemetry::metrics::{Metrics, ResourceRow, ResourceTable};

/// The index of all resources.
#[derive(Debug)]
pub(crate) struct Index {
    metrics: Arc<Metrics>,
    /// Maximum number of resources with per-resource metrics.
    max_rows: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By uid.
    entries: HashMap<Arc<str>, Entry>,
    gauges: Gauges,
    claims: Claims,
}

/// One resource that exists.
#[derive(Debug)]
struct Entry {
    version: Option<String>,
    /// The watch that shows it.
    scope: Arc<WatchScope>,
    summary: ResourceSummary,
    /// `None` if no resource has metrics of its own.
    row: Option<Arc<ResourceRow>>,
}

/// What an observation of a resource shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionChange {
    /// The resource was unknown.
    New,
    /// The resource changed.
    Changed,
    /// This version is known: the operator wrote it.
    Unchanged,
}

impl Index {
    /// The index of no resources. The first `max_rows` by name will have per-resource metrics.
    pub(crate) fn new(metrics: Arc<Metrics>, max_rows: usize) -> Self {
        Self { metrics, max_rows, state: Mutex::default() }
    }

    /// Compares what the watch shows of a resource with the known version.
    pub(crate) fn compare(&self, metadata: &ObjectMeta) -> VersionChange {
        let state = self.state.lock();
        match metadata.uid.as_deref().and_then(|uid| state.entries.get(uid)) {
            None => VersionChange::New,
            Some(entry) if entry.version == metadata.resource_version => VersionChange::Unchanged,
            Some(_) => VersionChange::Changed,
        }
    }

    /// Records what the watch shows of a resource. `None` is one that cannot be decoded; its claims stay unchanged.
    pub(crate) fn observed(&self, scope: &Arc<WatchScope>, metadata: &ObjectMeta, object: Option<&ModelResource>) {
        let Some(uid) = metadata.uid.as_deref() else { return };
        let entry = self.entry(scope, metadata, object);
        self.state.lock().replace(&Arc::from(uid), entry, object, &self.metrics);
    }

    /// Records what a write of the operator or a read from the API server returned for a known resource.
    pub(crate) fn written(&self, object: &ModelResource) {
        let (metadata, mut state) = (object.meta(), self.state.lock());
        let Some((uid, entry)) = metadata.uid.as_deref().and_then(|uid| state.entries.get_key_value(uid)) else { return };
        // The watch may have shown a later one meanwhile.
        if version_of(metadata.resource_version.as_deref()) < version_of(entry.version.as_deref()) {
            return;
        }
        let uid = Arc::clone(uid);
        let entry = self.entry(&entry.scope, metadata, Some(object));
        state.replace(&uid, entry, Some(object), &self.metrics);
    }

    /// Removes a resource that no longer exists.
    pub(crate) fn remove(&self, uid: &str) {
        self.state.lock().remove(&Arc::from(uid), &self.metrics);
    }

    /// Number of resources.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Number of claims: see [`Claims::count`].
    pub(crate) fn claims(&self) -> usize {
        self.state.lock().claims.count()
    }

    /// The known uids of one watch that are not among `shown`.
    pub(crate) fn missing(&self, scope: &WatchScope, shown: &HashSet<&str>) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let of_watch = state.entries.iter().filter(|(_, entry)| *entry.scope == *scope);
        of_watch.map(|(uid, _)| uid).filter(|uid| !shown.contains(&***uid)).cloned().collect()
    }

    /// Keeps the operations of a resource claimed that is being deleted or was deleted.
    pub(crate) fn retain_claims(&self, object: &ModelResource) {
        if let Some(uid) = object.uid() {
            self.state.lock().claims.keep_removed(&Arc::from(uid), record(object));
        }
    }

    /// See [`Claims::of_others`].
    pub(crate) fn claimed_by_others<'a>(
        &self,
        own: Option<&str>,
        operations_of: (OperationKind, &str),
        operations: impl IntoIterator<Item = &'a OperationId>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> ClaimedOperations {
        self.state.lock().claims.of_others(own, operations_of, operations, is_tracked)
    }

    /// See [`Claims::try_reserve`].
    pub(crate) fn try_reserve(
        &self,
        own: &str,
        named: Option<(OperationKind, &str, &OperationId)>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> bool {
        self.state.lock().claims.try_reserve(own, named, is_tracked)
    }

    /// See [`Claims::accept`].
    pub(crate) fn accept(&self, uid: &str, operation: (OperationKind, &str, &OperationId)) {
        self.state.lock().claims.accept(uid, operation);
    }

    /// Publishes the metrics that change with time alone, and the per-resource metrics.
    pub(crate) fn publish(&self, now: Timestamp) {
        let state = self.state.lock();
        state.gauges.publish(now, &self.metrics);
        if self.max_rows > 0 {
            let rows = state.entries.values().filter_map(|entry| entry.row.clone()).collect();
            self.metrics.set_resource_table(ResourceTable::first(self.max_rows, rows, now));
        }
    }

    fn entry(&self, scope: &Arc<WatchScope>, metadata: &ObjectMeta, object: Option<&ModelResource>) -> Entry {
        let summary = ResourceSummary::of(scope.kind, object);
        let row = || Arc::new(row((scope.kind, metadata), object, summary.resource_status(), Timestamp::now()));
        Entry { version: metadata.resource_version.clone(), scope: Arc::clone(scope), summary, row: (self.max_rows > 0).then(row) }
    }
}

impl State {
    fn replace(&mut self, uid: &Arc<str>, entry: Entry, object: Option<&ModelResource>, metrics: &Metrics) {
        let summary = entry.summary;
        let before = self.entries.insert(Arc::clone(uid), entry);
        self.gauges.replace(uid, before.as_ref().map(|before| &before.summary), Some(&summary), metrics);
        if let Some(object) = object {
            self.claims.update(uid, record(object), object.is_released());
        }
    }

    fn remove(&mut self, uid: &Arc<str>, metrics: &Metrics) {
        if let Some(before) = self.entries.remove(uid) {
            self.gauges.replace(uid, Some(&before.summary), None, metrics);
        }
        self.claims.on_deleted(uid);
    }
}

fn record(object: &ModelResource) -> ClaimSource<'_> {
    ClaimSource { kind: object.kind().into(), model: object.model(), status: object.status() }
}
