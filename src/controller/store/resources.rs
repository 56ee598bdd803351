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

use super::cached::Watched;
use super::dependents::{self, Followers};
use super::detached_index::{Gone, Orphans};
use super::index::{Index, Sight};
use super::local_state::Memory;
use super::scope::{WatchHandle, WatchScope};
use crate::api::{ADOPT, Kind, ModelResource, ResourceKey, RunState};
use crate::engine::{ClaimedOperations, QueueState, Settings, TurnQueue, Upstream, queue_state};
use crate::operation::{OperationId, OperationKind};
use crate::telemetry::metrics::Metrics;

/// The state in memory that all reconciliations share.
pub(crate) struct Store {
    pub(crate) settings: Arc<Settings>,
    pub(crate) queue: Mutex<TurnQueue>,
    pub(crate) memory: Memory,
    pub(crate) index: Index,
    pub(crate) orphans: Orphans,
    pub(crate) followers: Followers,
    /// The uid of each resource by name, because a name may be reused by another resource.
    pub(crate) uids: Mutex<HashMap<ResourceKey, String>>,
    pub(crate) views: HashMap<WatchScope, WatchHandle>,
    /// Receives requests for reconciliations.
    pub(crate) waker: mpsc::UnboundedSender<ResourceKey>,
}

impl Store {
    /// Returns the store, the requests for reconciliations, and the deleted resources whose operations may be running.
    pub(crate) fn new(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        views: HashMap<WatchScope, WatchHandle>,
    ) -> (Self, mpsc::UnboundedReceiver<ResourceKey>, mpsc::UnboundedReceiver<Gone>) {
        let (waker, woken) = mpsc::unbounded_channel();
        let (orphans, gone) = Orphans::new();
        let store = Self {
            settings,
            queue: Mutex::default(),
            memory: Memory::default(),
            index: Index::new(metrics),
            orphans,
            followers: Followers::default(),
            uids: Mutex::default(),
            views,
            waker,
        };
        (store, woken, gone)
    }

    /// Records the state of a resource that the watch shows.
    pub(crate) fn shown(&self, of: &Arc<WatchScope>, name: &ResourceKey, watched: &Watched) {
        let metadata = watched.meta();
        self.memory.shown(metadata);
        let sight = self.index.sight(metadata);
        // A later write of this process is newer.
        if sight == Sight::Known || self.memory.newer_than(metadata).is_some() {
            return;
        }
        let object = watched.object(of.kind).ok();
        self.index.shown(of, metadata, object.as_deref());
        if let (Sight::First, Some(object)) = (sight, object) {
            self.meet_first(name, &object);
        }
        // A user may have edited the status, which requires a reconciliation even if none is due. A write of this process that the watch
        // shows before its response costs one reconciliation without effect.
        if sight == Sight::Changed {
            self.wake(vec![name.clone()]);
        }
    }

    /// Records the upstream of a resource and its position in the queue of its model, before its first reconciliation.
    fn meet_first(&self, name: &ResourceKey, object: &ModelResource) {
        self.follow(name, object.upstream_name());
        let Some(status) = object.status().filter(|_| !object.is_released()) else { return };
        let (Some(run), turn) = (&status.run, queue_state(status, Timestamp::now(), &self.settings)) else { return };
        if turn != QueueState::None {
            self.queue.lock().set(&run.model.key(), &object.uid().unwrap_or_default(), name, turn);
        }
    }

    /// Handles a complete list of a watch. Resources that the watch showed before and that the list does not contain were deleted.
    pub(crate) fn shown_all(&self, of: &WatchScope) {
        let Some(view) = self.views.get(of) else { return };
        let all = view.store.state();
        let shown = all.iter().filter_map(|watched| watched.meta().uid.as_deref()).collect();
        for uid in self.index.missing(of, &shown) {
            self.forget_uid(&uid);
        }
        self.tell_all_followers(of.namespace.as_deref());
    }

    /// Records the state of a resource that a write or a read from the API server returned.
    pub(crate) fn keep_latest(&self, object: &Arc<ModelResource>) {
        self.memory.keep_latest(object);
        self.index.wrote(object);
    }

