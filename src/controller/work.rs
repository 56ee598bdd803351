//! What the operator does while it leads: watches the resources, and runs a pass over each when it is due.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Name;
use super::call;
use super::context::{Context, Wakers};
use super::effects::Refusals;
use super::events::Events;
use super::memory::Memory;
use super::queue::Queue;
use super::references::{Identities, OwnIdentity};
use super::run::{RunError, Running};
use super::supervise::reconcile;
use super::watched::Watched;
use super::wiring;
use crate::engine::{TurnUse, turn_use};
use crate::service::identity::Environment;
use crate::telemetry::health::Health;

/// Azure's load balancer drops a connection that was idle for 240 s, so a watch is renewed before that.
const WATCH_SECONDS: u32 = 200;
/// How often the gauges of runs under way are set.
const SHOW: Duration = Duration::from_secs(15);
/// A dispatcher that has not moved for this long is stuck.
const STUCK: Duration = Duration::from_mins(2);

/// What a controller tells of each pass.
type Outcome = Result<(ObjectRef<Watched>, Action), controller::Error<Infallible, watcher::Error>>;

/// The watch over one namespace, or over all.
struct Watch {
    api: Api<Watched>,
    reader: Store<Watched>,
    writer: Writer<Watched>,
    wakes: mpsc::UnboundedReceiver<ObjectRef<Watched>>,
    /// Cancelled when the cache holds all that there is. The store's own signal wakes only one that waits for it, and that
    /// is the controller.
    filled: CancellationToken,
}

/// Leads, once the lease is held, until told to stop.
///
/// # Errors
/// Where the settings for Azure cannot be used, or the watches end.
pub async fn work(running: Running) -> Result<(), RunError> {
    let Running { settings, client, lease, metrics, health, stop } = running;
    let azure = wiring::azure(&settings, &metrics)?;
    let (watches, wakers) = watches(&client, &settings.watch_namespaces);
    let (events, events_writer) = Events::start(client.clone(), Arc::clone(&metrics));
    let own = OwnIdentity { environment: Environment::of_process(), namespaces: settings.operator_identity_namespaces.clone() };
    let ctx = Arc::new(Context {
        identities: Identities::new(client.clone(), own),
        client,
        azure,
        settings: wiring::engine_settings(&settings),
        lease: lease.clone(),
        metrics,
        events: events.clone(),
        refusals: Refusals::default(),
        queue: Queue::default(),
        memory: Memory::default(),
        uids: parking_lot::Mutex::default(),
        stores: watches.iter().map(|watch| watch.reader.clone()).collect(),
        wakers,
        passes: Semaphore::new(usize::from(settings.max_concurrent_reconciles)),
    });
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = lease.acquired() => {}
    }
    // A task of its own: with nothing to reconcile there is nobody else to bring it forward.
    let filled = watches.iter().map(|watch| watch.filled.clone()).collect();
    let ready = tokio::spawn(ready(Arc::clone(&ctx), health.clone(), filled)).map(drop).boxed().shared();
    let mut passes = SelectAll::new();
    for watch in watches {
        passes.push(control(watch, settings.max_concurrent_reconciles, &ctx, &ready, &stop));
    }
    attend(&mut passes, &ctx, &health).await;
    // Whoever can still hand in an event goes first, so that the writer comes to its end.
    drop((passes, ready, ctx));
    events.finish(events_writer).await;
    Ok(())
}

/// The watches that the settings ask for, and what wakes a resource in each.
fn watches(client: &Client, namespaces: &[String]) -> (Vec<Watch>, Wakers) {
    let of_all = namespaces.is_empty().then_some(None);
    let mut wakers = Wakers::new();
    let mut watches = Vec::new();
    for namespace in of_all.into_iter().chain(namespaces.iter().cloned().map(Some)) {
        let api = match &namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        let (reader, writer) = reflector::store();
        let (sender, receiver) = mpsc::unbounded_channel();
        wakers.insert(namespace, sender);
        watches.push(Watch { api, reader, writer, wakes: receiver, filled: CancellationToken::new() });
    }
    (watches, wakers)
}

/// Waits until every cache is filled, and takes the queues from the records: before that nobody gets a turn.
async fn ready(ctx: Arc<Context>, health: Health, filled: Vec<CancellationToken>) {
    for filled in filled {
        filled.cancelled().await;
    }
    rebuild_queue(&ctx);
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
    let Watch { api, reader, writer, wakes, filled } = watch;
    // What the operator writes itself, the status, is no reason for another pass.
    let by_others = predicates::generation.combine(predicates::finalizers).combine(predicates::annotations);
    let stream = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS))
        .default_backoff()
        .reflect(writer)
        .inspect_ok({
            let ctx = Arc::clone(ctx);
            move |event| match event {
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => ctx.memory.shown(object.meta()),
                watcher::Event::InitDone => filled.cancel(),
                // A resource that was never ours to hold is gone without a pass; nobody waits behind it any more.
                watcher::Event::Delete(object) => ctx.gone(object.meta()),
                watcher::Event::Init => {}
            }
        })
        .touched_objects()
        .inspect_err(|error| tracing::warn!(error = in_short(error), "failed to watch the resources; trying again"))
        .predicate_filter(by_others, PredicateConfig::default());
    let wakes = futures::stream::unfold(wakes, |mut wakes| async move { wakes.recv().await.map(|name| (name, wakes)) });
    let (ready, stop) = (ready.clone(), stop.clone());
    Controller::for_stream(stream, reader)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(wakes)
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(
            move |object, ctx| {
                let ready = ready.clone();
                async move {
                    ready.await;
                    reconcile(object, ctx).await
                }
            },
            |_, never: &Infallible, _| match *never {},
            Arc::clone(ctx),
        )
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
                Some(Ok(_) | Err(controller::Error::QueueError(_))) => {}
                Some(Err(controller::Error::ObjectNotFound(gone))) => {
                    let name = Name { namespace: gone.namespace.unwrap_or_default(), name: gone.name };
                    tracing::debug!(namespace = name.namespace, name = name.name, "a resource is gone");
                    ctx.forget(&name);
                }
                Some(Err(error)) => tracing::warn!(%error, "failed to run a pass"),
                None => break,
            },
            _ = beat.tick() => heartbeat.beat(),
            _ = show.tick() => wiring::show_active(ctx),
        }
    }
    heartbeat.finished();
}

/// Puts those whose records say that they hold or wait into the queues of their models.
fn rebuild_queue(ctx: &Context) {
    ctx.each_object(|object| {
        let Some(status) = &object.status else { return };
        let (Some(run), turn) = (&status.run, turn_use(status)) else { return };
        if turn == TurnUse::Free {
            return;
        }
        let name = Name { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        ctx.queue.update(&run.model.key(), &object.uid().unwrap_or_default(), &name, turn);
    });
}
