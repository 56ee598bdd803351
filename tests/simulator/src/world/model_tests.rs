//! The service's rules for the operations of a model, without a clock.

use super::*;
use crate::world::operation::Status;
use crate::world::task::RefreshType;

fn at(millis: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
}

fn model(changes: &serde_json::Value) -> Model {
    let settings = ModelSettings { not_started_millis: 100, duration_millis: 400, cancel_millis: 50, ..ModelSettings::default() };
    Model::new(settings.patched(changes).unwrap(), at(0))
}

fn submit(model: &mut Model, now: Timestamp) -> Result<Uuid, Busy> {
    model.submit(Client::Control, Task::default(), None, 1, now)
}

fn object(table: &str, partition: Option<&str>) -> ObjectName {
    ObjectName { table: table.into(), partition: partition.map(Into::into) }
}

#[test]
fn second_concurrent_refresh_is_refused() {
    let mut model = model(&serde_json::json!({}));
    let first = submit(&mut model, at(0)).unwrap();
    assert_eq!(submit(&mut model, at(499)), Err(Busy(first)));
    assert!(submit(&mut model, at(500)).is_ok());
    assert_eq!(model.operations().len(), 2);
}

#[test]
fn vanished_operation_is_hidden_but_occupies_model() {
    let mut model = model(&serde_json::json!({}));
    let id = submit(&mut model, at(0)).unwrap();
    model.find_mut(id).unwrap().vanished = true;
    assert!(model.shown(id, at(1)).is_none());
    assert!(model.listed(at(1)).is_empty());
    assert_eq!(model.cancel(id, at(1)), Cancel::Unknown);
    assert_eq!(submit(&mut model, at(1)), Err(Busy(id)));
}

#[test]
fn lag_hides_new_operation() {
    let mut model = model(&serde_json::json!({"listLagMillis": 100, "getLagMillis": 30}));
    let id = submit(&mut model, at(0)).unwrap();
    assert!(model.shown(id, at(29)).is_none());
    assert!(model.shown(id, at(30)).is_some());
    assert!(model.listed(at(99)).is_empty());
    assert_eq!(model.listed(at(100)).len(), 1);
}

