//! The watches. Each updates the cache and the index, and triggers reconciliations for changes by other clients. A watch that the API
//! server refuses is retried and does not block the others.

mod paging;
mod state;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{Predicate, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource as _, ResourceExt};
use tokio_util::sync::CancellationToken;

use self::state::{WatchState, code};
use crate::api::{Kind, ResourceKey};
use crate::controller::reconcile::context::Context;
use crate::controller::store::cached::CachedResource;
use crate::controller::store::scope::{WatchHandle, WatchScope};
use crate::telemetry::health::Health;

/// The duration of a watch request in seconds. A connection that is silent for longer counts as dead, so that a list that hangs at startup
/// does not block for minutes. Azure's load balancer drops connections that are idle for 240 s.
pub(crate) const WATCH_SECONDS: u32 = 60;
/// The page size that the library requests, which [`paging`] replaces.
const PAGE_SIZE: u32 = 100;

/// The watch of one kind, in one namespace or in all.
pub(crate) struct Watch {
    scope: WatchScope,
    writer: Writer<CachedResource>,
    synced: CancellationToken,
    /// Receives the number of resources whose changes it detects.
    seen: Arc<AtomicUsize>,
}

/// The watches of these namespaces (all if there are none), and access to their caches.
pub(crate) fn watches(namespaces: &[String]) -> (Vec<Watch>, HashMap<WatchScope, WatchHandle>) {
    let of_all = namespaces.is_empty().then_some(None);
    let namespaces = of_all.into_iter().chain(namespaces.iter().cloned().map(Some));
    let mut watches = Vec::new();
    let mut handles = HashMap::new();
    for (namespace, &kind) in namespaces.flat_map(|namespace| Kind::ALL.iter().map(move |kind| (namespace.clone(), kind))) {
        let (writer, synced, scope) = (Writer::new(kind), CancellationToken::new(), WatchScope { kind, namespace });
        let (store, seen) = (writer.as_reader(), Arc::<AtomicUsize>::default());
        handles.insert(scope.clone(), WatchHandle { store, synced: synced.clone(), seen: Arc::clone(&seen) });
        watches.push(Watch { scope, writer, synced, seen });
    }
    (watches, handles)
}

/// Starts the watches. Returns the names of the resources that are new or that other clients changed, and a token for each watch that is
/// cancelled when no reconciliation needs to wait for it any longer.
pub(crate) fn changes(
    watches: Vec<Watch>,
    ctx: &Arc<Context>,
    health: &Health,
) -> (SelectAll<BoxStream<'static, ResourceKey>>, Vec<CancellationToken>) {
    watches
        .into_iter()
        .map(|Watch { scope, writer, synced, seen }| {
            let state = Arc::new(WatchState::new(scope.clone(), synced, Arc::clone(&ctx.metrics), health.clone()));
            state.starting();
            let (settled, client) = (state.settled.clone(), observed_client(&state, ctx.client.clone()));
            let api = match &scope.namespace {
                None => Api::all_with(client, &scope.kind),
                Some(namespace) => Api::namespaced_with(client, namespace, &scope.kind),
            };
            let store = writer.as_reader();
            let events = events(api, Arc::clone(&state)).modify(move |object| reuse(&store, scope.kind, object)).reflect(writer);
            (names(events, scope, Arc::clone(ctx), (state, seen)), settled)
        })
        .unzip()
}

/// A client that records the success of watch requests in `state`.
fn observed_client(state: &Arc<WatchState>, client: Client) -> Client {
    let state = Arc::clone(state);
    paging::client(client, move || state.serving())
}

/// The events of a watch. It is retried after a failure with increasing backoff. If the API server does not know the resource version or
/// the CRD any more, the watch starts with a new list. The library would retry that version forever, and would reset the backoff with
/// each list.
fn events(api: Api<CachedResource>, state: Arc<WatchState>) -> impl Stream<Item = watcher::Result<Event<CachedResource>>> {
    stream::unfold((None, Duration::ZERO), move |(watching, backoff): (Option<BoxStream<'static, _>>, Duration)| {
        let (api, state) = (api.clone(), Arc::clone(&state));
        async move {
            if !backoff.is_zero() {
                tokio::time::sleep(backoff).await;
            }
            let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE);
            let mut watching = watching.unwrap_or_else(|| watcher(api, config).boxed());
            let event = watching.next().await?;
            let (backoff, relist) = match &event {
                Ok(_) => (Duration::ZERO, false),
                Err(error @ watcher::Error::WatchStartFailed(_)) => (state.failed(error), matches!(code(error), Some(404 | 410))),
                Err(error) => (state.failed(error), false),
            };
            Some((event, ((!relist).then_some(watching), backoff)))
        }
    })
}

