//! Outdated views: watches that stall, lag, break or expire, a cache that is old at startup, and a name that now refers to another
//! resource.

use std::time::Duration;

use e2e::world::{LASTING_MILLIS, first_lasts, run};
use e2e::{Action, Operator, RecordedRequest, TestSetup, WatchDelivery, World, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

/// Every matching request.
const ALWAYS: usize = usize::MAX;

/// A world whose operator reaches the API server through a proxy, with these model settings.
async fn proxied(name: &str, model: serde_json::Value) -> (World, Operator) {
    World::running(name, TestSetup { model: Some(model), api_proxy: true, ..TestSetup::default() }).await
}

/// Checks that there are this many operations, each submitted once, and that no version or write violated an invariant.
async fn assert_sound(world: &World, operations: usize) {
    let actual = world.operations().await;
    assert_eq!((actual.len(), world.posts().await), (operations, operations), "{actual:#?}");
    world.proxy().assert_preconditions();
    world.assert_histories();
    world.assert_kstatus();
}

#[tokio::test]
async fn stalled_watch_duplicates_no_run_and_hides_no_deletion() {
    let (world, _operator) = proxied("stalled", first_lasts()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    world.proxy().set_watch_delivery(WatchDelivery::Suspended);
    world.annotate("orders", RUN_REQUESTED_AT, Some("1")).await;
    // The end of the first run is recorded on an outdated view: the write is refused, and the request is observed.
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    world.proxy().set_watch_delivery(WatchDelivery::Immediate);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_sound(&world, 2).await;

    world.patch_model(&json!({"durationMillis": LASTING_MILLIS})).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2")).await;
    world.until_run("orders", 3, RunState::Running).await;
    world.proxy().set_watch_delivery(WatchDelivery::Suspended);
    world.delete("orders").await;
    world.azure.end(&world.operations().await[2].operation_id, "failed").await;
    world.until_gone("orders").await;
    assert_sound(&world, 3).await;
}

#[tokio::test]
async fn lagging_watch_starts_each_run_once() {
    let (world, _operator) = proxied("lagging", json!({"durationMillis": 700})).await;
    world.proxy().set_watch_delivery(WatchDelivery::Delayed(Duration::from_secs(2)));
    world.apply("orders", &json!({"concurrencyPolicy": "Replace"})).await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    for number in 2..=4 {
        world.annotate("orders", RUN_REQUESTED_AT, Some(&number.to_string())).await;
        world.until_run("orders", number, RunState::Succeeded).await;
    }
    world.delete("orders").await;
    world.until_gone("orders").await;
    assert_sound(&world, 4).await;
}

#[tokio::test]
async fn broken_connections_lose_and_duplicate_no_run() {
    // A short Lease is often renewed.
    let model = json!({"durationMillis": 1_500});
    let setup = TestSetup { model: Some(model), api_proxy: true, ..TestSetup::with_flags(&["--lease-duration=5s"]) };
    let (world, _operator) = World::running("shaken", setup).await;
    let changes = async {
        world.apply("orders", &json!({})).await;
        world.until_run("orders", 1, RunState::Succeeded).await;
        world.annotate("orders", RUN_REQUESTED_AT, Some("2")).await;
        world.until_run("orders", 2, RunState::Succeeded).await;
        world.delete("orders").await;
        world.until_gone("orders").await;
    };
    tokio::select! {
        () = changes => {}
        () = async {
            // Each time, the operator has renewed its Lease since the last reset. Resets at fixed times make it lose the Lease on a slow
            // machine, because no renewal completes in between.
            loop {
                let renewals = renewals_of_lease(&world);
                eventually("a renewal of the Lease", async || (renewals_of_lease(&world) > renewals).then_some(())).await;
                world.proxy().reset_connections();
            }
        } => {}
    }
    assert_sound(&world, 2).await;
}

/// Number of completed renewals of the operator's Lease.
fn renewals_of_lease(world: &World) -> usize {
    let requests = world.proxy().requests();
    requests.iter().filter(|request| request.resource == "leases" && request.is_write() && request.status == Some(200)).count()
}

#[tokio::test]
async fn expired_watches_relist_and_duplicate_no_run() {
    let (world, _operator) = proxied("expired", first_lasts()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let expired = world.proxy().inject_times(0, 4, Action::Expired, |request| request.verb == "watch");
    world.proxy().reset_connections();
    eventually("two expirations of both watches", async || (expired.hits() == 4).then_some(())).await;
    world.azure.end_running(&world.model()).await;
    world.until_state("orders", RunState::Succeeded).await;
    let lists = world.proxy().requests().iter().filter(|request| request.signature() == "list modelrefreshes").count();
    assert!(lists >= 2, "it must list again, but listed {lists} times");
    world.annotate("orders", RUN_REQUESTED_AT, Some("2")).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    assert_sound(&world, 2).await;
}

#[tokio::test]
async fn stale_initial_cache_is_detected_by_first_write() {
    let setup = TestSetup { model: Some(json!({"durationMillis": LASTING_MILLIS})), api_proxy: true, ..TestSetup::default() };
    let world = World::with("old-cache", setup).await;
    // The first list contains the resource before the operator processed it.
    world.apply("orders", &json!({})).await;
    let mut operator = world.start_operator();
    operator.ready().await;
    world.until_state("orders", RunState::Running).await;
    operator.kill();
    world.proxy().set_watch_delivery(WatchDelivery::Suspended);
    let old = world.proxy().inject_times(0, ALWAYS, Action::FirstListResponse, |request: &RecordedRequest| request.verb == "list");
    operator.restart();
    eventually("the old lists to be read", async || (old.hits() >= 2).then_some(())).await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&done).number, 1);
    assert_sound(&world, 1).await;
}

#[tokio::test]
async fn recreated_resource_waits_for_old_operation() {
    let outcomes = json!({"outcomes": [{"status": "succeeded", "durationMillis": LASTING_MILLIS}], "cancelMillis": 1_000});
    let (world, _operator) = proxied("again", outcomes).await;
    let first = world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    assert_eq!(world.operations().await[0].status, "cancelled");
    let second = world.apply("orders", &json!({})).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);
    world.until_state("orders", RunState::Succeeded).await;
    assert_sound(&world, 2).await;
}

