//! What the operator does while it leads: watches the resources, and runs a pass over each when it is due.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource as _, ResourceExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Name;
use super::call;
use super::context::{Context, View, Watching};
use super::events::Events;
use super::followers::Followers;
use super::guardian;
use super::index::Index;
use super::memory::Memory;
use super::orphans::Orphans;
use super::queue::Queue;
use super::records::Places;
use super::references::{Identities, OwnIdentity};
use super::refusals::Refusals;
use super::run::{RunError, Running};
use super::supervise::reconcile;
use super::watched::Watched;
use super::wiring;
use crate::service::identity::Environment;
use crate::telemetry::health::Health;
use crate::telemetry::labels::Kind;

/// How long a watch is left open. Whatever is silent for longer is taken for dead, so that a list that hangs at the start holds nobody
/// up for minutes; and Azure's load balancer drops a connection that was idle for 240 s.
pub(super) const WATCH_SECONDS: u32 = 60;
/// How many resources are listed at once. A page of them lies in memory as it came and taken apart, several times its size.
const PAGE: u32 = 100;
/// How often the metrics that change with the time are published.
const SHOW: Duration = Duration::from_secs(15);
/// A dispatcher that has not moved for this long is stuck.
const STUCK: Duration = Duration::from_mins(2);

/// What a controller tells of each pass, and of which kind it was.
type Outcome = (Kind, Result<(ObjectRef<Watched>, Action), controller::Error<Infallible, watcher::Error>>);

/// The watch over one kind, in one namespace or in all.
struct Watch {
    of: Watching,
    api: Api<Watched>,
    reader: Store<Watched>,
    writer: Writer<Watched>,
    woken: mpsc::UnboundedReceiver<ObjectRef<Watched>>,
    /// Cancelled when the cache holds all that there is. The store's own signal wakes only one that waits for it, and that
    /// is the controller.
    filled: CancellationToken,
}

/// Leads, once the lease is held, until told to stop.
///
/// # Errors
/// Where the settings for Azure cannot be used, or the watches end.
pub async fn work(running: Running) -> Result<(), RunError> {
    let Running { settings, client, lease, metrics, traces, health, stop } = running;
    let azure = wiring::azure(&settings, &metrics, &traces)?;
    let (watches, views) = watches(&client, &settings.watch_namespaces);
    let (orphans, coming) = Orphans::new();
    let (events, events_writer) = Events::start(client.clone(), Arc::clone(&metrics));
    let own = OwnIdentity { environment: Environment::of_process(), namespaces: settings.operator_identity_namespaces.clone() };
    let places = Places::default();
    let ctx = Arc::new(Context {
        identities: Identities::new(client.clone(), places.clone(), own),
        client,
        places,
        azure,
        settings: wiring::engine_settings(&settings),
        lease: lease.clone(),
        index: Index::new(Arc::clone(&metrics)),
        metrics,
        traces,
        events: events.clone(),
        refusals: Refusals::default(),
        queue: Queue::default(),
        memory: Memory::default(),
        orphans,
        followers: Followers::default(),
        uids: parking_lot::Mutex::default(),
        views,
        passes: Semaphore::new(usize::from(settings.max_concurrent_reconciles)),
    });
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = lease.acquired() => {}
    }
    // A task of its own: with nothing to reconcile there is nobody else to bring it forward.
    let filled = watches.iter().map(|watch| watch.filled.clone()).collect();
    let ready = tokio::spawn(ready(health.clone(), filled)).map(drop).boxed().shared();
    let mut passes = SelectAll::new();
    for watch in watches {
        passes.push(control(watch, settings.max_concurrent_reconciles, &ctx, &ready, &stop));
    }
    tokio::select! {
        () = attend(&mut passes, &ctx, &health) => {}
        () = guardian::attend(&ctx, coming) => {}
        () = wake_on_leaving(&ctx) => {}
    }
    // Whoever can still hand in an event goes first, so that the writer comes to its end.
    drop((passes, ready, ctx));
    events.finish(events_writer).await;
    Ok(())
}

/// The watches that the settings ask for, and what each of them shows.
fn watches(client: &Client, namespaces: &[String]) -> (Vec<Watch>, HashMap<Watching, View>) {
    let of_all = namespaces.is_empty().then_some(None);
    let namespaces = of_all.into_iter().chain(namespaces.iter().cloned().map(Some));
    let mut watches = Vec::new();
    let mut views = HashMap::new();
    for (namespace, &kind) in namespaces.flat_map(|namespace| Kind::ALL.iter().map(move |kind| (namespace.clone(), kind))) {
        let api = match &namespace {
            None => Api::all_with(client.clone(), &kind),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        };
        let writer = Writer::new(kind);
        let reader = writer.as_reader();
        let (waker, woken) = mpsc::unbounded_channel();
        let of = Watching { kind, namespace };
        views.insert(of.clone(), View { kind, store: reader.clone(), waker });
        watches.push(Watch { of, api, reader, writer, woken, filled: CancellationToken::new() });
    }
    (watches, views)
}

