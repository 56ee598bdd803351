//! The watches: what each shows goes into the cache and the index, and what someone else changed is due for a pass. One that the API
//! server refuses is tried again, and holds up none of the others.

mod paging;
mod state;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
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
use super::context::Context;
use super::scope::{WatchHandle, WatchScope};
use super::watched::Watched;
use crate::api::{Kind, ResourceKey};
use crate::telemetry::health::Health;

/// How long a watch is left open. Whatever is silent for longer is taken for dead, so that a list that hangs at the start holds nobody
/// up for minutes; and Azure's load balancer drops a connection that was idle for 240 s.
pub(super) const WATCH_SECONDS: u32 = 60;
/// How many resources a page is asked to have, before [`paging`] says how many.
const PAGE: u32 = 100;

/// The watch over one kind, in one namespace or in all.
pub(super) struct Watch {
    of: WatchScope,
    writer: Writer<Watched>,
    synced: CancellationToken,
}

/// The watches that the settings ask for, and what each of them shows.
pub(super) fn watches(namespaces: &[String]) -> (Vec<Watch>, HashMap<WatchScope, WatchHandle>) {
    let of_all = namespaces.is_empty().then_some(None);
    let namespaces = of_all.into_iter().chain(namespaces.iter().cloned().map(Some));
    let mut watches = Vec::new();
    let mut views = HashMap::new();
    for (namespace, &kind) in namespaces.flat_map(|namespace| Kind::ALL.iter().map(move |kind| (namespace.clone(), kind))) {
        let (writer, synced, of) = (Writer::new(kind), CancellationToken::new(), WatchScope { kind, namespace });
        views.insert(of.clone(), WatchHandle { store: writer.as_reader(), synced: synced.clone() });
        watches.push(Watch { of, writer, synced });
    }
    (watches, views)
}

/// Begins to watch. Returns the names of the resources that are new or that someone else changed, and what is cancelled, for each
/// watch, when no pass has to wait for it any longer.
pub(super) fn changes(
    watches: Vec<Watch>,
    ctx: &Arc<Context>,
    health: &Health,
) -> (SelectAll<BoxStream<'static, ResourceKey>>, Vec<CancellationToken>) {
    watches
        .into_iter()
        .map(|Watch { of, writer, synced }| {
            let state = Arc::new(WatchState::new(of.clone(), synced, Arc::clone(&ctx.metrics), health.clone()));
            state.begins();
            let (settled, client) = (state.settled.clone(), watched_by(&state, ctx.client.clone()));
            let api = match &of.namespace {
                None => Api::all_with(client, &of.kind),
                Some(namespace) => Api::namespaced_with(client, namespace, &of.kind),
            };
            let store = writer.as_reader();
            let events = events(api, Arc::clone(&state)).modify(move |object| reuse(&store, of.kind, object)).reflect(writer);
            (names(events, of, Arc::clone(ctx), state), settled)
        })
        .unzip()
}

/// A client whose watch requests show that a watch works.
fn watched_by(state: &Arc<WatchState>, client: Client) -> Client {
    let state = Arc::clone(state);
    paging::client(client, move || state.works())
}

/// What the API server shows. It is asked again when it fails, after a pause that grows; and where it no longer knows the version to
/// watch from, or the definition, it lists anew. The library would ask for that version for ever, and begins with the shortest pause
/// at each list.
fn events(api: Api<Watched>, state: Arc<WatchState>) -> impl Stream<Item = watcher::Result<Event<Watched>>> {
    stream::unfold((None, Duration::ZERO), move |(watching, pause): (Option<BoxStream<'static, _>>, Duration)| {
        let (api, state) = (api.clone(), Arc::clone(&state));
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
            let mut watching = watching.unwrap_or_else(|| watcher(api, config).boxed());
            let event = watching.next().await?;
            let (pause, lists_anew) = match &event {
                Ok(_) => (Duration::ZERO, false),
                Err(error @ watcher::Error::WatchStartFailed(_)) => (state.failed(error), matches!(code(error), Some(404 | 410))),
                Err(error) => (state.failed(error), false),
            };
            Some((event, ((!lists_anew).then_some(watching), pause)))
        }
    })
}

/// A list that is read anew lies beside the cache until it is complete: what has not changed is there once.
fn reuse(store: &Store<Watched>, kind: Kind, object: &mut Watched) {
    if let Some(cached) = store.get(&ObjectRef::from_obj_with(object, kind)) {
        object.reuse(&cached);
    }
}

/// Takes over what is shown, and returns the names of the resources that someone else changed.
fn names(
    events: impl Stream<Item = watcher::Result<Event<Watched>>> + Send + 'static,
    of: WatchScope,
    ctx: Arc<Context>,
    state: Arc<WatchState>,
) -> BoxStream<'static, ResourceKey> {
    let (kind, of) = (of.kind, Arc::new(of));
    let named = move |object: &Watched| ResourceKey { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let mut changes = Changes::default();
    let due = move |event: watcher::Result<Event<Watched>>| match event {
        Ok(Event::Apply(object)) => {
            let name = named(&object);
            ctx.shown(&of, &name, &object);
            ctx.tell_followers(&name);
            if changes.by_others(&name, &object) { vec![name] } else { Vec::new() }
        }
        Ok(Event::InitApply(object)) => {
            let name = named(&object);
            ctx.shown(&of, &name, &object);
            changes.listed(name, &object);
            Vec::new()
        }
        Ok(Event::InitDone) => {
            state.synced();
            ctx.shown_all(&of);
            changes.all_listed(|name| ctx.cached(name).is_some())
        }
        // A resource that was never ours to hold is gone without a pass; nobody waits behind it any more.
        Ok(Event::Delete(object)) => {
            let name = named(&object);
            ctx.gone(&name, object.meta());
            changes.seen.remove(&name);
            vec![name]
        }
        Ok(Event::Init) | Err(_) => Vec::new(),
    };
    events.map(due).flat_map(stream::iter).boxed()
}

/// Tells what someone else changed from what the operator wrote itself: the status, which is no reason for another pass.
#[derive(Default)]
struct Changes {
    /// What was seen last of what others change, as a hash.
    seen: HashMap<ResourceKey, Option<u64>>,
    /// The changes that a list shows: they are due when it is complete, for the cache does not have them before.
    listed: Vec<ResourceKey>,
}

impl Changes {
    fn by_others(&mut self, name: &ResourceKey, object: &Watched) -> bool {
        let by_others = predicates::generation.combine(predicates::finalizers).combine(predicates::annotations);
        let hash = by_others.hash_property(object);
        self.seen.insert(name.clone(), hash) != Some(hash)
    }

    fn listed(&mut self, name: ResourceKey, object: &Watched) {
        if self.by_others(&name, object) {
            self.listed.push(name);
        }
    }

    fn all_listed(&mut self, is_there: impl Fn(&ResourceKey) -> bool) -> Vec<ResourceKey> {
        self.seen.retain(|name, _| is_there(name));
        mem::take(&mut self.listed)
    }
}

#[cfg(test)]
mod tests;
