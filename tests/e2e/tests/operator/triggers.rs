//! Triggers of a run, and changes that are none.

use e2e::world::{first_lasts, run, status};
use e2e::{Operator, TestSetup, World, eventually};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState, TriggerType};

async fn quick(name: &str) -> (World, Operator) {
    let setup = TestSetup::with_model(json!({"notStartedMillis": 0, "durationMillis": 200}));
    World::running(name, setup).await
}

/// A world in the first run of a resource, which lasts until the test ends it.
async fn in_mid_run(name: &str, policy: &str) -> (World, Operator) {
    let (world, operator) = World::running(name, TestSetup::with_model(first_lasts())).await;
    world.apply("orders", &json!({"concurrencyPolicy": policy})).await;
    world.until_run("orders", 1, RunState::Running).await;
    (world, operator)
}

#[tokio::test]
async fn each_trigger_starts_one_run() {
    let (world, _operator) = quick("triggers").await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Succeeded).await;

    world.edit("orders", &json!({"spec": {"trigger": {"token": "release-1"}}})).await;
    let second = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!(run(&second).trigger.r#type, TriggerType::Change);
    world.edit("orders", &json!({"spec": {"refresh": {"type": "calculate"}}})).await;
    world.until_run("orders", 3, RunState::Succeeded).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2026-11-21T05:00:00Z")).await;
    let fourth = world.until_run("orders", 4, RunState::Succeeded).await;
    assert_eq!((run(&fourth).trigger.r#type, run(&fourth).trigger.value.as_str()), (TriggerType::Request, "2026-11-21T05:00:00Z"));
    assert_eq!(status(&fourth).last_handled_request.as_deref(), Some("2026-11-21T05:00:00Z"));

    // None of these starts a run: the next run is the fifth.
    world.annotate("orders", RUN_REQUESTED_AT, None).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2026-11-21T05:00:00Z")).await;
    for edit in [
        json!({"historyLimit": 5}),
        json!({"suspend": true}),
        json!({"suspend": false}),
        json!({"backoffLimit": 1, "activeDeadlineSeconds": 3600, "waitDeadlineSeconds": 3600}),
        json!({"trigger": {"token": null}}),
    ] {
        world.edit("orders", &json!({"spec": edit})).await;
    }
    world
        .until("orders", "the observation of the edits", |object| {
            status(object).observed_generation == object.metadata.generation.unwrap()
                && object.spec["historyLimit"] == 5
                && object.spec["backoffLimit"] == 1
        })
        .await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2026-11-21T06:00:00Z")).await;
    let fifth = world.until_run("orders", 5, RunState::Succeeded).await;
    assert_eq!(run(&fifth).trigger.value, "2026-11-21T06:00:00Z");
    let kinds: Vec<String> = world.operations().await.into_iter().map(|operation| operation.r#type).collect();
    assert_eq!(kinds, ["full", "full", "calculate", "calculate", "calculate"]);
    let numbers: Vec<i32> = status(&fifth).history.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    world.assert_kstatus();
}

#[tokio::test]
async fn on_change_false_runs_only_for_token() {
    let (world, _operator) = quick("on-change").await;
    world.apply("orders", &json!({"trigger": {"onChange": false}})).await;
    world.until_reason("orders", "Ready", "Idle").await;
    world.edit("orders", &json!({"spec": {"refresh": {"type": "calculate"}}})).await;
    world.edit("orders", &json!({"spec": {"trigger": {"token": "one"}}})).await;
    let first = world.until_run("orders", 1, RunState::Succeeded).await;
    assert_eq!(run(&first).trigger.value, "one");
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn triggers_during_suspension_run_once_afterwards() {
    let (world, _operator) = quick("suspend").await;
    world.apply("orders", &json!({"suspend": true})).await;
    world.until("orders", "an observation", |object| status(object).observed_generation > 0).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("one")).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("two")).await;
    world.edit("orders", &json!({"spec": {"trigger": {"token": "three"}}})).await;
    world.until("orders", "the observation of the edit", |object| status(object).observed_generation == 2).await;
    assert_eq!(world.posts().await, 0);
    world.edit("orders", &json!({"spec": {"suspend": false}})).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert!(run(&done).number <= 2);
    world.annotate("orders", RUN_REQUESTED_AT, Some("four")).await;
    world
        .until("orders", "the request", |object| {
            status(object).last_handled_request.as_deref() == Some("four") && run(object).state == RunState::Succeeded
        })
        .await;
    assert_eq!(world.operations().await.len(), 2, "one run for all triggers during the suspension, and one since");
    world.assert_kstatus();
}

/// Makes two requests during a run, ends it, and waits until both were handled and all runs have ended.
async fn requested_twice(world: &World) -> Value {
    world.annotate("orders", RUN_REQUESTED_AT, Some("one")).await;
    world
        .until("orders", "the first request", |object| {
            status(object).queued.is_some() || status(object).last_handled_request.as_deref() == Some("one")
        })
        .await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("two")).await;
    world
        .until("orders", "the second request", |object| {
            let status = status(object);
            [&status.last_handled_request, &status.queued.as_ref().map(|queued| queued.value.clone())]
                .iter()
                .any(|handled| handled.as_deref() == Some("two"))
        })
        .await;
    world.azure.end_running(&world.model()).await;
    let done = world
        .until("orders", "its end", |object| {
            let status = status(object);
            status.last_handled_request.as_deref() == Some("two") && status.queued.is_none() && run(object).state == RunState::Succeeded
        })
        .await;
    let operations: Vec<String> = world.operations().await.into_iter().map(|operation| operation.status).collect();
    world.assert_kstatus();
    json!([run(&done).number, operations])
}

#[tokio::test]
async fn trigger_during_run_is_queued_once() {
    let (world, _operator) = in_mid_run("queue", "Queue").await;
    assert_eq!(requested_twice(&world).await, json!([2, ["succeeded", "succeeded"]]));
}

#[tokio::test]
async fn trigger_during_run_is_dropped() {
    let (world, _operator) = in_mid_run("forbid", "Forbid").await;
    assert_eq!(requested_twice(&world).await, json!([1, ["succeeded"]]));
    let dropped = async || world.events("orders").await.iter().any(|event| event.starts_with("TriggerDropped: ")).then_some(());
    eventually("the event", dropped).await;
}

#[tokio::test]
async fn trigger_during_run_replaces_it() {
    let (world, _operator) = in_mid_run("replace", "Replace").await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("one")).await;
    let done = world.until_run("orders", 2, RunState::Succeeded).await;
    let operations: Vec<String> = world.operations().await.into_iter().map(|operation| operation.status).collect();
    assert_eq!(operations, ["cancelled", "succeeded"]);
    let first = status(&done).history.iter().find(|entry| entry.number == 1).unwrap();
    assert_eq!(first.state, RunState::Cancelled);
    world.assert_kstatus();
}