/// Waits until every cache is filled, and with it the queues and who follows whom: before that there is no pass.
async fn ready(health: Health, filled: Vec<CancellationToken>) {
    for filled in filled {
        filled.cancelled().await;
    }
    health.caches_synced();
}

/// Watches, and runs a pass over each resource that is new, that somebody changed, that is woken, or that is due.
fn control(
    watch: Watch,
    concurrency: u16,
    ctx: &Arc<Context>,
    ready: &Shared<BoxFuture<'static, ()>>,
    stop: &CancellationToken,
) -> BoxStream<'static, Outcome> {
    let Watch { of: Watching { kind, namespace }, api, reader, writer, woken, filled } = watch;
    // What the operator writes itself, the status, is no reason for another pass.
    let by_others = predicates::generation.combine(predicates::finalizers).combine(predicates::annotations);
    let stream = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE))
        .default_backoff()
        .reflect(writer)
        .inspect_ok({
            let ctx = Arc::clone(ctx);
            let of = Arc::new(Watching { kind, namespace });
            let named = move |object: &Watched| Name { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            move |event| match event {
                watcher::Event::Apply(object) => {
                    let name = named(object);
                    ctx.shown(&of, &name, object);
                    ctx.tell_followers(&name);
                }
                watcher::Event::InitApply(object) => ctx.shown(&of, &named(object), object),
                watcher::Event::InitDone => {
                    filled.cancel();
                    ctx.shown_all(&of);
                }
                // A resource that was never ours to hold is gone without a pass; nobody waits behind it any more.
                watcher::Event::Delete(object) => ctx.gone(&named(object), object.meta()),
                watcher::Event::Init => {}
            }
        })
        .touched_objects()
        .inspect_err(move |error| {
            tracing::warn!(kind = kind.as_str(), error = in_short(error), "failed to watch the resources; trying again");
        })
        .predicate_filter(by_others, PredicateConfig::default());
    let woken = futures::stream::unfold(woken, |mut woken| async move { woken.recv().await.map(|name| (name, woken)) });
    let (ready, stop) = (ready.clone(), stop.clone());
    Controller::for_stream_with(stream, reader, kind)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(
            move |object, ctx| {
                let ready = ready.clone();
                async move {
                    ready.await;
                    reconcile(kind, object, ctx).await
                }
            },
            |_, never: &Infallible, _| match *never {},
            Arc::clone(ctx),
        )
        .map(move |outcome| (kind, outcome))
        .boxed()
}

/// A watch's error in one sentence: the library writes the API server's whole answer twice.
fn in_short(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            call::describe(error)
        }
        watcher::Error::WatchError(status) => format!("the Kubernetes API said {}: {}", status.code, status.message),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// Sees to the passes until every watch has ended.
async fn attend(passes: &mut SelectAll<BoxStream<'static, Outcome>>, ctx: &Context, health: &Health) {
    let heartbeat = health.heartbeat("controller", STUCK);
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut show = tokio::time::interval(SHOW);
    loop {
        tokio::select! {
            pass = passes.next() => match pass {
                // A watch that failed has said so itself, and is tried again.
                Some((_, Ok(_) | Err(controller::Error::QueueError(_)))) => {}
                Some((kind, Err(controller::Error::ObjectNotFound(gone)))) => {
                    let name = Name { kind, namespace: gone.namespace.unwrap_or_default(), name: gone.name };
                    tracing::debug!(kind = name.kind.as_str(), namespace = name.namespace, name = name.name, "a resource is gone");
                    ctx.forget(&name);
                }
                Some((_, Err(error))) => tracing::warn!(%error, "failed to run a pass"),
                None => break,
            },
            _ = beat.tick() => heartbeat.beat(),
            _ = show.tick() => show_metrics(ctx),
        }
    }
    heartbeat.finished();
}

/// Publishes the metrics that change without a resource.
fn show_metrics(ctx: &Context) {
    ctx.index.publish(Timestamp::now());
    ctx.metrics.set_queue_depth(ctx.queue.depth());
    ctx.metrics.set_throttled(ctx.azure.throttled());
    ctx.metrics.set_certificate_expiry(ctx.identities.first_expiry());
}

/// Has every resource looked at when the operator is about to be uninstalled, and when it is no longer.
async fn wake_on_leaving(ctx: &Context) {
    let mut changes = ctx.lease.leaving_changes();
    while changes.changed().await.is_ok() {
        ctx.wake_all();
    }
}
