//! The resources as the operator knows them: from the watch, and from its own writes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::cached::CachedResource;
use super::dependents::{self, DependencyIndex};
use super::detached_index::{DetachedIndex, DetachedResource};
use super::index::{Index, VersionChange};
use super::local_state::LocalStates;
use super::scope::{WatchHandle, WatchScope};
use super::unreadable_namespaces::UnreadableNamespaces;
use crate::api::{ADOPT, Kind, ModelResource, ResourceKey, RunState};
use crate::engine::reconcile::AcceptedSubmission;
use crate::engine::{ClaimedOperations, EffectResult, QueueState, Settings, TurnQueue, Upstream, queue_state};
use crate::operation::{OperationId, OperationKind, SubmitResult};
use crate::telemetry::metrics::Metrics;

/// The state in memory that all reconciliations share.
pub(crate) struct Store {
    pub(crate) settings: Arc<Settings>,
    pub(crate) queue: Mutex<TurnQueue>,
    pub(crate) local_states: LocalStates,
    pub(crate) index: Index,
    pub(crate) detached_index: DetachedIndex,
    pub(crate) dependencies: DependencyIndex,
    /// The uid of each resource by name, because a name may be reused by another resource.
    uids: Mutex<HashMap<ResourceKey, String>>,
    pub(crate) unreadable_namespaces: UnreadableNamespaces,
    pub(crate) watches: HashMap<WatchScope, WatchHandle>,
    /// Receives requests for reconciliations.
    pub(crate) trigger: mpsc::UnboundedSender<ResourceKey>,
}

impl Store {
    /// Returns the store, the requests for reconciliations, and the deleted resources whose operations may be running. The first
    /// `max_rows` resources by name have per-resource metrics.
    pub(crate) fn new(
        settings: Arc<Settings>,
        (metrics, max_rows): (Arc<Metrics>, usize),
        watches: HashMap<WatchScope, WatchHandle>,
    ) -> (Self, mpsc::UnboundedReceiver<ResourceKey>, mpsc::UnboundedReceiver<DetachedResource>) {
        let (trigger, triggered) = mpsc::unbounded_channel();
        let (detached_index, gone) = DetachedIndex::new();
        let store = Self {
            settings,
            queue: Mutex::default(),
            local_states: LocalStates::default(),
            index: Index::new(metrics, max_rows),
            detached_index,
            dependencies: DependencyIndex::default(),
            uids: Mutex::default(),
            unreadable_namespaces: UnreadableNamespaces::default(),
            watches,
            trigger,
        };
        (store, triggered, gone)
    }

    /// Records the state of a resource that the watch shows. Returns whether another client may have written it.
    pub(crate) fn observed(&self, scope: &Arc<WatchScope>, name: &ResourceKey, cached: &CachedResource) -> bool {
        let metadata = cached.meta();
        self.local_states.observed(metadata);
        let change = self.index.compare(metadata);
        // A later write of this process is newer.
        if change == VersionChange::Unchanged || self.local_states.newer_than(metadata).is_some() {
            return false;
        }
        let object = cached.object(scope.kind).ok();
        self.index.observed(scope, metadata, object.as_deref());
        if let (VersionChange::New, Some(object)) = (change, object) {
            self.register(name, &object);
        }
        // A user may have edited the status, which requires a reconciliation even if none is due. A write of this process that the watch
        // shows before its response costs one reconciliation without effect.
        change == VersionChange::Changed
    }

    /// Records the upstream of a resource and its position in the queue of its model, before its first reconciliation.
    fn register(&self, name: &ResourceKey, object: &ModelResource) {
        self.set_upstream(name, object.upstream_name());
        let Some(status) = object.status().filter(|_| !object.is_released()) else { return };
        let (Some(run), turn) = (&status.run, queue_state(status, Timestamp::now(), &self.settings)) else { return };
        if turn != QueueState::None {
            self.queue.lock().set(&run.model.key(), &object.uid().unwrap_or_default(), name, turn);
        }
    }

    /// Handles a complete list of a watch. Resources that the watch showed before and that the list does not contain were deleted.
    pub(crate) fn list_completed(&self, scope: &WatchScope) {
        let Some(watch) = self.watches.get(scope) else { return };
        let all = watch.store.state();
        let shown = all.iter().filter_map(|cached| cached.meta().uid.as_deref()).collect();
        for uid in self.index.missing(scope, &shown) {
            self.remove_uid(&uid);
        }
        self.notify_all_dependents(scope.namespace.as_deref());
    }

