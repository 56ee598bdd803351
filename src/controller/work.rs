//! What the operator does while it leads: watches the resources, and runs a pass over each when it is due.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::SelectAll;
use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::runtime::{Predicate, predicates};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::Name;
use super::context::{Context, Guarded, Wakers};
use super::effects::Refusals;
use super::events::Events;
use super::memory::Memory;
use super::queue::Queue;
use super::reconcile::{self, PassError};
use super::references::Identities;
use super::run::{RunError, Running};
use crate::api::{Run, RunState};
use crate::cli::{CloudChoice, CloudName, Settings, SettingsError};
use crate::engine::{self, TurnUse, turn_use};
use crate::service::cloud::Cloud;
use crate::service::{self, Azure, CallRecord};
use crate::telemetry::labels::{Answer, EndState, Kind, ReconcileResult, Route, Service};
use crate::telemetry::metrics::Metrics;

/// Azure's load balancer drops a connection that was idle for 240 s, so a watch is renewed before that.
const WATCH_SECONDS: u32 = 200;
/// How long one pass may take; every call in it has a deadline of its own, so this is a last resort.
const PASS: Duration = Duration::from_secs(300);
/// A dispatcher that has not moved for this long is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// How long after a pass whose view was stale the next one begins.
const STALE: Duration = Duration::from_millis(20);

/// Leads, once the lease is held, until told to stop.
///
/// # Errors
/// Where the settings for Azure cannot be used, or the watches end.
pub async fn work(running: Running) -> Result<(), RunError> {
    let Running { settings, client, lease, metrics, health, stop } = running;
    let azure = azure(&settings, &metrics)?;
    let namespaces: Vec<Option<String>> = match settings.watch_namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let mut wakers = Wakers::new();
    let mut watches = Vec::new();
    for namespace in namespaces {
        let api: Api<Guarded> = match &namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        let (reader, writer) = reflector::store();
        let (waker, wakes) = mpsc::unbounded_channel::<ObjectRef<Guarded>>();
        wakers.insert(namespace, waker);
        watches.push((api, reader, writer, wakes));
    }
    let (events, events_writer) = Events::start(client.clone(), Arc::clone(&metrics));
    let ctx = Arc::new(Context {
        identities: Identities::new(client.clone()),
        client,
        azure,
        settings: engine_settings(&settings),
        lease: lease.clone(),
        metrics,
        events: events.clone(),
        refusals: Refusals::default(),
        queue: Queue::default(),
        memory: Memory::default(),
        uids: parking_lot::Mutex::default(),
        stores: watches.iter().map(|(_, reader, _, _)| reader.clone()).collect(),
        wakers,
        passes: Semaphore::new(usize::from(settings.max_concurrent_reconciles)),
    });

    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = lease.acquired() => {}
    }
    let ready = {
        let (ctx, health) = (Arc::clone(&ctx), health.clone());
        async move {
            for store in &ctx.stores {
                // Fails only where the watch has ended, which ends the work anyway.
                let _ = store.wait_until_ready().await;
            }
            rebuild_queue(&ctx);
            health.caches_synced();
        }
    }
    .shared();
    let mut controllers = SelectAll::new();
    for (api, reader, writer, wakes) in watches {
        let (ready, stop) = (ready.clone(), stop.clone());
        let stream = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS))
            .default_backoff()
            .modify(|object| object.meta_mut().managed_fields = None)
            .reflect(writer)
            .touched_objects()
            .inspect_err(|error| tracing::warn!(%error, "failed to watch the resources; trying again"))
            .predicate_filter(
                predicates::generation.combine(predicates::finalizers).combine(predicates::annotations),
                kube::runtime::PredicateConfig::default(),
            );
        let wakes = futures::stream::unfold(wakes, |mut wakes| async move { wakes.recv().await.map(|name| (name, wakes)) });
        let controller = Controller::for_stream(stream, reader)
            .with_config(Config::default().concurrency(settings.max_concurrent_reconciles))
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
                |_, never: &std::convert::Infallible, _| match *never {},
                Arc::clone(&ctx),
            );
        controllers.push(controller.boxed());
    }
    let heartbeat = health.heartbeat("controller", STUCK);
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            next = controllers.next() => match next {
                Some(Ok(_)) => {}
                // An object that is gone from the cache: nothing to do any more.
                Some(Err(kube::runtime::controller::Error::ObjectNotFound(name))) => {
                    let namespace = name.namespace.unwrap_or_default();
                    tracing::debug!(namespace, name = name.name, "a resource is gone");
                    ctx.forget(&Name { namespace, name: name.name });
                }
                Some(Err(error)) => tracing::warn!(%error, "failed to run a pass"),
                None => break,
            },
            _ = beat.tick() => heartbeat.beat(),
        }
    }
    heartbeat.finished();
    // Whoever can still hand in an event goes first, so that the writer comes to its end.
    drop((controllers, ready, ctx));
    events.finish(events_writer).await;
    Ok(())
}

