//! One refresh at a time on a model: the operator's queue, and other clients.

use e2e::world::{LASTING_MILLIS, first_lasts, run};
use e2e::{TestSetup, World};
use serde_json::json;
use tabular_operator::api::RunState;

#[tokio::test]
async fn resources_on_one_model_run_in_arrival_order() {
    let (world, _operator) = World::running("turns", TestSetup::with_model(first_lasts())).await;
    world.apply("first", &json!({})).await;
    world.until_state("first", RunState::Running).await;
    world.apply("second", &json!({})).await;
    world.until_reason("second", "Reconciling", "WaitingForTurn").await;
    // The queue orders by seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.apply("third", &json!({})).await;
    world.until_reason("third", "Reconciling", "WaitingForTurn").await;
    world.azure.end_running(&world.model()).await;
    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        ids.push(run(&world.until_state(name, RunState::Succeeded).await).operation_id.clone().unwrap());
    }
    let operations: Vec<String> = world.operations().await.into_iter().map(|operation| operation.operation_id).collect();
    assert_eq!(operations, ids);
    // The queue ordered the runs: the service never had to refuse one.
    assert!(world.ledger().await.iter().all(|row| row.status != Some(409)));
    world.assert_kstatus();
}

#[tokio::test]
async fn deleted_waiting_resource_blocks_no_other() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("leaves", setup).await;
    world.apply("first", &json!({})).await;
    let first = world.until_state("first", RunState::Running).await;
    for name in ["second", "third"] {
        world.apply(name, &json!({})).await;
        world.until_reason(name, "Reconciling", "WaitingForTurn").await;
    }
    world.delete("second").await;
    world.until_gone("second").await;
    world.azure.end(run(&first).operation_id.as_deref().unwrap(), "succeeded").await;
    world.until_state("third", RunState::Running).await;
    assert_eq!(world.posts().await, 2);
}

#[tokio::test]
async fn refresh_of_other_client_is_awaited() {
    let (world, _operator) = World::running("foreign", TestSetup::default()).await;
    let foreign = world.start_for_other_client(&json!({"durationMillis": LASTING_MILLIS})).await;
    world.apply("orders", &json!({})).await;
    let waiting = world.until_reason("orders", "Reconciling", "ModelBusy").await;
    assert_eq!(run(&waiting).state, RunState::Waiting);
    let names_it = |object: &e2e::AnyObject| {
        object.status.as_ref().and_then(|status| status.run.as_ref()?.waiting_for.as_ref()).is_some_and(|what| what.contains(&foreign))
    };
    world.until("orders", "the name of what it waits for", names_it).await;
    world.azure.end(&foreign, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str()), (2, "succeeded"));
    let posts = world.posts().await;
    assert!(posts <= 4, "{posts} POSTs for one wait");
    world.assert_kstatus();
}

#[tokio::test]
async fn conflict_with_fail_policy_fails() {
    let (world, _operator) = World::running("conflict-fail", TestSetup::default()).await;
    let foreign = world.start_for_other_client(&json!({"durationMillis": 600_000})).await;
    world.apply("orders", &json!({"conflictPolicy": "Fail"})).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    assert_eq!(run(&failed).reason, "Conflict");
    world.until_reason("orders", "Stalled", "Conflict").await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].ended()), (1, false));
    assert_eq!(operations[0].operation_id, foreign);
    world.assert_kstatus();
}

#[tokio::test]
async fn conflict_with_replace_policy_is_replaced() {
    let (world, _operator) = World::running("conflict-replace", TestSetup::default()).await;
    let foreign = world.start_for_other_client(&json!({"durationMillis": 600_000})).await;
    world.apply("orders", &json!({"conflictPolicy": "Replace"})).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str()), (2, "cancelled"));
    assert_eq!(operations[0].operation_id, foreign);
    assert_eq!(run(&done).operation_id.as_ref(), Some(&operations[1].operation_id));
    world.assert_kstatus();
}

#[tokio::test]
async fn released_operation_counts_as_other_client() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 500}));
    let (world, _operator) = World::running("let-go", setup).await;
    world.apply("first", &json!({"deletionPolicy": "Orphan"})).await;
    let first = run(&world.until_state("first", RunState::Running).await).operation_id.clone().unwrap();
    world.delete("first").await;
    world.until_gone("first").await;
    world.apply("careful", &json!({"conflictPolicy": "Fail"})).await;
    let failed = world.until_state("careful", RunState::Failed).await;
    assert_eq!(run(&failed).reason, "Conflict");
    assert!(!world.operations().await[0].ended(), "it still runs, as its resource reported");
    world.apply("eager", &json!({"conflictPolicy": "Replace"})).await;
    let eager = world.until_state("eager", RunState::Running).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), &operations[0].operation_id, operations[0].status.as_str()), (2, &first, "cancelled"));
    assert_eq!(run(&eager).operation_id.as_ref(), Some(&operations[1].operation_id));
    world.assert_kstatus();
}
