//! Deleted resources: no operation of theirs is left running without supervision.

use e2e::world::{LASTING_MILLIS, run};
use e2e::{Operator, TestSetup, World, eventually};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use tabular_operator::api::{FINALIZER, RELEASE, RunState};

/// A world with one long operation.
async fn in_mid_run(name: &str, spec: serde_json::Value) -> (World, Operator) {
    let setup =
        TestSetup { model: Some(json!({"durationMillis": 600_000, "cancelMillis": 1_000})), everywhere: true, ..TestSetup::default() };
    let (world, operator) = World::running(name, setup).await;
    world.apply("orders", &spec).await;
    world.until_state("orders", RunState::Running).await;
    (world, operator)
}

#[tokio::test]
async fn deletion_during_run_cancels_and_waits_for_end() {
    let (world, _operator) = in_mid_run("delete", json!({})).await;
    world.patch_model(&json!({"cancelMillis": LASTING_MILLIS})).await;
    world.delete("orders").await;
    let cancelling = world.until_state("orders", RunState::Cancelling).await;
    assert!(cancelling.metadata.deletion_timestamp.is_some());
    let requested = async || world.operations().await[0].cancel_requested_time.is_some().then_some(());
    eventually("the cancel request", requested).await;
    assert!(!world.operations().await[0].ended(), "the service has not cancelled it yet");
    assert!(!world.recorder.latest("orders").unwrap().deleted, "the deletion waits for the end");
    world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
    world.until_gone("orders").await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str()), (1, "cancelled"));
    let deletes = world.ledger().await.iter().filter(|row| row.method == "DELETE").count();
    assert_eq!(deletes, 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn deletion_with_orphan_policy_reports_running_operation() {
    let (world, _operator) = in_mid_run("orphan", json!({"deletionPolicy": "Orphan"})).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let operation = &world.operations().await[0];
    assert!(!operation.ended() && operation.cancel_requested_time.is_none(), "{operation:?}");
    eventually("the event", async || {
        let events = world.events("orders").await;
        events.iter().any(|event| event.starts_with("Released: ") && event.contains(&operation.operation_id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn release_annotation_unblocks_deletion() {
    let (world, _operator) = in_mid_run("release", json!({})).await;
    world.patch_model(&json!({"cancelMillis": 600_000})).await;
    world.delete("orders").await;
    world.until_state("orders", RunState::Cancelling).await;
    world.annotate("orders", RELEASE, Some("true")).await;
    world.until_gone("orders").await;
    eventually("the event", async || world.events("orders").await.iter().any(|event| event.starts_with("Released: ")).then_some(())).await;
}

#[tokio::test]
async fn deletion_without_running_operation_is_immediate() {
    let (world, _operator) = in_mid_run("idle", json!({})).await;
    world.apply("waiting", &json!({})).await;
    world.until_state("waiting", RunState::Waiting).await;
    world.delete("waiting").await;
    world.until_gone("waiting").await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let ledger = world.ledger().await;
    assert_eq!(ledger.iter().filter(|row| row.method == "POST").count(), 1);
    assert_eq!(ledger.iter().filter(|row| row.method == "DELETE").count(), 0);
}

#[tokio::test]
async fn deletion_resolves_unresolved_submission_first() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("unknown-delete", setup).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    world.apply("orders", &json!({})).await;
    lost.has_hit(1).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str()), (1, "cancelled"));
}

#[tokio::test]
async fn namespace_deletion_cancels_running_operation() {
    let (world, _operator) = in_mid_run("namespace", json!({})).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world.until_gone("orders").await;
    assert_eq!(world.operations().await[0].status, "cancelled");
    eventually("the end of the namespace", async || namespaces.get_opt(&world.namespace).await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn deletion_without_operator_is_completed_later() {
    let (world, mut operator) = in_mid_run("absent", json!({})).await;
    operator.kill();
    world.delete("orders").await;
    operator.restart();
    world.until_gone("orders").await;
    assert_eq!(world.operations().await[0].status, "cancelled");
    let last = world.recorder.latest("orders").unwrap().decode().unwrap();
    assert_eq!(run(&last).operation_id.as_ref(), Some(&world.operations().await[0].operation_id));
}

#[tokio::test]
async fn finalizer_of_other_controller_holds_no_turn() {
    let (world, mut operator) = in_mid_run("held", json!({"deletionPolicy": "Orphan"})).await;
    world.edit("orders", &json!({"metadata": {"finalizers": [FINALIZER, "acme.io/hold"]}})).await;
    world.delete("orders").await;
    world.until("orders", "released", |object| object.metadata.finalizers == Some(vec!["acme.io/hold".to_owned()])).await;
    world.apply("second", &json!({})).await;
    // The service reports the conflict, not the queue.
    world.until_reason("second", "Reconciling", "ModelBusy").await;
    operator.kill();
    operator.restart();
    let orphan = world.operations().await[0].operation_id.clone();
    world.azure.end(&orphan, "succeeded").await;
    world.until_state("second", RunState::Running).await;
    world.edit("orders", &json!({"metadata": {"finalizers": null}})).await;
    world.until_gone("orders").await;
    assert_eq!(world.ledger().await.iter().filter(|row| row.method == "DELETE").count(), 0);
}
