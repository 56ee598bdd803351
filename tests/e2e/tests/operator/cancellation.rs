//! Runs cancelled by annotation: the resource stays, the operation ends, and the reported state is true.

use e2e::world::{LASTING_MILLIS, merged, run, status};
use e2e::{AnyObject, Operator, TestSetup, World, eventually, semantic_model};
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, CancelCause, RUN_REQUESTED_AT, RunState};

/// A world whose operations run until they are ended, with one running operation.
async fn in_mid_run(name: &str, model: Value) -> (World, Operator) {
    let setup = TestSetup::with_model(merged(&json!({"durationMillis": 600_000}), &model));
    let (world, operator) = World::running(name, setup).await;
    world.apply("orders", &json!({"backoffLimit": 3})).await;
    world.until_state("orders", RunState::Running).await;
    (world, operator)
}

async fn cancel(world: &World, name: &str, value: &str) {
    world.annotate(name, CANCEL_REQUESTED_AT, Some(value)).await;
}

async fn until_handled(world: &World, name: &str, value: &str) -> AnyObject {
    let handled =
        |object: &AnyObject| object.status.as_ref().is_some_and(|status| status.last_handled_cancel_request.as_deref() == Some(value));
    world.until(name, "the annotation to be handled", handled).await
}

async fn deletes(world: &World) -> usize {
    world.ledger().await.iter().filter(|row| row.method == "DELETE").count()
}

async fn until_event(world: &World, name: &str, begins: &str) {
    eventually("the event", async || world.events(name).await.iter().any(|event| event.starts_with(begins)).then_some(())).await;
}

#[tokio::test]
async fn running_refresh_is_cancelled_once_and_resource_stays() {
    let (world, _operator) = in_mid_run("cancel", json!({"cancelMillis": LASTING_MILLIS})).await;
    cancel(&world, "orders", "one").await;
    let cancelling = world.until_state("orders", RunState::Cancelling).await;
    assert_eq!(run(&cancelling).cancel_cause, Some(CancelCause::Request));
    eventually("the cancel request", async || (deletes(&world).await > 0).then_some(())).await;
    assert!(!world.operations().await[0].ended(), "the service has not cancelled it yet");
    world.patch_model(&json!({"cancelMillis": 100})).await;
    world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
    let ended = world.until_state("orders", RunState::Cancelled).await;
    assert_eq!((run(&ended).reason.as_str(), status(&ended).history.len()), ("CancelledOnRequest", 1));
    assert_eq!((world.operations().await[0].status.as_str(), deletes(&world).await), ("cancelled", 1));
    until_event(&world, "orders", "CancelledOnRequest: ").await;
    // The same value again was already handled; another value is a new request.
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("orders", 2, RunState::Running).await;
    world.annotate("orders", CANCEL_REQUESTED_AT, None).await;
    cancel(&world, "orders", "one").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!((run(&world.until_run("orders", 2, RunState::Running).await).cancel_cause, deletes(&world).await), (None, 1));
    cancel(&world, "orders", "two").await;
    world.until_run("orders", 2, RunState::Cancelled).await;
    assert_eq!((world.operations().await.len(), world.posts().await, deletes(&world).await), (2, 2, 2));
    world.assert_kstatus();
}

#[tokio::test]
async fn cancelled_waiting_run_ends_and_leaves_queue() {
    let (world, _operator) = in_mid_run("cancel-waiting", json!({})).await;
    for name in ["second", "third"] {
        world.apply(name, &json!({})).await;
        world.until_reason(name, "Reconciling", "WaitingForTurn").await;
    }
    cancel(&world, "second", "now").await;
    let ended = world.until_state("second", RunState::Cancelled).await;
    assert_eq!((run(&ended).operation_id.as_ref(), run(&ended).reason.as_str()), (None, "CancelledOnRequest"));
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("third", RunState::Running).await;
    assert_eq!((world.posts().await, deletes(&world).await), (2, 0));
    world.assert_kstatus();
}

#[tokio::test]
async fn unresolved_submission_is_resolved_before_cancellation() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000, "listLagMillis": 1_000}));
    let (world, mut operator) = World::running("cancel-unknown", setup).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    world.apply("orders", &json!({"backoffLimit": 3})).await;
    lost.has_hit(1).await;
    world.until_state("orders", RunState::Submitting).await;
    operator.kill();
    cancel(&world, "orders", "now").await;
    operator.restart();
    until_handled(&world, "orders", "now").await;
    // The request is recorded: removing the annotation does not undo it.
    world.annotate("orders", CANCEL_REQUESTED_AT, None).await;
    let ended = world.until_state("orders", RunState::Cancelled).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str(), world.posts().await), (1, "cancelled", 1));
    assert_eq!(run(&ended).operation_id.as_ref(), Some(&operations[0].operation_id));
    world.assert_kstatus();
}