/// Deletes the resource immediately, by force.
async fn force_delete(world: &World) {
    world.delete("orders").await;
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    // It may already be deleted.
    let _ = world.api(e2e::Kind::Refresh).patch("orders", &PatchParams::default(), &bare).await;
    world.until_gone("orders").await;
}

#[tokio::test]
async fn operation_of_force_deleted_resource_is_cancelled() {
    let outcomes = json!({"outcomes": [{"status": "succeeded", "durationMillis": LASTING_MILLIS}], "cancelMillis": LASTING_MILLIS});
    let (world, mut operator) = proxied("torn", outcomes).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    force_delete(&world).await;
    world.apply("orders", &json!({})).await;
    // The service takes until then: otherwise, the operator may complete the deletion before the finalizer is removed.
    let requested = async || world.operations().await[0].cancel_requested_time.is_some().then_some(());
    eventually("the cancellation of the old operation to be requested", requested).await;
    world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 2);
    assert!(operator.log().contains("resource deleted without its finalizer"));
    assert_eq!(operator.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn submission_of_force_deleted_resource_is_cancelled() {
    let (world, _operator) = proxied("torn-early", json!({"durationMillis": LASTING_MILLIS})).await;
    let hold = world.fault("POST", "refreshes", &json!({"action": {"hold": {"at": "after"}}})).await;
    world.apply("orders", &json!({})).await;
    hold.holds().await;
    force_delete(&world).await;
    hold.remove().await;
    eventually("the operation to be cancelled", async || {
        world.operations().await.first().is_some_and(|operation| operation.status == "cancelled").then_some(())
    })
    .await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
}

#[tokio::test]
async fn force_deleted_resource_with_orphan_policy_continues() {
    let (world, _operator) = proxied("torn-orphan", json!({"durationMillis": LASTING_MILLIS})).await;
    world.apply("orders", &json!({"deletionPolicy": "Orphan"})).await;
    world.until_state("orders", RunState::Running).await;
    force_delete(&world).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let operation = &world.operations().await[0];
    assert!(!operation.ended() && operation.cancel_requested_time.is_none(), "{operation:#?}");
}