/// Shares the content of an unchanged resource with the cache. A new list is held beside the cache until it is complete.
fn reuse(store: &Store<CachedResource>, kind: Kind, object: &mut CachedResource) {
    if let Some(cached) = store.get(&ObjectRef::from_obj_with(object, kind)) {
        object.reuse(&cached);
    }
}

/// Records the events, and returns the names of the resources that other clients changed.
fn names(
    events: impl Stream<Item = watcher::Result<Event<CachedResource>>> + Send + 'static,
    scope: WatchScope,
    ctx: Arc<Context>,
    (state, seen): (Arc<WatchState>, Arc<AtomicUsize>),
) -> BoxStream<'static, ResourceKey> {
    let (kind, scope) = (scope.kind, Arc::new(scope));
    let named =
        move |object: &CachedResource| ResourceKey { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let mut changes = Changes { size: seen, ..Changes::default() };
    let due = move |event: watcher::Result<Event<CachedResource>>| match event {
        Ok(Event::Apply(object)) => {
            let name = named(&object);
            let is_written = ctx.store.observed(&scope, &name, &object);
            ctx.store.notify_dependents(&name);
            if changes.by_others(&name, &object) || is_written { vec![name] } else { Vec::new() }
        }
        Ok(Event::InitApply(object)) => {
            let name = named(&object);
            let is_written = ctx.store.observed(&scope, &name, &object);
            changes.listed(name, &object, is_written);
            Vec::new()
        }
        Ok(Event::InitDone) => {
            state.synced();
            ctx.store.list_completed(&scope);
            changes.all_listed(|name| ctx.store.cached(name).is_some())
        }
        // A resource without the finalizer disappears without a reconciliation, and must leave the queue.
        Ok(Event::Delete(object)) => {
            let name = named(&object);
            ctx.store.on_deleted(&name, object.meta());
            changes.deleted(&name);
            vec![name]
        }
        Ok(Event::Init) | Err(_) => Vec::new(),
    };
    events.map(due).flat_map(stream::iter).boxed()
}

/// Distinguishes changes by other clients from status writes of the operator, which need no further reconciliation.
#[derive(Default)]
struct Changes {
    /// A hash of the properties that other clients change, by resource.
    seen: HashMap<ResourceKey, Option<u64>>,
    /// The changes in a list. They are due when the list is complete, because the cache does not contain them before.
    listed: Vec<ResourceKey>,
    /// The number of entries of `seen`.
    size: Arc<AtomicUsize>,
}

impl Changes {
    fn by_others(&mut self, name: &ResourceKey, object: &CachedResource) -> bool {
        let by_others = predicates::generation.combine(predicates::finalizers).combine(predicates::annotations).combine(uid);
        let hash = by_others.hash_property(object);
        let before = self.seen.insert(name.clone(), hash);
        self.count();
        before != Some(hash)
    }

    fn deleted(&mut self, name: &ResourceKey) {
        self.seen.remove(name);
        self.count();
    }

    fn listed(&mut self, name: ResourceKey, object: &CachedResource, is_written: bool) {
        if self.by_others(&name, object) || is_written {
            self.listed.push(name);
        }
    }

    /// The changes in a complete list. Resources that it does not contain were deleted, and the state that is kept for them must be removed.
    fn all_listed(&mut self, exists: impl Fn(&ResourceKey) -> bool) -> Vec<ResourceKey> {
        let deleted = self.seen.extract_if(|name, _| !exists(name)).map(|(name, _)| name);
        let due = mem::take(&mut self.listed).into_iter().chain(deleted).collect();
        self.count();
        due
    }

    fn count(&self) {
        self.size.store(self.seen.len(), Ordering::Relaxed);
    }
}

/// A hash of the uid. A resource that was created again while there was no watch may be equal in all else.
fn uid(object: &CachedResource) -> Option<u64> {
    object.meta().uid.as_ref().map(|uid| {
        let mut hasher = DefaultHasher::new();
        uid.hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests;
