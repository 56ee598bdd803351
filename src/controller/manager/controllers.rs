//! The tasks of the operator while it leads: it watches the resources and reconciles each when it is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::configure;
use super::dispatch::Dispatch;
use super::entries;
use super::process::{ManagerContext, RunError};
use super::watch;
use crate::api::ResourceKey;
use crate::azure::identity::Environment;
use crate::controller::cluster::events::Events;
use crate::controller::cluster::resource_api;
use crate::controller::credentials::denials::DenialCache;
use crate::controller::credentials::{CredentialResolver, OperatorIdentity};
use crate::controller::reconcile::action::Action;
use crate::controller::reconcile::context::Context;
use crate::controller::reconcile::{detached, reconcile};
use crate::controller::store::resources::Store;
use crate::fair_semaphore::FairSemaphore;
use crate::telemetry::health::Health;

/// How long to wait for a watch without any response once another one works.
const WATCH_RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval at which the metrics that change with time are published.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(15);
/// A dispatcher without progress for this long is stuck.
const DISPATCH_STALL_TIMEOUT: Duration = Duration::from_mins(2);

/// Waits for the lease, and then leads until `stop` is cancelled.
///
/// # Errors
/// If the settings for Azure are invalid.
pub async fn run_controllers(context: ManagerContext) -> Result<(), RunError> {
    let ManagerContext { settings, client, lease, metrics, traces, health, stop } = context;
    let azure = configure::azure(&settings, &metrics, &traces)?;
    let (watches, handles) = watch::watches(&settings.watch_namespaces);
    let (events, events_writer) = Events::start(client.clone(), Arc::clone(&metrics), &settings.watch_namespaces);
    let operator_identity =
        OperatorIdentity { environment: Environment::of_process(), namespaces: settings.operator_identity_namespaces.clone() };
    let request_limiter = resource_api::request_limiter();
    let engine_settings = Arc::new(configure::engine_settings(&settings, azure.cloud()));
    let (store, mut triggered, detached) = Store::new(engine_settings, (Arc::clone(&metrics), settings.resource_metrics.into()), handles);
    let ctx = Arc::new(Context {
        credential_resolver: CredentialResolver::new(client.clone(), request_limiter.clone(), operator_identity),
        client,
        request_limiter,
        azure,
        lease: lease.clone(),
        metrics,
        traces,
        events: events.clone(),
        denials: DenialCache::default(),
        reconcile_permits: FairSemaphore::new(usize::from(settings.max_concurrent_reconciles)),
        store,
    });
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = lease.acquired() => {}
    }
    let heartbeat = health.heartbeat("controller", DISPATCH_STALL_TIMEOUT);
    let (ready_token, scheduled) = (CancellationToken::new(), AtomicUsize::new(0));
    let dispatch =
        Dispatch { ready: ready_token, stop: &stop, reconcile_permits: &ctx.reconcile_permits, heartbeat, scheduled: &scheduled };
    let (changes, settled) = watch::changes(watches, &ctx, &health);
    let (ready, filled) = (ready(&ctx, health, settled, dispatch.ready.clone()), dispatch.ready.clone());
    let triggered = stream::poll_fn(move |cx| triggered.poll_recv(cx));
    let due = stream::select(changes, triggered);
    let background = async {
        tokio::join!(ready, publish(&ctx, &filled, &scheduled), requeue_on_drain(&ctx), detached::run(&ctx, detached));
    };
    tokio::select! {
        () = dispatch.run(due, |name| reconcile_by_key(Arc::clone(&ctx), name)) => {}
        () = background => {}
    }
    // The writer of events ends only when all senders are dropped.
    drop(ctx);
    events.finish(events_writer).await;
    Ok(())
}

/// Reconciles the resource of this name, if it exists.
async fn reconcile_by_key(ctx: Arc<Context>, name: Arc<ResourceKey>) -> Action {
    if let Some(cached) = ctx.store.cached(&name) {
        return reconcile(name.kind, cached, ctx).await;
    }
    tracing::debug!(kind = name.kind.as_str(), namespace = name.namespace, name = name.name, "resource deleted");
    ctx.store.remove(&name);
    Action::await_change()
}

/// Waits until the caches, and with them the queues and the index of dependents, are filled. No reconciliation starts before.
async fn ready(ctx: &Context, health: Health, settled: Vec<CancellationToken>, ready: CancellationToken) {
    let synced: Vec<CancellationToken> = ctx.store.watches.values().map(|handle| handle.synced.clone()).collect();
    until_settled(&synced, &settled).await;
    health.caches_synced();
    ready.cancel();
}

/// Waits until a watch works. It does not wait for a failing one, and waits for one without a response only for a limited time.
async fn until_settled(synced: &[CancellationToken], settled: &[CancellationToken]) {
    let one_works = || futures::future::select_all(synced.iter().map(|synced| Box::pin(synced.cancelled())));
    let all_settle = futures::future::join_all(settled.iter().map(CancellationToken::cancelled));
    let timeout = async {
        one_works().await;
        tokio::time::sleep(WATCH_RESPONSE_TIMEOUT).await;
    };
    tokio::select! {
        _ = all_settle => {}
        () = timeout => {}
    }
    one_works().await;
}

/// Publishes the metrics that change without a change of a resource, and the per-resource metrics, once the caches are filled.
async fn publish(ctx: &Context, filled: &CancellationToken, scheduled: &AtomicUsize) {
    filled.cancelled().await;
    let mut interval = tokio::time::interval(PUBLISH_INTERVAL);
    loop {
        interval.tick().await;
        ctx.store.index.publish(Timestamp::now());
        ctx.metrics.set_queue_depth(ctx.store.queue.lock().depth());
        ctx.metrics.set_throttled(ctx.azure.throttled());
        ctx.metrics.set_certificate_expiry(ctx.credential_resolver.earliest_certificate_expiry());
        entries::publish(ctx, scheduled.load(Ordering::Relaxed));
    }
}

/// Requests a reconciliation of every resource when a drain is requested, and when the request ends.
async fn requeue_on_drain(ctx: &Context) {
    let mut changes = ctx.lease.drain_changes();
    while changes.changed().await.is_ok() {
        ctx.store.requeue_all();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wait_for_unresponsive_watch_is_limited() {
        let tokens = || [CancellationToken::new(), CancellationToken::new()];
        let ([works, silent], [settled, unsettled]) = (tokens(), tokens());
        let synced = [works.clone(), silent];
        let watches = [settled.clone(), unsettled.clone()];
        let mut background = Box::pin(until_settled(&synced, &watches));
        tokio::time::sleep(WATCH_RESPONSE_TIMEOUT * 2).await;
        assert!((&mut background).now_or_never().is_none(), "no watch works");
        works.cancel();
        settled.cancel();
        assert!((&mut background).now_or_never().is_none(), "the other watch may respond");
        tokio::time::timeout(WATCH_RESPONSE_TIMEOUT + Duration::from_secs(1), background).await.unwrap();
        unsettled.cancel();
        assert!(until_settled(&synced, &watches).now_or_never().is_some());
    }
}
