//! Behavior that only Power BI has: it evicts a model, enforces time limits, suspends refreshes of a paused capacity, drops requests,
//! limits refreshes per day, and distinguishes busy from quota only by a text in any language.

use std::time::Duration;

use e2e::world::{LASTING_MILLIS, merged, run, run_state};
use e2e::{Model, Operator, TestSetup, World, eventually, semantic_model};
use futures::future::join_all;
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

/// A world with one semantic model, and the spec that names it by ids.
async fn with(name: &str, settings: Value) -> (World, Operator, Model, Value) {
    let (world, operator) = World::running(name, TestSetup::default()).await;
    let (model, by_ids, _) = semantic_model(&world, &settings).await;
    (world, operator, model, by_ids)
}

#[tokio::test]
async fn evicted_model_is_retried_up_to_backoff_limit() {
    let text = "Session cancelled because it is connected to a database that has been evicted to free up memory for other operations";
    let evicted = json!({"status": "failed", "messages": [{"code": "0xC11C0020", "message": text, "type": "Error"}]});
    let (world, _operator, model, spec) = with("pbi-evicted", json!({"outcomes": [evicted, evicted], "durationMillis": 300})).await;
    world.apply("orders", &spec).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    assert_eq!((run(&failed).reason.as_str(), run(&failed).attempt), ("Evicted", 1));
    assert!(run(&failed).message.contains(": 0xC11C0020 Session cancelled"), "{}", run(&failed).message);
    world.edit("orders", &json!({"spec": {"backoffLimit": 1}})).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    let done = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!(run(&done).attempt, 2);
    assert_eq!(world.azure.refreshes(&model).await.len(), 3);
    world.assert_kstatus();
}

#[tokio::test]
async fn attempt_beyond_service_limit_is_not_retried() {
    let limit = json!({"durationMillis": 600_000, "powerBI": {"attemptLimitMillis": 700}});
    let (world, _operator, model, spec) = with("pbi-attempt-limit", limit).await;
    world.apply("orders", &merged(&spec, &json!({"backoffLimit": 3}))).await;
    let ended = world.until_state("orders", RunState::TimedOut).await;
    assert_eq!((run(&ended).reason.as_str(), run(&ended).attempt), ("AttemptTimeLimit", 1));
    assert!(run(&ended).message.contains("attemptTimeoutSeconds"), "{}", run(&ended).message);
    assert_eq!(world.azure.refreshes(&model).await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn refresh_survives_short_capacity_pause() {
    let (world, _operator, model, spec) = with("pbi-pause", json!({"durationMillis": LASTING_MILLIS})).await;
    world.apply("orders", &spec).await;
    world.until_state("orders", RunState::Running).await;
    world.azure.patch(&model, json!({"paused": true})).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let now = world.recorder.latest("orders").and_then(|version| run_state(&version.decode().unwrap()));
    assert_eq!(now, Some(RunState::Running));
    // A new request waits for the capacity and reports it.
    let (paused, by_ids, _) = semantic_model(&world, &json!({"paused": true})).await;
    world.apply("stopped", &by_ids).await;
    world.until_reason("stopped", "Stalled", "ServerPaused").await;
    world.azure.patch(&model, json!({"paused": false})).await;
    world.azure.end_running(&model).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.azure.refreshes(&model).await.len(), world.azure.refreshes(&paused).await.len()), (1, 0));
    world.assert_kstatus();
}

#[tokio::test]
async fn long_capacity_pause_ends_refresh_and_is_reported() {
    let (world, _operator, model, spec) =
        with("pbi-long-pause", json!({"durationMillis": LASTING_MILLIS, "powerBI": {"pauseLimitMillis": 800}})).await;
    world.apply("orders", &spec).await;
    world.until_state("orders", RunState::Running).await;
    world.azure.patch(&model, json!({"paused": true})).await;
    let ended = world.until_state("orders", RunState::TimedOut).await;
    assert!(run(&ended).message.contains("its capacity was paused"), "{}", run(&ended).message);
    world.assert_kstatus();
}

#[tokio::test]
async fn dropped_request_is_reported_and_retried() {
    let (world, _operator, model, spec) = with("pbi-dropped", json!({"powerBI": {"whenBusy": "drop"}})).await;
    // Requests until the end of the other client's refresh are accepted and dropped. Its type excludes it as a candidate.
    let theirs = world.azure.start_refresh(&model, json!({"type": "calculate", "durationMillis": LASTING_MILLIS})).await;
    world.apply("orders", &merged(&spec, &json!({"backoffLimit": 1}))).await;
    eventually("the dropped request", async || {
        let requests = world.azure.requests(&model).await;
        requests.iter().any(|row| row.method == "POST" && row.status.is_some()).then_some(())
    })
    .await;
    world.azure.end(&theirs, "succeeded").await;
    let done = world.until_state_within(Duration::from_secs(150), "orders", RunState::Succeeded).await;
    assert_eq!(run(&done).attempt, 2);
    assert_eq!(world.azure.refreshes(&model).await.len(), 2, "another client's and the own known one");
    assert_eq!(world.azure.count_of(&model, "POST", "refreshes").await, 2);
    world.assert_kstatus();
}

#[tokio::test]
async fn busy_and_quota_are_distinguished_in_every_language() {
    let (world, _operator) = World::running("pbi-languages", TestSetup::default()).await;
    let world = &world;
    join_all(["english", "german", "chinese"].map(async |language| {
        let (model, by_ids, _) = semantic_model(world, &json!({"powerBI": {"language": language}})).await;
        world.azure.start_refresh(&model, json!({"durationMillis": LASTING_MILLIS})).await;
        world.apply(language, &by_ids).await;
        world.until_reason(language, "Reconciling", "ModelBusy").await;
        world.azure.end_running(&model).await;
        world.until_state(language, RunState::Succeeded).await;
        // A refresh that just ended may have caused the refusal: where only the list of refreshes shows it, the operator accepts this.
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.azure.patch(&model, json!({"powerBI": {"dailyLimit": 1}})).await;
        let before = world.azure.count_of(&model, "POST", "refreshes").await;
        world.annotate(language, RUN_REQUESTED_AT, Some("again")).await;
        if language == "english" {
            world.until_reason(language, "Stalled", "QuotaExceeded").await;
        } else {
            // The text itself is the only information.
            let failed = world.until_state(language, RunState::Failed).await;
            assert_eq!(run(&failed).reason, "RequestRejected");
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = world.azure.count_of(&model, "POST", "refreshes").await;
        assert_eq!(after - before, 1, "{language}: it is not resubmitted immediately");
    }))
    .await;
    world.assert_kstatus();
}

#[tokio::test]
async fn scheduled_power_bi_refresh_is_awaited_not_cancelled() {
    let (world, _operator, model, spec) = with("pbi-scheduled", json!({})).await;
    for origin in ["Scheduled", "OnDemand", "ViaApi"] {
        world.azure.start_refresh(&model, json!({"refreshType": origin, "durationMillis": 2_500})).await;
        let name = origin.to_lowercase();
        world.apply(&name, &merged(&spec, &json!({"conflictPolicy": "Replace"}))).await;
        world.until_state(&name, RunState::Succeeded).await;
    }
    assert_eq!(world.azure.count_of(&model, "DELETE", "refresh").await, 0);
    assert!(world.azure.refreshes(&model).await.iter().all(|refresh| refresh.status == "succeeded"));
    world.assert_kstatus();
}
