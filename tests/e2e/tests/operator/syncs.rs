//! `ModelSync` on Analysis Services: from the POST to the end that the service reports, in every response format.

use e2e::world::{LASTING_MILLIS, first_lasts, run, run_state, status};
use e2e::{AnyObject, TestSetup, World, eventually};
use futures::future::join_all;
use serde_json::{Value, json};
use tabular_operator::api::RunState;

/// The test name of the resource.
const REPLICAS: &str = "modelsync/replicas";

/// Settings of a model with a long sync.
fn long_sync() -> TestSetup {
    TestSetup::with_model(json!({"sync": {"replicatingMillis": 600_000}}))
}

/// Number of requests of a method for syncs of the world's model.
async fn requests(world: &World, method: &str) -> u64 {
    world.azure.count_of(&world.model(), method, "sync").await
}

#[tokio::test]
async fn sync_is_submitted_once_and_completes() {
    let (world, _operator) = World::running("sync", TestSetup::default()).await;
    world.apply(REPLICAS, &json!({})).await;
    let done = world.until_state(REPLICAS, RunState::Succeeded).await;
    let syncs = world.syncs().await;
    assert_eq!((syncs.len(), syncs[0].status.as_str()), (1, "completed"));
    assert_eq!(run(&done).operation_id.as_deref(), Some(syncs[0].operation_id.as_str()));
    assert_eq!(status(&done).history.len(), 1);
    assert_eq!(requests(&world, "POST").await, 1);
    assert!(world.operations().await.is_empty(), "nothing was refreshed");
    let writes = world.writes();
    assert!(writes.len() <= 4 && writes.iter().all(|write| write.contains(" modelsyncs")), "{writes:#?}");
    world.delete(REPLICAS).await;
    world.until_gone(REPLICAS).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn sync_completes_in_every_response_format() {
    let (world, _operator) = World::running("sync-styles", TestSetup::default()).await;
    let mut styles = Vec::new();
    for state in ["number", "numericText", "name"] {
        for poll in ["ok", "accepted", "seeOther", "alternating"] {
            for location in ["query", "path"] {
                styles.push(
                    json!({"stateStyle": state, "pollStyle": poll, "locationStyle": location, "locationsExpire": location == "path"}),
                );
            }
        }
    }
    styles.push(json!({"finalizingMillis": 1_500}));
    join_all(styles.iter().enumerate().map(async |(number, style)| {
        let database = format!("style-{number}");
        let spec = world.put_database(&database, &json!({"sync": style})).await;
        let name = format!("modelsync/{database}");
        world.apply(&name, &spec).await;
        let done = world.until_state(&name, RunState::Succeeded).await;
        let syncs = world.azure.syncs(&e2e::Model::analysis_services(&world.server, &database)).await;
        assert_eq!(syncs.len(), 1, "{style}");
        // The replicas have the data while the sync is still cleaning up.
        assert!(matches!(syncs[0].status.as_str(), "completed" | "finalizing"), "{style}: {syncs:?}");
        assert_eq!(run(&done).attempt, 1, "{style}");
    }))
    .await;
    world.assert_kstatus();
}

#[tokio::test]
async fn sync_without_replica_succeeds() {
    for code in [200, 204] {
        let model = json!({"sync": {"replica": false, "noReplicaStatus": code}});
        let (world, _operator) = World::running("sync-none", TestSetup::with_model(model)).await;
        world.apply(REPLICAS, &json!({})).await;
        let done = world.until_state(REPLICAS, RunState::Succeeded).await;
        assert!(run(&done).message.contains("replica"), "{}", run(&done).message);
        assert!(world.syncs().await.is_empty());
        world.assert_kstatus();
    }
}

#[tokio::test]
async fn failed_sync_contains_service_message() {
    let model = json!({"sync": {"outcomes": [{"state": "failed", "details": "replica 2 is out of memory"}]}});
    let (world, _operator) = World::running("sync-fails", TestSetup::with_model(model)).await;
    world.apply(REPLICAS, &json!({})).await;
    let failed = world.until_state(REPLICAS, RunState::Failed).await;
    assert_eq!(run(&failed).reason, "SyncFailed");
    let texts: Vec<&str> = run(&failed).messages.iter().map(|message| message.message.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("replica 2 is out of memory")), "{texts:?}");
    world.assert_kstatus();
}