#[test]
fn list_has_configured_order_and_retention() {
    let mut model = model(&serde_json::json!({"listOrder": "oldest"}));
    let ids: Vec<_> = (0..5).map(|index| submit(&mut model, at(index * 1_000)).unwrap()).collect();
    let listed = |model: &Model, now| model.listed(now).iter().map(|operation| operation.id).collect::<Vec<_>>();
    assert_eq!(listed(&model, at(9_000)), ids);
    model.set(model.settings().patched(&serde_json::json!({"listOrder": "newest"})).unwrap(), false, at(9_000));
    assert_eq!(listed(&model, at(9_000)), ids.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(listed(&model, at(30 * 24 * 3_600_000 + 3_500)), [ids[4]]);
}

#[test]
fn outcomes_are_consumed_in_order() {
    let mut model =
        model(&serde_json::json!({"outcome": "succeeded", "outcomes": ["failed", {"status": "timedOut", "durationMillis": 1}]}));
    let ends: Vec<_> = (0..3)
        .map(|index| {
            let id = submit(&mut model, at(index * 1_000)).unwrap();
            model.find(id).unwrap().phase(at(index * 1_000 + 999)).status()
        })
        .collect();
    assert_eq!(ends, [Status::Failed, Status::TimedOut, Status::Succeeded]);
}

#[test]
fn failed_attempts_are_retried_automatically() {
    let mut model = model(&serde_json::json!({"outcome": {"status": "succeeded", "failedAttempts": 2}}));
    let mut run = |retry_count, start: i64| {
        let task = Task { retry_count, ..Task::default() };
        let id = model.submit(Client::Control, task, None, 1, at(start)).unwrap();
        model.find(id).unwrap().phase(at(start + 100_000))
    };
    assert_eq!(run(1, 0), Phase::Ended(at(900), End::Failed));
    assert_eq!(run(2, 10_000), Phase::Ended(at(11_300), End::Succeeded));
}

#[test]
fn service_may_retry_without_retry_count() {
    let outcome = serde_json::json!({"status": "succeeded", "failedAttempts": 1, "internalRetries": 1});
    let mut model = model(&serde_json::json!({"outcome": outcome}));
    let id = submit(&mut model, at(0)).unwrap();
    let operation = model.find(id).unwrap();
    assert_eq!((operation.task.retry_count, operation.phase(at(100_000)).status()), (0, Status::Succeeded));
    assert_eq!(operation.attempts(at(100_000)).len(), 2);
}

#[test]
fn object_names_are_case_insensitive() {
    let mut model = model(&serde_json::json!({}));
    let objects = vec![object("dimcustomer", Some("DIMCUSTOMER")), object("FactSales", None)];
    let task = Task { kind: RefreshType::Full, objects, ..Task::default() };
    let id = model.submit(Client::Control, task, None, 1, at(0)).unwrap();
    assert_eq!(model.find(id).unwrap().parts.len(), 5);
}

#[test]
fn unknown_object_is_accepted_and_fails() {
    let mut model = model(&serde_json::json!({}));
    let task = Task { objects: vec![object("DimDate", Some("Nothing"))], retry_count: 3, ..Task::default() };
    let id = model.submit(Client::Control, task, None, 1, at(0)).unwrap();
    let operation = model.find(id).unwrap();
    assert_eq!(operation.phase(at(99)), Phase::NotStarted);
    assert_eq!(operation.phase(at(100)), Phase::Ended(at(100), End::Failed));
    assert!(operation.messages(at(100))[0].message.contains("'Nothing' of the table 'DimDate'"));
}

#[test]
fn patch_keeps_other_fields_and_refuses_unknown_ones() {
    let settings = model(&serde_json::json!({"outcomes": ["failed"], "messages": [{"message": "a"}]})).settings().clone();
    let patched = settings.patched(&serde_json::json!({"paused": true, "messages": null})).unwrap();
    assert!(patched.paused && patched.messages.is_none());
    assert_eq!((patched.outcomes.len(), patched.duration_millis), (1, 400));
    assert!(settings.patched(&serde_json::json!({"durationMilis": 1})).is_err());
    assert!(settings.patched(&serde_json::json!(7)).is_err());
}

fn semantic_model(changes: &serde_json::Value) -> Model {
    let mut model = model(changes);
    let ids = serde_json::json!({"groupId": Uuid::nil(), "datasetId": Uuid::nil()});
    model.set(model.settings().patched(&ids).unwrap(), true, at(0));
    model
}

#[test]
fn queue_holds_one_refresh() {
    let mut model = semantic_model(&serde_json::json!({}));
    let first = submit(&mut model, at(0)).unwrap();
    let waiting = model.enqueue(Client::Control, Task::default(), 2, at(10)).unwrap();
    assert_eq!(model.enqueue(Client::Control, Task::default(), 3, at(20)), Err(Busy(waiting)));
    assert_eq!(submit(&mut model, at(499)), Err(Busy(waiting)));
    model.settle(at(700));
    assert_eq!(model.find(first).unwrap().phase(at(700)), Phase::Ended(at(500), End::Succeeded));
    assert_eq!(model.find(waiting).unwrap().phase(at(700)), Phase::InProgress);
    // A started operation no longer occupies the queue, and the model is free after both have ended.
    assert!(submit(&mut model, at(1_000)).is_ok());
}

#[test]
fn cancelled_queued_refresh_keeps_model_occupied() {
    let mut model = semantic_model(&serde_json::json!({}));
    let first = submit(&mut model, at(0)).unwrap();
    let waiting = model.enqueue(Client::Control, Task::default(), 2, at(10)).unwrap();
    assert_eq!(model.cancel(waiting, at(20)), Cancel::Accepted);
    assert_eq!(submit(&mut model, at(100)), Err(Busy(first)));
}

#[test]
fn timed_out_attempt_is_retried() {
    let mut model = semantic_model(&serde_json::json!({"durationMillis": 60_000}));
    let task = Task { retry_count: 1, timeout: Some(SignedDuration::from_secs(2)), ..Task::default() };
    let id = model.submit(Client::Control, task, None, 1, at(0)).unwrap();
    assert_eq!(model.find(id).unwrap().phase(at(4_100)), Phase::Ended(at(4_100), End::TimedOut));
}

#[test]
fn accepted_refreshes_are_counted_per_day() {
    let mut model = semantic_model(&serde_json::json!({}));
    for (hour, origin) in [(0, Origin::ViaApi), (1, Origin::Scheduled), (2, Origin::ViaEnhancedApi), (3, Origin::OnDemand)] {
        model.submit(Client::Control, Task { origin, ..Task::default() }, None, 1, at(hour * 3_600_000)).unwrap();
    }
    assert_eq!((model.accepted_in_a_day(at(23 * 3_600_000)), model.accepted_in_a_day(at(25 * 3_600_000))), (2, 1));
}

#[test]
fn patch_changes_group_field_by_field() {
    let settings =
        ModelSettings::default().patched(&serde_json::json!({"sync": {"replica": false}, "powerBI": {"dailyLimit": 8}})).unwrap();
    let settings = settings.patched(&serde_json::json!({"sync": {"noReplicaStatus": 204}, "powerBI": {"dailyLimit": null}})).unwrap();
    assert_eq!((settings.sync.replica, settings.sync.no_replica_status, settings.power_bi.daily_limit), (false, 204, None));
    assert!(settings.patched(&serde_json::json!({"sync": null})).unwrap().sync.replica);
    assert!(settings.patched(&serde_json::json!({"sync": {"replicas": 1}})).is_err());
}