    /// Records the state of a resource that a write or a read from the API server returned.
    pub(crate) fn record_write(&self, object: &Arc<ModelResource>) {
        self.local_states.record_write(object);
        self.index.written(object);
    }

    /// Which of these operations of a kind on a model other resources have claimed.
    pub(crate) fn claimed_by_others<'a>(
        &self,
        object: &ModelResource,
        (kind, model): (OperationKind, &str),
        operations: impl IntoIterator<Item = &'a OperationId>,
    ) -> ClaimedOperations {
        self.index.claimed_by_others(object.uid().as_deref(), (kind, model), operations, |uid| self.detached_index.is_detached(uid))
    }

    /// Reserves the operation that the annotation `adopt` names; returns false if another resource already has it. The reservation lasts
    /// until the next call, so that two concurrent reconciliations do not both adopt the operation.
    pub(crate) fn try_reserve_adoption(&self, object: &ModelResource) -> bool {
        let run = object.status().and_then(|status| status.run.as_ref()).filter(|run| run.state == RunState::Submitting);
        let named = object.annotations().get(ADOPT).and_then(|id| OperationId::parse(id));
        let model = run.map(|run| run.model.key());
        let named = model.as_deref().zip(named.as_ref()).map(|(model, id)| (object.kind().into(), model, id));
        self.try_reserve_named(object, named)
    }

    /// Reserves the operation that a run is about to adopt, until its next decision; returns false if another resource already has it.
    pub(crate) fn try_reserve(&self, object: &ModelResource, model: &str, id: &OperationId) -> bool {
        self.try_reserve_named(object, Some((object.kind().into(), model, id)))
    }

    /// Keeps a submission that the service accepted, and claims its operation, until the record names the operation. Other calls return
    /// nothing to keep.
    pub(crate) fn record_accepted(&self, object: &ModelResource, effect_result: &EffectResult) {
        let EffectResult::Submitted(submission @ SubmitResult::Accepted { id, .. }) = effect_result else { return };
        let (Some(uid), Some(status)) = (object.meta().uid.as_deref(), object.status()) else { return };
        self.local_states.record_accepted(uid, status, submission);
        if let Some(run) = &status.run {
            self.index.accept(uid, (object.kind().into(), &run.model.key(), id));
        }
    }

    /// Keeps an accepted submission again, and claims its operation, after the resource was forgotten although it exists. `object` is its
    /// last state before.
    pub(crate) fn restore_accepted(&self, object: &ModelResource, accepted: AcceptedSubmission) {
        let SubmitResult::Accepted { id, .. } = accepted.submission.clone() else { return };
        // A reconciliation may have recorded the id meanwhile.
        let newest = self.get(&object.key()).and_then(Result::ok).filter(|newest| newest.uid() == object.uid());
        let object = newest.as_deref().unwrap_or(object);
        let (Some(uid), Some(status)) = (object.meta().uid.as_deref(), object.status()) else { return };
        if let Some(run) = &status.run
            && self.local_states.restore_accepted(uid, status, accepted)
        {
            self.index.accept(uid, (object.kind().into(), &run.model.key(), &id));
        }
    }

    fn try_reserve_named(&self, object: &ModelResource, operation: Option<(OperationKind, &str, &OperationId)>) -> bool {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        self.index.try_reserve(uid, operation, |uid| self.detached_index.is_detached(uid))
    }

    /// Requests a reconciliation of every resource.
    pub(crate) fn requeue_all(&self) {
        for (scope, WatchHandle { store, .. }) in &self.watches {
            let name = |cached: &CachedResource| ResourceKey {
                kind: scope.kind,
                namespace: cached.namespace().unwrap_or_default(),
                name: cached.name_any(),
            };
            self.requeue(store.state().iter().map(|cached| name(cached)).collect());
        }
    }

    /// The state of a resource that the watch showed last.
    pub(crate) fn cached(&self, name: &ResourceKey) -> Option<Arc<CachedResource>> {
        let (_, watch) = self.watch_of(name)?;
        watch.store.get(&ObjectRef::new_with(&name.name, name.kind).within(&name.namespace))
    }

    pub(super) fn watch_of(&self, name: &ResourceKey) -> Option<(&WatchScope, &WatchHandle)> {
        let watching = |namespace| WatchScope { kind: name.kind, namespace };
        self.watches.get_key_value(&watching(None)).or_else(|| self.watches.get_key_value(&watching(Some(name.namespace.clone()))))
    }

    /// The watch of a resource, if it has not yet shown a complete list.
    pub(crate) fn unsynced_watch_of(&self, name: &ResourceKey) -> Option<&WatchScope> {
        self.watch_of(name).filter(|(_, watch)| !watch.synced.is_cancelled()).map(|(scope, _)| scope)
    }

    /// The watches of a kind that have not yet shown a complete list. The claims of their resources are unknown.
    pub(crate) fn unsynced_watches(&self, kind: Kind) -> Option<String> {
        let unsynced = self.watches.iter().filter(|(scope, watch)| scope.kind == kind && !watch.synced.is_cancelled());
        let mut unsynced: Vec<String> = unsynced.map(|(scope, _)| scope.to_string()).collect();
        unsynced.sort_unstable();
        (!unsynced.is_empty()).then(|| unsynced.join(", "))
    }

    /// The newest known state of a resource, or why it cannot be decoded. `None` if it does not exist.
    pub(crate) fn get(&self, name: &ResourceKey) -> Option<Result<Arc<ModelResource>, String>> {
        let cached = self.cached(name)?;
        Some(self.local_states.newer_than(cached.meta()).map_or_else(|| cached.object(name.kind), Ok))
    }

    /// Number of names with a uid.
    pub(crate) fn names(&self) -> usize {
        self.uids.lock().len()
    }

    /// Records which resource has this name now, and forgets the previous one.
    pub(crate) fn bind_uid(&self, name: &ResourceKey, uid: &str) {
        let before = self.uids.lock().insert(name.clone(), uid.to_owned());
        if let Some(before) = before.filter(|before| before != uid) {
            self.remove_uid(&before);
        }
    }

    /// Forgets a deleted resource.
    pub(crate) fn remove(&self, name: &ResourceKey) {
        self.set_upstream(name, None);
        let uid = self.uids.lock().remove(name);
        if let Some(uid) = uid {
            self.remove_uid(&uid);
        }
        let has_resources = || self.uids.lock().keys().any(|other| other.namespace == name.namespace);
        self.unreadable_namespaces.forget_unless(&name.namespace, has_resources);
    }

    /// Forgets a resource whose deletion the watch showed. Its name stays recorded for a reconciliation in progress, which removes it.
    pub(crate) fn on_deleted(&self, name: &ResourceKey, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.remove_uid(uid);
        }
        self.notify_dependents(name);
    }

    /// Records the upstream of a resource, and requests reconciliations of those that have become part of a cycle with it, or left one.
    pub(super) fn set_upstream(&self, name: &ResourceKey, upstream: Option<&str>) {
        self.requeue(self.dependencies.set_upstream(name, upstream).into_iter().collect());
    }

    /// Requests reconciliations of the dependents of a refresh if the cache shows a relevant change.
    pub(crate) fn notify_dependents(&self, name: &ResourceKey) {
        self.requeue(self.dependencies.changed(name, || self.fingerprint(name)));
    }

    /// A hash of everything in a refresh that is relevant to its dependents.
    fn fingerprint(&self, name: &ResourceKey) -> dependents::UpstreamFingerprint {
        let mut hasher = DefaultHasher::new();
        match self.get(name)? {
            Ok(resource) => (Upstream::of_resource(&resource), resource.credentials()).hash(&mut hasher),
            Err(error) => error.hash(&mut hasher),
        }
        Some(hasher.finish())
    }

    /// Requests reconciliations of the dependents, in one namespace or in all, whose refreshes have changed in the cache. A new list does
    /// not show which resources changed.
    pub(crate) fn notify_all_dependents(&self, namespace: Option<&str>) {
        for name in self.dependencies.upstreams_in(namespace) {
            self.notify_dependents(&name);
        }
    }

    /// Forgets a resource that no longer exists. Its operation is tracked if it may be running.
    pub(crate) fn remove_uid(&self, uid: &str) {
        if let Some(object) =
            self.detached_index.detach(uid, |object| object.status().and_then(|status| self.local_states.accepted(uid, status)))
        {
            self.index.retain_claims(&object);
        }
        self.local_states.remove(uid);
        self.index.remove(uid);
        self.requeue(self.queue.lock().remove(uid));
    }

    /// Requests a reconciliation of each of these resources.
    pub(crate) fn requeue(&self, names: Vec<ResourceKey>) {
        for name in names {
            // Fails only while the process is shutting down.
            let _ = self.trigger.send(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture;
    use crate::controller::reconcile::context::Context;
    use crate::controller::store::cached::DECODED;

    fn taken(ctx: &Context, object: &ModelResource) -> Vec<String> {
        let listed: Vec<OperationId> = ["op-0", "OP-7", "op-none"].iter().filter_map(|id| OperationId::parse(id)).collect();
        ctx.store.claimed_by_others(object, (OperationKind::Refresh, "m"), &listed).active.into_iter().collect()
    }

    fn running(metrics: &Metrics) -> String {
        let text = metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(r#"tabular_operator_active_runs{kind="ModelRefresh",state="Running"} "#));
        line.unwrap().to_owned()
    }

    #[tokio::test]
    async fn lists_and_gauges_decode_no_resource() {
        for count in [100, 200, 400] {
            let ctx = fixture::context(count);
            let before = DECODED.get();
            assert_eq!(taken(&ctx, &fixture::running(0)), ["op-7"]);
            ctx.store.index.publish(Timestamp::now());
            assert_eq!(running(&ctx.metrics), count.to_string());
            assert_eq!(DECODED.get(), before, "{count} resources");
        }
    }

    #[tokio::test]
    async fn resource_is_decoded_once_until_it_changes() {
        let (ctx, of, ours) = (fixture::context(0), fixture::all_refreshes(), fixture::running(7));
        let show = |version: &str| {
            let mut shown = ours.clone();
            shown.meta_mut().resource_version = Some(version.to_owned());
            let before = DECODED.get();
            ctx.store.observed(&of, &shown.key(), &CachedResource::of(&shown).unwrap());
            DECODED.get() - before
        };
        assert_eq!(show("1"), 1);
        assert_eq!(show("1"), 0);
        let mut written = ours.clone();
        written.meta_mut().resource_version = Some("3".to_owned());
        ctx.store.record_write(&Arc::new(written));
        // The watch lags behind the write, and then shows it.
        assert_eq!((show("2"), show("3"), show("4")), (0, 0, 1));
        // The response to a write arrives after the watch has shown a later one.
        ctx.store.record_write(&Arc::new(ours.with_status(&crate::api::Status::default())));
        assert_eq!(taken(&ctx, &fixture::running(0)), ["op-7"]);
        ctx.store.on_deleted(&ours.key(), ours.meta());
        assert_eq!((taken(&ctx, &fixture::running(0)), running(&ctx.metrics)), (Vec::new(), "0".to_owned()));
        // A write of a reconciliation in progress does not add the resource again.
        ctx.store.record_write(&Arc::new(ours.clone()));
        assert_eq!((taken(&ctx, &fixture::running(0)), running(&ctx.metrics)), (Vec::new(), "0".to_owned()));
    }

    #[tokio::test]
    async fn unreadable_namespace_is_forgotten_with_its_last_resource() {
        let ctx = fixture::context(0);
        let (first, last) = (fixture::running(0).key(), fixture::running(1).key());
        ctx.store.bind_uid(&first, "u-0");
        ctx.store.bind_uid(&last, "u-1");
        let reported = || ctx.store.unreadable_namespaces.should_report("bi");
        assert_eq!([reported(), reported()], [true, false]);
        ctx.store.remove(&first);
        assert!(!reported());
        ctx.store.remove(&last);
        assert!(reported());
    }

    #[tokio::test]
    async fn only_writes_of_other_clients_trigger_reconciliation() {
        let (ctx, of, ours) = (fixture::context(0), fixture::all_refreshes(), fixture::running(7));
        let at = |version: &str| {
            let mut object = ours.clone();
            object.meta_mut().resource_version = Some(version.to_owned());
            object
        };
        let shows = |version: &str| ctx.store.observed(&of, &ours.key(), &CachedResource::of(&at(version)).unwrap());
        assert!(!shows("1"), "the watch requests the first reconciliation");
        ctx.store.record_write(&Arc::new(at("3")));
        assert_eq!((shows("2"), shows("3"), shows("3")), (false, false, false), "a write of the operator");
        assert!(shows("4"), "a status that a user has edited");
    }
}
