//! An API server that refuses or fails the operator's writes: the affected resource waits, and all others continue.

use std::time::Duration;

use e2e::world::run;
use e2e::{Action, Operator, TestSetup, When, World, eventually};
use serde_json::json;
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};
use tokio::time::Instant;

/// Every matching request.
const ALWAYS: usize = usize::MAX;

async fn proxied(name: &str) -> (World, Operator) {
    World::running(name, TestSetup { model: Some(json!({"durationMillis": 200})), api_proxy: true, ..TestSetup::default() }).await
}

#[tokio::test]
async fn failing_status_writes_block_no_other_on_model() {
    for (name, action) in
        [("refused", Action::Respond(403)), ("failing", Action::Respond(500)), ("lost", Action::Drop(When::Before)), ("hung", Action::Hang)]
    {
        let (world, _operator) = proxied(&format!("unrecorded-{name}")).await;
        let fault = world.proxy().inject_times(0, ALWAYS, action, |request| request.writes_resource() && request.name == "first");
        world.apply("first", &json!({})).await;
        tokio::time::timeout(Duration::from_secs(30), fault.wait_until_hit()).await.unwrap();
        world.apply("second", &json!({})).await;
        world.until_state("second", RunState::Succeeded).await;
        assert_eq!((world.operations().await.len(), world.posts().await), (1, 1), "{name}");
        drop(fault);
        world.until_state_within(Duration::from_secs(90), "first", RunState::Succeeded).await;
        assert_eq!((world.operations().await.len(), world.posts().await), (2, 2), "{name}");
        world.proxy().assert_preconditions();
    }
}

#[tokio::test]
async fn failing_intent_write_blocks_no_other_on_model() {
    for (name, action) in [("failing", Action::Respond(500)), ("lost", Action::Drop(When::Before))] {
        let (world, _operator) = proxied(&format!("intent-{name}")).await;
        world.apply("first", &json!({})).await;
        world.until_state("first", RunState::Succeeded).await;
        let fault = world.proxy().inject_times(0, ALWAYS, action, |request| request.writes_resource() && request.name == "first");
        world.annotate("first", RUN_REQUESTED_AT, Some("1")).await;
        tokio::time::timeout(Duration::from_secs(30), fault.wait_until_hit()).await.unwrap();
        world.apply("second", &json!({})).await;
        world.until_state("second", RunState::Succeeded).await;
        drop(fault);
        world.until_run("first", 2, RunState::Succeeded).await;
        assert_eq!((world.operations().await.len(), world.posts().await), (3, 3), "{name}");
        world.proxy().assert_preconditions();
    }
}

#[tokio::test]
async fn failing_intent_write_of_waiting_run_blocks_no_other() {
    let (world, _operator) = proxied("intent-waiting").await;
    let foreign = world.start_for_other_client(&json!({"type": "full", "durationMillis": 3_600_000})).await;
    world.apply("first", &json!({})).await;
    let first = world.until_reason("first", "Reconciling", "ModelBusy").await;
    // Of two that wait since the same second, either may be first.
    let since = run(&first).requested_time.timestamp().as_second();
    eventually("the next second", async || (jiff::Timestamp::now().as_second() > since).then_some(())).await;
    world.apply("second", &json!({})).await;
    world.until_reason("second", "Reconciling", "WaitingForTurn").await;
    let fault = world.proxy().inject_times(0, ALWAYS, Action::Respond(500), |request| request.writes_resource() && request.name == "first");
    world.azure.end(&foreign, "succeeded").await;
    world.until_state("second", RunState::Succeeded).await;
    drop(fault);
    world.until_state("first", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 3);
    world.proxy().assert_preconditions();
}