/// The clients of the services, as the command line says.
fn azure(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Azure, SettingsError> {
    let cloud = match &settings.cloud {
        CloudChoice::Named(CloudName::UsGovernment) => Cloud::us_government(),
        CloudChoice::Named(CloudName::UsGovernmentHigh) => Cloud::us_government_high(),
        CloudChoice::Named(CloudName::UsGovernmentDod) => Cloud::us_government_dod(),
        CloudChoice::Named(CloudName::China) => Cloud::china(),
        // `Custom` never comes without its file.
        CloudChoice::Named(CloudName::Public | CloudName::Custom) => Cloud::public(),
        CloudChoice::File { path, text } => {
            Cloud::from_file_text(text).map_err(|error| SettingsError(format!("--cloud-file {}: {error}", path.display())))?
        }
    };
    let settings = service::Settings {
        cloud,
        extra_ca_pem: settings.extra_ca_pem.clone(),
        call_timeout: settings.call_timeout,
        max_calls_per_server: usize::from(settings.max_calls_per_server),
        user_agent: concat!("tabular-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
        on_call: Some(observer(metrics)),
    };
    Azure::new(settings).map_err(|error| SettingsError(error.to_string()))
}

fn engine_settings(settings: &Settings) -> engine::Settings {
    engine::Settings {
        poll_min: settings.polling.min,
        poll_max: settings.polling.max,
        poll_fraction: settings.polling.fraction,
        call_timeout: settings.call_timeout,
        listing_lag: settings.listing_lag,
    }
}

/// Puts those whose records say that they hold or wait into the queues of their models.
fn rebuild_queue(ctx: &Context) {
    for object in ctx.objects() {
        let Some(status) = &object.status else { continue };
        let (Some(run), turn) = (&status.run, turn_use(status)) else { continue };
        if turn == TurnUse::Free {
            continue;
        }
        let name = Name { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        ctx.queue.update(&run.model.key(), &object.uid().unwrap_or_default(), &name, turn);
    }
}

/// One pass, whatever happens in it: a panic or an error of one resource is no other resource's business.
async fn reconcile(object: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, std::convert::Infallible> {
    if !ctx.lease.holds() {
        return Ok(Action::await_change());
    }
    let Ok(_place) = ctx.passes.acquire().await else { return Ok(Action::await_change()) };
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let uid = object.uid().unwrap_or_default();
    let object = match &object.0 {
        Ok(object) => Arc::new(object.clone()),
        Err(invalid) => {
            tracing::warn!(namespace, name, error = invalid.error, "failed to decode a resource; it is left alone");
            return Ok(Action::await_change());
        }
    };
    let began = Instant::now();
    let outcome = tokio::time::timeout(PASS, AssertUnwindSafe(reconcile::pass(&ctx, object)).catch_unwind()).await;
    let (result, action) = match outcome {
        Ok(Ok(Ok(action))) => {
            ctx.memory.succeeded(&uid);
            (ReconcileResult::Success, action)
        }
        Ok(Ok(Err(PassError::Stale))) => (ReconcileResult::Conflict, Action::requeue(STALE)),
        Ok(Ok(Err(PassError::Call(error)))) => {
            let pause = ctx.memory.failed(&uid);
            tracing::warn!(namespace, name, %error, retry_in = ?pause, "failed to go on with a resource");
            (ReconcileResult::Error, Action::requeue(pause))
        }
        Ok(Err(_)) => {
            tracing::error!(namespace, name, "a pass over a resource panicked; please report this");
            (ReconcileResult::Panic, Action::requeue(ctx.memory.failed(&uid)))
        }
        Err(_) => {
            tracing::error!(namespace, name, "a pass over a resource took longer than {} s and was given up", PASS.as_secs());
            (ReconcileResult::Timeout, Action::requeue(ctx.memory.failed(&uid)))
        }
    };
    ctx.metrics.reconciled(Kind::ModelRefresh, result, began.elapsed());
    Ok(action)
}

/// Counts a transition of a run.
pub(super) fn count(metrics: &Metrics, run: &Run) {
    let end = match run.state {
        RunState::Waiting | RunState::Submitting | RunState::Cancelling => return,
        RunState::Running => {
            let waited = run.submitted_time.map(|time| time.seconds_since(run.requested_time));
            let waited = waited.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
            metrics.run_submitted(Kind::ModelRefresh, Duration::from_secs(waited));
            return;
        }
        RunState::Succeeded => EndState::Succeeded,
        RunState::Failed => EndState::Failed,
        RunState::TimedOut => EndState::TimedOut,
        RunState::Cancelled => EndState::Cancelled,
    };
    let took = run.started_time.zip(run.ended_time).map(|(start, end)| end.seconds_since(start));
    let took = took.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    metrics.run_ended(Kind::ModelRefresh, end, took);
}

/// Counts the calls to the services.
fn observer(metrics: &Arc<Metrics>) -> service::Observer {
    let metrics = Arc::clone(metrics);
    Arc::new(move |call: &CallRecord| {
        let route = match call.route {
            "POST refreshes" => Route::Submit,
            "GET refresh" => Route::Look,
            "GET refreshes" => Route::List,
            "DELETE refresh" => Route::Cancel,
            // Tokens are counted apart.
            _ => return,
        };
        let answer = call.status.map_or(Answer::Connection, Answer::of_status);
        metrics.called(Service::AnalysisServices, route, answer, call.duration);
    })
}
