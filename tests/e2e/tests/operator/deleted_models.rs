//! A model deleted during a run, and an identity that loses its access: the services respond identically to both.

use std::time::Duration;

use e2e::world::run;
use e2e::{AnyObject, Model, Operator, TestSetup, World, semantic_model};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

const LONG: Duration = Duration::from_mins(1);

async fn running(name: &str) -> (World, Operator) {
    let arguments = ["--call-timeout=2s", "--listing-lag=3s"].map(str::to_owned).to_vec();
    let setup = TestSetup { model: Some(json!({"durationMillis": 600_000})), arguments, ..TestSetup::default() };
    World::running(name, setup).await
}

/// A run on a model of either service, after the service has shown its operation for a while.
async fn in_mid_run(world: &World, name: &str, model: &Model, spec: &Value) -> AnyObject {
    world.apply(name, spec).await;
    let began = world.until_state(name, RunState::Running).await;
    // The visibility timeout has passed.
    let polls = world.azure.count_of(model, "GET", "refresh").await;
    e2e::eventually("further polls", async || (world.azure.count_of(model, "GET", "refresh").await >= polls + 6).then_some(())).await;
    began
}

fn lost(object: &AnyObject) {
    assert_eq!(run(object).reason, "OperationLost", "{}", run(object).message);
    assert!(run(object).message.contains("the model was deleted"), "{}", run(object).message);
}

#[tokio::test]
async fn deleted_database_ends_run_and_allows_deletion() {
    let (world, _operator) = running("database").await;
    in_mid_run(&world, "orders", &world.model(), &json!({})).await;
    world.azure.delete(&world.model()).await;
    lost(&world.until_state_within(LONG, "orders", RunState::Failed).await);
    // Published again under the same name, it is a new model for the next run.
    world.azure.put(&world.model(), json!({"durationMillis": 300})).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("1")).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    world.assert_kstatus();

    world.patch_model(&json!({"durationMillis": 600_000})).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2")).await;
    world.until_run("orders", 3, RunState::Running).await;
    world.azure.delete(&world.model()).await;
    world.delete("orders").await;
    tokio::time::timeout(LONG, world.recorder.wait("orders", |version| version.deleted.then_some(())))
        .await
        .expect("the finalizer was not removed");
}

#[tokio::test]
async fn republished_semantic_model_ends_run() {
    let (world, _operator) = running("republished").await;
    let (model, spec, _) = semantic_model(&world, &json!({"durationMillis": 600_000})).await;
    in_mid_run(&world, "orders", &model, &spec).await;
    world.azure.delete(&model).await;
    let Model::PowerBi { group, .. } = &model else { unreachable!() };
    let successor = Model::power_bi(group, &uuid::Uuid::new_v4().to_string());
    world.azure.put(&successor, json!({"workspace": "Sales", "dataset": "Orders"})).await;
    let ended = world.until_state_within(LONG, "orders", RunState::Failed).await;
    lost(&ended);
    assert!(world.azure.refreshes(&successor).await.is_empty(), "nothing is started on a model that the spec does not name");
    world.assert_kstatus();
}

#[tokio::test]
async fn lost_access_does_not_end_run() {
    let (world, _operator) = running("lost-access").await;
    let (model, spec, _) = semantic_model(&world, &json!({"durationMillis": 600_000})).await;
    let began = in_mid_run(&world, "orders", &model, &spec).await;
    let id = run(&began).operation_id.clone().unwrap();
    world.azure.patch(&model, json!({"administrators": []})).await;
    let stalled = world.until_reason("orders", "Stalled", "ModelNotFound").await;
    assert_eq!(run(&stalled).state, RunState::Running);
    // Longer than the wait for a deleted model.
    let finds = async || {
        world
            .azure
            .ledger_after(0)
            .await
            .iter()
            .filter(|row| row.route == "datasets" && row.client_id.as_deref() == Some(&world.client_id))
            .count()
    };
    let (before, began) = (finds().await, tokio::time::Instant::now());
    e2e::within(Duration::from_secs(30), "ten seconds", async || (began.elapsed() > Duration::from_secs(10)).then_some(())).await;
    assert!(finds().await <= before + 3, "it retries once a minute");
    world.azure.patch(&model, json!({"administrators": null})).await;
    world.azure.end(&id, "succeeded").await;
    let done = world.until_state_within(Duration::from_secs(100), "orders", RunState::Succeeded).await;
    assert_eq!(run(&done).operation_id.as_ref(), Some(&id));
}