#[tokio::test]
async fn accepted_operation_is_recorded_with_bounded_requests() {
    let (world, _operator) = proxied("storm").await;
    // The intent is written, then no write succeeds while the fault lasts.
    let fault =
        world.proxy().inject_times(1, ALWAYS, Action::Respond(500), |request| request.writes_resource() && request.subresource == "status");
    world.apply("orders", &json!({})).await;
    eventually("the first write to fail", async || (fault.hits() >= 1).then_some(())).await;
    let began = Instant::now();
    // Four at once, and then one in each reconciliation: after 0.5, 1, 2, 4, 5 and 5 seconds.
    eventually("several writes to fail", async || (fault.hits() >= 10).then_some(())).await;
    assert!(began.elapsed() > Duration::from_secs(12), "{:?}", began.elapsed());
    // So in the first minute these and nine more, each with a read at most.
    let requests = world.proxy().requests();
    let (tenth, _) = requests.iter().enumerate().filter(|(_, request)| request.action.is_some()).nth(9).unwrap();
    let about = requests[..=tenth].iter().filter(|request| request.name == "orders").count();
    assert!(about <= 20, "{about} requests about the resource");
    drop(fault);
    let done = world.until_state("orders", RunState::Succeeded).await;
    let actual = world.operations().await;
    assert_eq!((actual.len(), world.posts().await, run(&done).operation_id.as_ref()), (1, 1, Some(&actual[0].operation_id)));
    let lists = world.ledger().await.into_iter().filter(|row| row.method == "GET" && row.route == "refreshes").count();
    assert_eq!(lists, 0, "the id is known");
}

#[tokio::test]
async fn accepted_operation_is_adopted_after_a_sigterm() {
    let (world, mut operator) = proxied("storm-sigterm").await;
    world.patch_model(&json!({"durationMillis": 4_000})).await;
    let fault =
        world.proxy().inject_times(1, ALWAYS, Action::Respond(500), |request| request.writes_resource() && request.subresource == "status");
    world.apply("orders", &json!({})).await;
    eventually("several writes to fail", async || (fault.hits() >= 4).then_some(())).await;
    assert_eq!(operator.terminate().await.code(), Some(0), "{}", operator.log());
    drop(fault);
    operator.restart();
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
    world.proxy().assert_preconditions();
}

#[tokio::test]
async fn unrecorded_operation_of_deleted_resource_is_cancelled() {
    let (world, _operator) = proxied("gone-unrecorded").await;
    world.patch_model(&json!({"durationMillis": 600_000})).await;
    let fault =
        world.proxy().inject_times(1, ALWAYS, Action::Respond(500), |request| request.writes_resource() && request.subresource == "status");
    world.apply("orders", &json!({})).await;
    eventually("several writes to fail", async || (fault.hits() >= 4).then_some(())).await;
    world.delete("orders").await;
    world.edit("orders", &json!({"metadata": {"finalizers": null}})).await;
    world.until_gone("orders").await;
    eventually("the cancellation", async || (world.operations().await[0].status == "cancelled").then_some(())).await;
    let lists = world.ledger().await.into_iter().filter(|row| row.method == "GET" && row.route == "refreshes").count();
    assert_eq!((world.posts().await, lists), (1, 0), "the id is known");
}

#[tokio::test]
async fn failing_writes_during_run_block_no_other_on_model() {
    for (name, written) in [("intent", 2), ("running", 3)] {
        let (world, _operator) = proxied(&format!("unwritten-{name}")).await;
        // The finalizer, the intent, and the operation's id if it is written separately.
        let fault = world
            .proxy()
            .inject_times(written, ALWAYS, Action::Respond(500), |request| request.writes_resource() && request.name == "first");
        world.apply("first", &json!({})).await;
        tokio::time::timeout(Duration::from_secs(30), fault.wait_until_hit()).await.unwrap();
        world.apply("second", &json!({})).await;
        world.until_state_within(Duration::from_secs(90), "second", RunState::Succeeded).await;
        assert!(fault.hits() > 1, "{name}");
        drop(fault);
        world.until_state_within(Duration::from_secs(90), "first", RunState::Succeeded).await;
        assert_eq!(
            (
                world.operations().await.len(),
                world.ledger().await.iter().filter(|row| row.status == Some(202) && row.method == "POST").count()
            ),
            (2, 2),
            "{name}"
        );
        world.proxy().assert_preconditions();
    }
}