#[tokio::test]
async fn cancelled_lost_submission_is_not_repeated() {
    let (world, _operator) = World::running("cancel-lost", TestSetup::default()).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"dropBefore": {}}})).await;
    world.apply("orders", &json!({})).await;
    lost.has_hit(1).await;
    cancel(&world, "orders", "now").await;
    let ended = world.until_state("orders", RunState::Cancelled).await;
    assert_eq!((run(&ended).operation_id.as_ref(), world.operations().await.len(), world.posts().await), (None, 0, 1));
}

#[tokio::test]
async fn cancel_request_over_restart_affects_one_run() {
    let (world, mut operator) = in_mid_run("cancel-restart", json!({"cancelMillis": LASTING_MILLIS})).await;
    operator.kill();
    cancel(&world, "orders", "while down").await;
    operator.restart();
    world.until_state("orders", RunState::Cancelling).await;
    operator.kill();
    operator.restart();
    operator.ready().await;
    world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
    world.until_state("orders", RunState::Cancelled).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("orders", 2, RunState::Running).await;
    let before = deletes(&world).await;
    operator.kill();
    operator.restart();
    operator.ready().await;
    world.azure.end(&world.operations().await[1].operation_id, "succeeded").await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), deletes(&world).await), (2, before));
    world.assert_kstatus();
}

#[tokio::test]
async fn refresh_ended_before_cancellation_keeps_its_result() {
    let (world, _operator) = in_mid_run("cancel-late", json!({"cancelMillis": 600_000})).await;
    cancel(&world, "orders", "now").await;
    world.until_state("orders", RunState::Cancelling).await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    let ended = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&ended).cancel_cause, Some(CancelCause::Request));
    // No run is in progress: another value is ignored and does not apply to the next run.
    cancel(&world, "orders", "too late").await;
    until_handled(&world, "orders", "too late").await;
    until_event(&world, "orders", "NotCancelled: ").await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("orders", 2, RunState::Running).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn queued_trigger_runs_after_cancelled_run() {
    let (world, _operator) = in_mid_run(
        "cancel-queue",
        json!({"outcomes": [{"status": "succeeded", "durationMillis": 600_000}],
        "durationMillis": 500}),
    )
    .await;
    world.edit("orders", &json!({"spec": {"trigger": {"token": "next"}}})).await;
    world.until("orders", "the trigger to wait", |object| status(object).queued.is_some()).await;
    cancel(&world, "orders", "now").await;
    let done = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!((status(&done).history[1].state, run(&done).trigger.value.as_str()), (RunState::Cancelled, "next"));
    world.assert_kstatus();
}

#[tokio::test]
async fn power_bi_refresh_is_cancelled_and_manifest_value_ignored() {
    let (world, _operator) = World::running("cancel-pbi", TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &json!({"durationMillis": 600_000, "cancelMillis": 300})).await;
    let mut manifest = world.manifest("orders", &by_ids);
    manifest["metadata"]["annotations"] = json!({CANCEL_REQUESTED_AT: "of a backup"});
    world.api(e2e::Kind::Refresh).create(&kube::api::PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    world.until_state("orders", RunState::Running).await;
    until_handled(&world, "orders", "of a backup").await;
    cancel(&world, "orders", "now").await;
    world.until_state("orders", RunState::Cancelled).await;
    assert_eq!(world.azure.refreshes(&model).await[0].status, "cancelled");
    assert!(world.events("orders").await.iter().all(|event| !event.starts_with("NotCancelled: ")));
    world.assert_kstatus();
}

#[tokio::test]
async fn cancel_request_ends_waiting_but_not_running_sync() {
    let setup = TestSetup::with_model(json!({"sync": {"replicatingMillis": LASTING_MILLIS}}));
    let (world, _operator) = World::running("cancel-sync", setup).await;
    world.apply("modelsync/first", &json!({})).await;
    world.until_state("modelsync/first", RunState::Running).await;
    world.apply("modelsync/second", &json!({})).await;
    world.until_reason("modelsync/second", "Reconciling", "WaitingForTurn").await;
    cancel(&world, "modelsync/first", "now").await;
    cancel(&world, "modelsync/second", "now").await;
    world.until_state("modelsync/second", RunState::Cancelled).await;
    until_event(&world, "modelsync/first", "NotCancelled: ").await;
    world.azure.end(&world.syncs().await[0].operation_id, "completed").await;
    world.until_state("modelsync/first", RunState::Succeeded).await;
    assert_eq!(world.syncs().await.len(), 1);
    world.assert_kstatus();
}