#[tokio::test]
async fn running_refresh_beyond_list_limit_is_awaited() {
    // 12 MB of ended refreshes; the running one is after them or before them.
    let model = json!({"pastOperations": 80_000, "listOrder": "oldest", "durationMillis": 600_000});
    // A busy machine needs time to send and to read the list.
    let arguments = vec!["--call-timeout=20s".to_owned()];
    let setup = TestSetup { model: Some(model), arguments, limit: Some(std::time::Duration::from_secs(100)), ..TestSetup::default() };
    let (world, _operator) = World::running("sync-long-list", setup).await;
    let running = world.start_for_other_client(&json!({"type": "full"})).await;
    world.apply(REPLICAS, &json!({})).await;
    let reports = |object: &AnyObject, what: &str| run_state(object) == Some(RunState::Waiting) && run(object).message.contains(what);
    world.until(REPLICAS, "the message about the unreadable list", |object| reports(object, "does not show whether one is running")).await;
    world.patch_model(&json!({"listOrder": "newest"})).await;
    world.until(REPLICAS, "the refresh", |object| reports(object, &running)).await;
    assert_eq!(requests(&world, "POST").await, 0);
    world.azure.end(&running, "succeeded").await;
    world.until_state(REPLICAS, RunState::Succeeded).await;
    assert_eq!((requests(&world, "POST").await, world.syncs().await.len()), (1, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn sync_with_lost_response_is_not_repeated() {
    let (world, _operator) = World::running("sync-lost", TestSetup::default()).await;
    world.patch_model(&json!({"sync": {"replicatingMillis": LASTING_MILLIS}})).await;
    let fault = world.fault("POST", "sync", &json!({"action": {"dropAfter": {}}})).await;
    world.apply(REPLICAS, &json!({})).await;
    world.until_state(REPLICAS, RunState::Running).await;
    world.azure.end(&world.syncs().await[0].operation_id, "completed").await;
    let done = world.until_state(REPLICAS, RunState::Succeeded).await;
    let syncs = world.syncs().await;
    assert_eq!(syncs.len(), 1, "{syncs:#?}");
    assert_eq!(run(&done).operation_id.as_deref(), Some(syncs[0].operation_id.as_str()));
    assert_eq!(requests(&world, "POST").await, 1);
    fault.remove().await;
    world.assert_kstatus();
}

#[tokio::test]
async fn sync_and_refresh_of_model_wait_for_each_other() {
    let (world, _operator) = World::running("sync-turns", TestSetup::default()).await;
    world.patch_model(&first_lasts()).await;
    world.apply("one", &json!({})).await;
    world.until_state("one", RunState::Running).await;
    world.apply("modelsync/one", &json!({})).await;
    let waiting = world.until_reason("modelsync/one", "Reconciling", "WaitingForTurn").await;
    assert_eq!(run(&waiting).waiting_for.as_deref(), Some("the ModelRefresh one"));
    // The queue orders by seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.apply("two", &json!({})).await;
    world.until_reason("two", "Reconciling", "WaitingForTurn").await;
    world.azure.end_running(&world.model()).await;
    for name in ["one", "modelsync/one", "two"] {
        world.until_state(name, RunState::Succeeded).await;
    }
    let (refreshes, syncs) = (world.operations().await, world.syncs().await);
    assert_eq!((refreshes.len(), syncs.len()), (2, 1));
    // Their actual times at the service: no two overlap, and they are in the order of arrival.
    let at = |time: &Option<String>| time.clone().expect("the sync started and ended");
    assert!(at(&refreshes[0].end_time) <= syncs[0].start_time, "{refreshes:#?} {syncs:#?}");
    assert!(at(&syncs[0].end_time) <= at(&refreshes[1].start_time), "{refreshes:#?} {syncs:#?}");
    world.assert_kstatus();
}

#[tokio::test]
async fn both_kinds_can_share_a_name() {
    let (world, _operator) = World::running("sync-namesakes", TestSetup::default()).await;
    let other = world.put_database("Other", &json!({})).await;
    world.apply("orders", &json!({})).await;
    world.apply("modelsync/orders", &other).await;
    let (refresh, sync) =
        tokio::join!(world.until_state("orders", RunState::Succeeded), world.until_state("modelsync/orders", RunState::Succeeded));
    assert_ne!(run(&refresh).operation_id, run(&sync).operation_id);
    world.delete("orders").await;
    world.until_gone("orders").await;
    // The other resource is served as before.
    world.annotate("modelsync/orders", tabular_operator::api::RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("modelsync/orders", 2, RunState::Succeeded).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn deleted_sync_is_released_and_reported() {
    let (world, _operator) = World::running("sync-deleted", long_sync()).await;
    world.apply(REPLICAS, &json!({})).await;
    let running = world.until_state(REPLICAS, RunState::Running).await;
    let id = run(&running).operation_id.clone().expect("the run has an id");
    world.delete(REPLICAS).await;
    world.until_gone(REPLICAS).await;
    eventually("the event", async || {
        world.events(REPLICAS).await.iter().any(|event| event.starts_with("Released: ") && event.contains(&id)).then_some(())
    })
    .await;
    assert_eq!(requests(&world, "DELETE").await, 0);
    assert_eq!(world.syncs().await[0].end_time, None);
}

#[tokio::test]
async fn sync_continues_after_sigkill() {
    for when in ["before", "after"] {
        let (world, mut operator) = World::running(&format!("sync-killed-{when}"), TestSetup::default()).await;
        let hold = world.fault("POST", "sync", &json!({"action": {"hold": {"at": when}}})).await;
        world.apply(REPLICAS, &json!({})).await;
        hold.holds().await;
        operator.kill();
        if when == "before" {
            hold.holds_none().await;
        }
        hold.remove().await;
        operator.restart();
        let done = world.until_state(REPLICAS, RunState::Succeeded).await;
        let syncs = world.syncs().await;
        assert_eq!(syncs.len(), 1, "{when}: {syncs:#?}");
        assert_eq!(run(&done).operation_id.as_deref(), Some(syncs[0].operation_id.as_str()), "{when}");
        world.assert_kstatus();
    }
}

/// Removes the model and the credentials from the default spec, into which the result is merged.
pub fn after_refresh(name: &str) -> Value {
    json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": name}}})
}
