//! Results other than success.

use e2e::world::{condition, run, status};
use e2e::{TestSetup, World};
use serde_json::{Value, json};
use tabular_operator::api::{ConditionStatus, ConditionType, RunState};

async fn with_model(name: &str, model: Value) -> (World, e2e::Operator) {
    World::running(name, TestSetup::with_model(model)).await
}

#[tokio::test]
async fn failure_contains_service_message() {
    let messages = json!([{"code": "0xC1000123", "message": "The credentials provided for the SQL source are invalid.", "type": "Error"}]);
    let failed_objects = json!([{"table": "DimDate"}]);
    let (world, _operator) =
        with_model("failure", json!({"outcome": "failed", "messages": messages, "failedObjects": failed_objects})).await;
    world.apply("orders", &json!({})).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    let run = run(&failed);
    assert_eq!(run.reason, "RefreshFailed");
    assert!(run.messages.iter().any(|message| message.message.contains("SQL source")), "{:?}", run.messages);
    assert!(run.message.contains("SQL source"), "{}", run.message);
    assert!(run.failed_objects.iter().any(|object| object.table == "DimDate"), "{:?}", run.failed_objects);
    assert_eq!(condition(&failed, ConditionType::Stalled), Some(ConditionStatus::True));
    assert_eq!(condition(&failed, ConditionType::Succeeded), Some(ConditionStatus::False));
    assert_eq!(condition(&failed, ConditionType::Finished), Some(ConditionStatus::True));
    assert_eq!(status(&failed).last_successful_time, None);
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn cause_is_shown_before_consequences() {
    let consequence = json!({"code": "0xC11C0006", "type": "Error",
        "message": "The current operation was cancelled because another operation in the transaction failed."});
    let cause = json!({"code": "0xC112001C", "message": "Login failed for user.", "type": "Error"});
    let messages = [vec![consequence; 11], vec![cause]].concat();
    let (world, _operator) = with_model("consequences", json!({"outcome": "failed", "messages": messages})).await;
    world.apply("orders", &json!({})).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    let run = run(&failed);
    assert!(run.message.contains("0xC112001C Login failed for user."), "{}", run.message);
    let texts: Vec<_> = run.messages.iter().map(|message| message.message.as_str()).collect();
    assert_eq!((texts.len(), texts[0]), (2, "Login failed for user."));
    assert!(texts[1].ends_with("failed. (11 times)"), "{texts:?}");
}

#[tokio::test]
async fn failed_attempt_is_retried_up_to_backoff_limit() {
    let (world, _operator) = with_model("attempts", json!({"outcomes": ["failed"], "durationMillis": 300})).await;
    world.apply("orders", &json!({"backoffLimit": 1})).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((run(&done).number, run(&done).attempt, status(&done).history.len()), (1, 2, 1));
    assert_eq!(status(&done).history[0].attempts, 2);
    assert_eq!(world.operations().await.len(), 2);
    let failed =
        world.recorder.of("orders").iter().any(|version| e2e::world::run_state(&version.decode().unwrap()) == Some(RunState::Failed));
    assert!(!failed, "it was reported as failed before its last attempt");
    world.assert_kstatus();
}

#[tokio::test]
async fn attempts_end_at_backoff_limit() {
    let (world, _operator) = with_model("attempts-end", json!({"outcome": "failed", "durationMillis": 200})).await;
    world.apply("orders", &json!({"backoffLimit": 1})).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    assert_eq!(run(&failed).attempt, 2);
    assert_eq!(world.operations().await.len(), 2);
    world.assert_kstatus();
}

#[tokio::test]
async fn operation_beyond_deadline_is_cancelled() {
    let (world, _operator) = with_model("too-long", json!({"durationMillis": 600_000})).await;
    world.apply("orders", &json!({"activeDeadlineSeconds": 1})).await;
    let ended = world.until_state("orders", RunState::TimedOut).await;
    assert_eq!(run(&ended).reason, "DeadlineExceeded");
    assert_eq!(world.operations().await[0].status, "cancelled");
    world.assert_kstatus();
}

#[tokio::test]
async fn waiting_run_beyond_deadline_submits_nothing() {
    let (world, _operator) = World::running("no-turn", TestSetup::default()).await;
    world.start_for_other_client(&json!({"durationMillis": 600_000})).await;
    world.apply("orders", &json!({"waitDeadlineSeconds": 2})).await;
    let ended = world.until_state("orders", RunState::TimedOut).await;
    assert_eq!(run(&ended).reason, "WaitDeadlineExceeded");
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn results_of_service_are_distinguished() {
    let (world, _operator) = World::running("ends", TestSetup::default()).await;
    let timed_out = world.put_database("TimedOut", &json!({"outcome": "timedOut", "durationMillis": 300})).await;
    world.apply("timed-out", &timed_out).await;
    world.apply("cancelled", &world.put_database("Cancelled", &json!({"durationMillis": 600_000})).await).await;
    let ended = world.until_state("timed-out", RunState::TimedOut).await;
    assert_eq!(run(&ended).reason, "TimedOut");
    let running = world.until_state("cancelled", RunState::Running).await;
    world.azure.end(run(&running).operation_id.as_ref().unwrap(), "cancelled").await;
    let ended = world.until_state("cancelled", RunState::Cancelled).await;
    assert_eq!(run(&ended).reason, "Cancelled");
    world.assert_kstatus();
}