    /// Which of these operations of a kind on a model other resources have claimed.
    pub(crate) fn claimed_by_others<'a>(
        &self,
        object: &ModelResource,
        (kind, model): (OperationKind, &str),
        operations: impl IntoIterator<Item = &'a OperationId>,
    ) -> ClaimedOperations {
        self.index.claimed_by_others(object.uid().as_deref(), (kind, model), operations, |uid| self.orphans.follows(uid))
    }

    /// Whether another resource has the operation that the annotation `adopt` of this one names. If none has, it is reserved for this one
    /// until the next call, so that two concurrent reconciliations do not both adopt it.
    pub(crate) fn adopt_claimed(&self, object: &ModelResource) -> bool {
        let run = object.status().and_then(|status| status.run.as_ref()).filter(|run| run.state == RunState::Submitting);
        let named = object.annotations().get(ADOPT).and_then(|id| OperationId::parse(id));
        let model = run.map(|run| run.model.key());
        let named = model.as_deref().zip(named.as_ref()).map(|(model, id)| (object.kind().into(), model, id));
        self.reserve(object, named)
    }

    /// Whether another resource has the operation that a run is about to adopt. If none has, it is reserved for this one until its next
    /// decision.
    pub(crate) fn is_taken(&self, object: &ModelResource, model: &str, id: &OperationId) -> bool {
        self.reserve(object, Some((object.kind().into(), model, id)))
    }

    fn reserve(&self, object: &ModelResource, operation: Option<(OperationKind, &str, &OperationId)>) -> bool {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        self.index.reserve(uid, operation, |uid| self.orphans.follows(uid))
    }

    /// Requests a reconciliation of every resource.
    pub(crate) fn wake_all(&self) {
        for (of, WatchHandle { store, .. }) in &self.views {
            let name = |watched: &Watched| ResourceKey {
                kind: of.kind,
                namespace: watched.namespace().unwrap_or_default(),
                name: watched.name_any(),
            };
            self.wake(store.state().iter().map(|watched| name(watched)).collect());
        }
    }

    /// The state of a resource that the watch showed last.
    pub(crate) fn cached(&self, name: &ResourceKey) -> Option<Arc<Watched>> {
        let (_, view) = self.view_of(name)?;
        view.store.get(&ObjectRef::new_with(&name.name, name.kind).within(&name.namespace))
    }

    fn view_of(&self, name: &ResourceKey) -> Option<(&WatchScope, &WatchHandle)> {
        let watching = |namespace| WatchScope { kind: name.kind, namespace };
        self.views.get_key_value(&watching(None)).or_else(|| self.views.get_key_value(&watching(Some(name.namespace.clone()))))
    }

    /// The watch of a resource, if it has not yet shown a complete list.
    pub(crate) fn unseen_of(&self, name: &ResourceKey) -> Option<&WatchScope> {
        self.view_of(name).filter(|(_, view)| !view.synced.is_cancelled()).map(|(of, _)| of)
    }

    /// The watches of a kind that have not yet shown a complete list. The claims of their resources are unknown.
    pub(crate) fn unseen(&self, kind: Kind) -> Option<String> {
        let unseen = self.views.iter().filter(|(of, view)| of.kind == kind && !view.synced.is_cancelled());
        let mut unseen: Vec<String> = unseen.map(|(of, _)| of.to_string()).collect();
        unseen.sort_unstable();
        (!unseen.is_empty()).then(|| unseen.join(", "))
    }

    /// The newest known state of a resource, or why it cannot be decoded. `None` if it does not exist.
    pub(crate) fn find(&self, name: &ResourceKey) -> Option<Result<Arc<ModelResource>, String>> {
        let watched = self.cached(name)?;
        Some(self.memory.newer_than(watched.meta()).map_or_else(|| watched.object(name.kind), Ok))
    }

    /// Records which resource has this name now, and forgets the previous one.
    pub(crate) fn meet(&self, name: &ResourceKey, uid: &str) {
        let before = self.uids.lock().insert(name.clone(), uid.to_owned());
        if let Some(before) = before.filter(|before| before != uid) {
            self.forget_uid(&before);
        }
    }

    /// Forgets a deleted resource.
    pub(crate) fn forget(&self, name: &ResourceKey) {
        self.follow(name, None);
        let uid = self.uids.lock().remove(name);
        if let Some(uid) = uid {
            self.forget_uid(&uid);
        }
    }

    /// Forgets a resource whose deletion the watch showed. Its name stays recorded for a reconciliation in progress, which removes it.
    pub(crate) fn gone(&self, name: &ResourceKey, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.forget_uid(uid);
        }
        self.tell_followers(name);
    }

    /// Records the upstream of a resource.
    pub(crate) fn follow(&self, name: &ResourceKey, follows: Option<&str>) {
        self.wake(self.followers.note(name, follows));
    }

    /// Requests reconciliations of the followers of a refresh if the cache shows a relevant change.
    pub(crate) fn tell_followers(&self, name: &ResourceKey) {
        self.wake(self.followers.tell(name, || self.sight(name)));
    }

    /// A hash of everything in a refresh that is relevant to its followers.
    fn sight(&self, name: &ResourceKey) -> dependents::Sight {
        let mut hasher = DefaultHasher::new();
        match self.find(name)? {
            Ok(resource) => (Upstream::of_resource(&resource), resource.credentials()).hash(&mut hasher),
            Err(error) => error.hash(&mut hasher),
        }
        Some(hasher.finish())
    }

    /// Requests reconciliations of the followers, in one namespace or in all, whose refreshes have changed in the cache. A new list does
    /// not show which resources changed.
    pub(crate) fn tell_all_followers(&self, namespace: Option<&str>) {
        for name in self.followers.followed_in(namespace) {
            self.tell_followers(&name);
        }
    }

    fn forget_uid(&self, uid: &str) {
        if let Some(object) = self.orphans.gone(uid, |object| object.status().and_then(|status| self.memory.accepted(uid, status))) {
            self.index.departs(&object);
        }
        self.memory.forget(uid);
        self.index.gone(uid);
        self.wake(self.queue.lock().remove(uid));
    }

    /// Requests a reconciliation of each of these resources.
    pub(crate) fn wake(&self, names: Vec<ResourceKey>) {
        for name in names {
            // Fails only while the process is shutting down.
            let _ = self.waker.send(name);
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
            ctx.store.shown(&of, &shown.key(), &Watched::of(&shown).unwrap());
            DECODED.get() - before
        };
        assert_eq!(show("1"), 1);
        assert_eq!(show("1"), 0);
        let mut written = ours.clone();
        written.meta_mut().resource_version = Some("3".to_owned());
        ctx.store.keep_latest(&Arc::new(written));
        // The watch lags behind the write, and then shows it.
        assert_eq!((show("2"), show("3"), show("4")), (0, 0, 1));
        // The response to a write arrives after the watch has shown a later one.
        ctx.store.keep_latest(&Arc::new(ours.with_status(&crate::api::Status::default())));
        assert_eq!(taken(&ctx, &fixture::running(0)), ["op-7"]);
        ctx.store.gone(&ours.key(), ours.meta());
        assert_eq!((taken(&ctx, &fixture::running(0)), running(&ctx.metrics)), (Vec::new(), "0".to_owned()));
        // A write of a reconciliation in progress does not add the resource again.
        ctx.store.keep_latest(&Arc::new(ours.clone()));
        assert_eq!((taken(&ctx, &fixture::running(0)), running(&ctx.metrics)), (Vec::new(), "0".to_owned()));
    }

    #[tokio::test]
    async fn only_writes_of_other_clients_trigger_reconciliation() {
        let (mut ctx, of, ours) = (fixture::context(0), fixture::all_refreshes(), fixture::running(7));
        let (waker, mut woken) = mpsc::unbounded_channel();
        ctx.store.waker = waker;
        let at = |version: &str| {
            let mut object = ours.clone();
            object.meta_mut().resource_version = Some(version.to_owned());
            object
        };
        let mut shows = |version: &str| {
            ctx.store.shown(&of, &ours.key(), &Watched::of(&at(version)).unwrap());
            std::iter::from_fn(|| woken.try_recv().ok()).collect::<Vec<_>>()
        };
        assert_eq!(shows("1"), [], "the watch requests the first reconciliation");
        ctx.store.keep_latest(&Arc::new(at("3")));
        assert_eq!((shows("2"), shows("3"), shows("3")), (vec![], vec![], vec![]), "a write of the operator");
        assert_eq!(shows("4"), [ours.key()], "a status that a user has edited");
    }
}
