//! The tasks of the operator while it leads: it watches the resources and reconciles each when it is due.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatch;
use super::process::{RunError, Running};
use super::watch;
use super::wiring;
use crate::api::ResourceKey;
use crate::azure::identity::Environment;
use crate::controller::cluster::events::Events;
use crate::controller::cluster::fair_semaphore::Shares;
use crate::controller::cluster::resource_api;
use crate::controller::credentials::denials::Refusals;
use crate::controller::credentials::{Identities, OwnIdentity};
use crate::controller::reconcile::action::Action;
use crate::controller::reconcile::context::Context;
use crate::controller::reconcile::{detached, reconcile};
use crate::controller::store::resources::Store;
use crate::telemetry::health::Health;

/// How long to wait for a watch without any response once another one works.
const UNANSWERED: Duration = Duration::from_secs(30);
/// Interval at which the metrics that change with time are published.
const SHOW: Duration = Duration::from_secs(15);
/// A dispatcher without progress for this long is stuck.
const STUCK: Duration = Duration::from_mins(2);

/// Waits for the lease, and then leads until `stop` is cancelled.
///
/// # Errors
/// If the settings for Azure are invalid.
pub async fn work(running: Running) -> Result<(), RunError> {
    let Running { settings, client, lease, metrics, traces, health, stop } = running;
    let azure = wiring::azure(&settings, &metrics, &traces)?;
    let (watches, views) = watch::watches(&settings.watch_namespaces);
    let (events, events_writer) = Events::start(client.clone(), Arc::clone(&metrics));
    let own = OwnIdentity { environment: Environment::of_process(), namespaces: settings.operator_identity_namespaces.clone() };
    let places = resource_api::places();
    let engine_settings = Arc::new(wiring::engine_settings(&settings));
    let (store, mut woken, coming) = Store::new(Arc::clone(&engine_settings), Arc::clone(&metrics), views);
    let ctx = Arc::new(Context {
        identities: Identities::new(client.clone(), places.clone(), own),
        client,
        places,
        azure,
        settings: Arc::clone(&engine_settings),
        lease: lease.clone(),
        metrics,
        traces,
        events: events.clone(),
        refusals: Refusals::default(),
        passes: Shares::new(usize::from(settings.max_concurrent_reconciles)),
        store,
    });
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = lease.acquired() => {}
    }
    let heartbeat = health.heartbeat("controller", STUCK);
    let dispatch = Dispatch { ready: CancellationToken::new(), stop: &stop, passes: &ctx.passes, heartbeat };
    let (changes, settled) = watch::changes(watches, &ctx, &health);
    let ready = ready(&ctx, health, settled, dispatch.ready.clone());
    let woken = stream::poll_fn(move |cx| woken.poll_recv(cx));
    let due = stream::select(changes, woken);
    let waits = async {
        tokio::join!(ready, publish(&ctx), wake_on_leaving(&ctx), detached::attend(&ctx, coming));
    };
    tokio::select! {
        () = dispatch.run(due, |name| pass(Arc::clone(&ctx), name)) => {}
        () = waits => {}
    }
    // The writer of events ends only when all senders are dropped.
    drop(ctx);
    events.finish(events_writer).await;
    Ok(())
}

/// Reconciles the resource of this name, if it exists.
async fn pass(ctx: Arc<Context>, name: Arc<ResourceKey>) -> Action {
    if let Some(cached) = ctx.store.cached(&name) {
        return reconcile(name.kind, cached, ctx).await;
    }
    tracing::debug!(kind = name.kind.as_str(), namespace = name.namespace, name = name.name, "resource deleted");
    ctx.store.forget(&name);
    Action::await_change()
}

/// Waits until the caches, and with them the queues and the index of followers, are filled. No reconciliation starts before.
async fn ready(ctx: &Context, health: Health, settled: Vec<CancellationToken>, ready: CancellationToken) {
    let synced: Vec<CancellationToken> = ctx.store.views.values().map(|view| view.synced.clone()).collect();
    until_settled(&synced, &settled).await;
    health.caches_synced();
    ready.cancel();
}

/// Waits until a watch works. It does not wait for a failing one, and waits for one without a response only for a limited time.
async fn until_settled(synced: &[CancellationToken], settled: &[CancellationToken]) {
    let one_works = || futures::future::select_all(synced.iter().map(|synced| Box::pin(synced.cancelled())));
    let all_settle = futures::future::join_all(settled.iter().map(CancellationToken::cancelled));
    let patience = async {
        one_works().await;
        tokio::time::sleep(UNANSWERED).await;
    };
    tokio::select! {
        _ = all_settle => {}
        () = patience => {}
    }
    one_works().await;
}

/// Publishes the metrics that change without a change of a resource.
async fn publish(ctx: &Context) {
    let mut show = tokio::time::interval(SHOW);
    loop {
        show.tick().await;
        ctx.store.index.publish(Timestamp::now());
        ctx.metrics.set_queue_depth(ctx.store.queue.lock().depth());
        ctx.metrics.set_throttled(ctx.azure.throttled());
        ctx.metrics.set_certificate_expiry(ctx.identities.first_expiry());
    }
}

/// Requests a reconciliation of every resource when a drain is requested, and when the request ends.
async fn wake_on_leaving(ctx: &Context) {
    let mut changes = ctx.lease.leaving_changes();
    while changes.changed().await.is_ok() {
        ctx.store.wake_all();
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
        let mut waits = Box::pin(until_settled(&synced, &watches));
        tokio::time::sleep(UNANSWERED * 2).await;
        assert!((&mut waits).now_or_never().is_none(), "no watch works");
        works.cancel();
        settled.cancel();
        assert!((&mut waits).now_or_never().is_none(), "the other watch may respond");
        tokio::time::timeout(UNANSWERED + Duration::from_secs(1), waits).await.unwrap();
        unsettled.cancel();
        assert!(until_settled(&synced, &watches).now_or_never().is_some());
    }
}
