//! Refusals of a service: an overloaded capacity, a quota, a missing owner, and too many calls of one kind.

use e2e::world::{merged, run};
use e2e::{TestSetup, World, semantic_model};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

/// Refuses submissions of this semantic model, by its spec.
async fn refuse(world: &World, spec: &Value, times: u64, response: Value) {
    let dataset = spec["model"]["powerBI"]["datasetId"].as_str().unwrap();
    let order =
        json!({"match": {"method": "POST", "path": format!("*{dataset}/refreshes")}, "times": times, "action": {"status": response}});
    world.azure.fault(order).await;
}

#[tokio::test]
async fn overloaded_capacity_delays_no_other_model() {
    let (world, _operator) = World::running("capacity", TestSetup::default()).await;
    let text = "Cannot complete the action because your organization's capacity has exceeded its limits. Try again later.";
    let limit = json!({"code": 429, "body": {"error": {"code": "CapacityLimitExceeded", "message": text}}});
    let unavailable = json!({"code": 503, "headers": {"x-ms-error-code": "RejectedDueToResourceConstraints"}});
    let details = json!([{"code": "CapacityLimitExceeded", "message": "Die Aktion kann nicht abgeschlossen werden."}]);
    let error = json!({"code": "TooManyRequests", "details": details});
    let inside = json!({"code": 429, "headers": {"retry-after": "3392"}, "body": {"error": error}});
    for (name, response) in [("limit", limit), ("unavailable", unavailable), ("inside", inside)] {
        let (model, spec, _) = semantic_model(&world, &json!({})).await;
        refuse(&world, &spec, 0, response).await;
        world.apply(name, &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
        let waits = world.until_reason(name, "Reconciling", "CapacityExceeded").await;
        assert_eq!((run(&waits).state, run(&waits).attempt), (RunState::Waiting, 1));
        // The same identity, and another capacity.
        let (_, other, _) = semantic_model(&world, &json!({})).await;
        let beside = format!("beside-{name}");
        world.apply(&beside, &other).await;
        world.until_state(&beside, RunState::Succeeded).await;
        let ended = world.until_state(name, RunState::TimedOut).await;
        assert_eq!(run(&ended).reason, "WaitDeadlineExceeded");
        assert_eq!(world.azure.count_of(&model, "POST", "refreshes").await, 1, "{name}");
    }
    world.assert_kstatus();
}

#[tokio::test]
async fn refused_submissions_end_at_wait_deadline() {
    let (world, _operator) = World::running("refused", TestSetup::default()).await;
    let quota = json!({"code": 400, "body": {"error": {"code": "DailyRefreshQuotaReached", "message": "no more today"}}});
    let (_, spec, _) = semantic_model(&world, &json!({})).await;
    refuse(&world, &spec, 0, quota).await;
    world.apply("quota", &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
    world.until_reason("quota", "Stalled", "QuotaExceeded").await;
    let ended = world.until_state("quota", RunState::TimedOut).await;
    assert!(run(&ended).message.contains("no more today"), "{}", run(&ended).message);
    world.assert_kstatus();
}

#[tokio::test]
async fn missing_owner_stalls_with_remedy() {
    let (world, _operator) = World::running("owner", TestSetup::default()).await;
    let (model, spec, _) = semantic_model(&world, &json!({})).await;
    let error =
        json!({"code": "DMTS_UserNotFoundInADGraphError", "pbi.error": {"code": "DMTS_UserNotFoundInADGraphError", "parameters": {}}});
    refuse(&world, &spec, 0, json!({"code": 404, "body": {"error": error}})).await;
    world.apply("orders", &spec).await;
    let stalled = world.until_reason("orders", "Stalled", "OwnerNotFound").await;
    for part in ["DMTS_UserNotFoundInADGraphError", "take over the semantic model"] {
        assert!(run(&stalled).message.contains(part), "{}", run(&stalled).message);
    }
    assert_eq!(world.azure.count_of(&model, "POST", "refreshes").await, 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn throttled_lookup_delays_no_other_run() {
    let (world, _operator) = World::running("throttled", TestSetup::default()).await;
    let (_, running, _) = semantic_model(&world, &json!({"durationMillis": 600_000})).await;
    world.apply("running", &running).await;
    world.until_state("running", RunState::Running).await;
    let throttle = json!({"status": {"code": 429, "headers": {"Retry-After": "3392"}}});
    let lookups = json!({"method": "GET", "path": "*/groups?*", "clientId": world.client_id});
    world.azure.fault(json!({"match": lookups, "times": 0, "action": throttle})).await;
    let (_, _, by_names) = semantic_model(&world, &json!({})).await;
    world.apply("named", &by_names).await;
    let waits = world.until_reason("named", "Reconciling", "Retrying").await;
    let until = run(&waits).message.split("waits until ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(until.parse::<jiff::Timestamp>().is_ok(), "{until}");
    // Polled, cancelled and released as usual.
    world.delete("running").await;
    world.until_gone("running").await;
    world.assert_kstatus();
}
