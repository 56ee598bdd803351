//! Refreshes and syncs of Power BI semantic models, by ids and by names.

use e2e::world::{LASTING_MILLIS, first_lasts, merged, run};
use e2e::{TestSetup, World, semantic_model};
use serde_json::json;
use tabular_operator::api::RunState;

#[tokio::test]
async fn semantic_model_is_refreshed_as_specified() {
    let (world, _operator) = World::running("pbi", TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &json!({})).await;
    let refresh = json!({"refresh": {
        "type": "dataOnly", "commitMode": "partialBatch", "applyRefreshPolicy": false, "maxParallelism": 4, "retryCount": 1,
        "attemptTimeoutSeconds": 7_200, "objects": [{"table": "DimDate"}],
    }});
    world.apply("orders", &merged(&by_ids, &refresh)).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    let operations = world.azure.refreshes(&model).await;
    assert_eq!(operations.len(), 1, "{operations:#?}");
    let operation = &operations[0];
    assert_eq!(run(&done).operation_id.as_deref(), Some(operation.operation_id.as_str()));
    let [group, dataset] = ["groupId", "datasetId"].map(|id| by_ids["model"]["powerBI"][id].as_str().unwrap().to_lowercase());
    let page =
        format!("https://app.powerbi.com/groups/{group}/datasets/{dataset}/refreshdetails/{}", operation.operation_id.to_lowercase());
    assert_eq!(run(&done).details_url, Some(page));
    assert_eq!((operation.r#type.as_str(), operation.max_parallelism, operation.retry_count), ("dataOnly", 4, 1));
    assert_eq!((operation.timeout_seconds, operation.apply_refresh_policy), (Some(7_200), false));
    world.assert_kstatus();
}

#[tokio::test]
async fn names_and_ids_of_model_share_queue() {
    let (world, _operator) = World::running("pbi-names", TestSetup::default()).await;
    let (model, by_ids, by_names) = semantic_model(&world, &first_lasts()).await;
    world.apply("names", &by_names).await;
    world.until_state("names", RunState::Running).await;
    world.apply("ids", &by_ids).await;
    world.until_reason("ids", "Reconciling", "WaitingForTurn").await;
    world.azure.end_running(&model).await;
    world.until_state("ids", RunState::Succeeded).await;
    world.until_state("names", RunState::Succeeded).await;
    assert_eq!(world.azure.refreshes(&model).await.len(), 2);
    // The queue ordered the runs: the service never had to refuse one.
    assert_eq!(world.azure.count_of(&model, "POST", "refreshes").await, 2);
    world.assert_kstatus();
}

#[tokio::test]
async fn unknown_names_are_reported() {
    let (world, _operator) = World::running("pbi-unnamed", TestSetup::default()).await;
    let (_, _, by_names) = semantic_model(&world, &json!({})).await;
    world.apply("orders", &merged(&by_names, &json!({"model": {"powerBI": {"dataset": "Nowhere"}}}))).await;
    let stalled = world.until_reason("orders", "Stalled", "ModelNotResolved").await;
    assert!(run(&stalled).message.contains("Nowhere"), "{}", run(&stalled).message);
    world.apply("orders", &by_names).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn name_that_differs_in_a_space_is_shown() {
    let (world, _operator) = World::running("pbi-similar", TestSetup::default()).await;
    let (_, _, by_names) = semantic_model(&world, &json!({"dataset": "Orders\u{a0}2026"})).await;
    world.apply("orders", &merged(&by_names, &json!({"model": {"powerBI": {"dataset": "Orders 2026"}}}))).await;
    let stalled = world.until_reason("orders", "Stalled", "ModelNotResolved").await;
    assert!(run(&stalled).message.contains("\"Orders[U+00A0]2026\""), "{}", run(&stalled).message);
}

#[tokio::test]
async fn deletion_cancels_refresh_of_semantic_model() {
    let (world, _operator) = World::running("pbi-deleted", TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &json!({"durationMillis": 600_000})).await;
    world.apply("orders", &by_ids).await;
    world.until_state("orders", RunState::Running).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    assert_eq!(world.azure.refreshes(&model).await[0].status, "cancelled");
}

#[tokio::test]
async fn power_bi_refresh_of_other_client_is_awaited() {
    let (world, _operator) = World::running("pbi-busy", TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &json!({})).await;
    world.azure.start_refresh(&model, json!({"durationMillis": LASTING_MILLIS})).await;
    world.apply("orders", &by_ids).await;
    world.until_reason("orders", "Reconciling", "ModelBusy").await;
    world.azure.end_running(&model).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(world.azure.refreshes(&model).await.len(), 2);
    world.assert_kstatus();
}

#[tokio::test]
async fn sync_of_semantic_model_follows_refresh() {
    let (world, _operator) = World::running("pbi-sync", TestSetup::default()).await;
    let (model, _, by_names) = semantic_model(&world, &json!({})).await;
    world.apply("modelsync/orders", &crate::syncs::after_refresh("orders")).await;
    world.apply("orders", &by_names).await;
    world.until_state("modelsync/orders", RunState::Succeeded).await;
    let (refreshes, syncs) = (world.azure.refreshes(&model).await, world.azure.syncs(&model).await);
    assert_eq!((refreshes.len(), syncs.len()), (1, 1), "{syncs:#?}");
    assert_eq!(syncs[0].status, "completed");
    world.assert_kstatus();
}

#[tokio::test]
async fn disabled_scale_out_is_reported_and_awaited() {
    let (world, _operator) = World::running("pbi-off", TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &json!({"scaleOut": {"status": "ReadOnlyReplicasDisabled"}})).await;
    world.apply("modelsync/orders", &by_ids).await;
    world.until_reason("modelsync/orders", "Stalled", "ScaleOutDisabled").await;
    world.azure.patch(&model, json!({"scaleOut": {"status": "Enabled"}})).await;
    world.annotate("modelsync/orders", tabular_operator::api::RUN_REQUESTED_AT, Some("now")).await;
    world.until_state_within(std::time::Duration::from_secs(100), "modelsync/orders", RunState::Succeeded).await;
    world.assert_kstatus();
}
