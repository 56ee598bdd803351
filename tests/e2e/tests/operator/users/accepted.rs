//! Accepted requests run, whatever happens to their source; and no success is reported for a spec that has not run.

use e2e::world::{LASTING_MILLIS, condition, run, status};
use e2e::{AnyObject, TestSetup, World};
use serde_json::{Value, json};
use tabular_operator::api::{ConditionStatus, ConditionType, QueuedRuns, RUN_REQUESTED_AT, RunState, TriggerType};

use super::{apply_as, end_first, event, in_mid_run, kubectl, outcomes, settled};

#[tokio::test]
async fn fighting_managers_with_replace_end_with_run() {
    let (world, _operator) = in_mid_run("fight", &json!({"concurrencyPolicy": "Replace"}), TestSetup::default()).await;
    // The last applied manifest wins: here the one with the type of the first run.
    for round in 0..6 {
        let (manager, kind) = if round % 2 == 0 { ("console", "calculate") } else { ("git", "full") };
        let applied = apply_as(&world, manager, &json!({"refresh": {"type": kind}})).await.metadata.generation;
        // An unobserved change started nothing.
        world.until("orders", "the observation of the change", |object| Some(status(object).observed_generation) >= applied).await;
    }
    let done = settled(&world).await;
    let operations = world.operations().await;
    assert_eq!(operations.len(), world.posts().await);
    assert!(operations.iter().all(e2e::Operation::ended), "{operations:#?}");
    let last = operations.last().unwrap();
    assert_eq!((last.status.as_str(), last.r#type.as_str()), ("succeeded", "full"), "{operations:#?}");
    assert_eq!(run(&done).operation_id.as_ref(), Some(&last.operation_id));
    for cancelled in operations.iter().filter(|operation| operation.status == "cancelled") {
        assert!(operations.iter().any(|later| later.start_time > cancelled.start_time), "no operation follows {cancelled:?}");
    }
    assert!(operations.len() <= 7, "{operations:#?}");
    world.assert_kstatus();
}

#[tokio::test]
async fn reverted_change_with_replace_is_followed_by_run() {
    let token = |value: &str| json!({"spec": {"trigger": {"token": value}}});
    let kind = |value: &str| json!({"spec": {"refresh": {"type": value}}});
    for (name, edits) in [("back-type", [kind("calculate"), kind("full")]), ("back-token", [token("v3"), token("v2")])] {
        let spec = json!({"concurrencyPolicy": "Replace", "trigger": {"token": "v2"}});
        let (world, _operator) = in_mid_run(name, &spec, TestSetup::default()).await;
        world.patch_model(&json!({"cancelMillis": LASTING_MILLIS})).await;
        world.edit("orders", &edits[0]).await;
        world.until_state("orders", RunState::Cancelling).await;
        world.edit("orders", &edits[1]).await;
        world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
        world.until_run("orders", 2, RunState::Succeeded).await;
        let done = settled(&world).await;
        assert_eq!((run(&done).number, world.posts().await), (2, 2), "{name}");
        assert_eq!(outcomes(&world).await, ["cancelled", "succeeded"], "{name}");
        assert_eq!(world.operations().await[1].r#type, "full", "{name}");
        world.assert_kstatus();
    }
}

#[tokio::test]
async fn queued_request_survives_manifest_replacement() {
    let (world, _operator) = in_mid_run("queued-request", &json!({}), TestSetup::default()).await;
    kubectl(&world, &["annotate", "mref/orders", &format!("{RUN_REQUESTED_AT}=noon")], &Value::Null).await;
    world.until("orders", "the request to wait", |object| status(object).queued.is_some()).await;
    kubectl(&world, &["replace", "-f", "-"], &world.manifest("orders", &json!({}))).await;
    world
        .until("orders", "the removal of the annotation", |object| {
            object.metadata.annotations.as_ref().is_none_or(|all| !all.contains_key(RUN_REQUESTED_AT))
        })
        .await;
    end_first(&world).await;
    let done = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!((run(&done).trigger.r#type, run(&done).trigger.value.as_str()), (TriggerType::Request, "noon"));
    let done = settled(&world).await;
    assert_eq!((run(&done).number, status(&done).last_handled_request.as_deref()), (2, Some("noon")));
    assert_eq!((world.posts().await, outcomes(&world).await), (2, vec!["succeeded".to_owned(); 2]));
}

/// The queued runs, one for each successful upstream run.
fn waiting_runs(object: &AnyObject) -> Option<QueuedRuns> {
    status(object).last_upstream_run.as_ref().and_then(|followed| followed.queued)
}

/// A dependent of `orders` with at least two queued runs behind a running one.
async fn with_two_queued(name: &str, follower: &str) -> (World, e2e::Operator) {
    let model = json!({"notStartedMillis": 0, "durationMillis": 200, "cancelMillis": 200, "sync": {"replicatingMillis": 200}});
    let (world, operator) = World::running(name, TestSetup::with_model(model)).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let mut spec = world.put_database("reports", &json!({"notStartedMillis": 0, "durationMillis": 3_600_000})).await;
    spec["trigger"] = json!({"afterRefresh": {"name": "orders"}});
    world.apply(follower, &spec).await;
    for number in 2..=4 {
        world.annotate("orders", RUN_REQUESTED_AT, Some(&number.to_string())).await;
        world.until_run("orders", number, RunState::Succeeded).await;
        if number == 2 {
            world.until_state(follower, RunState::Running).await;
        }
    }
    world.until(follower, "its last run to wait", |object| waiting_runs(object).is_some_and(|queued| queued.number == 4)).await;
    (world, operator)
}

#[tokio::test]
async fn queued_runs_of_deleted_upstream_run_or_are_reported() {
    let (world, _operator) = with_two_queued("lost-leader", "reports").await;
    let waiting = waiting_runs(&world.until("reports", "any version", |_| true).await).unwrap().count;
    assert!(waiting >= 2, "{waiting}");
    world.delete("orders").await;
    world.until_gone("orders").await;
    let lost = waiting - 1;
    event(&world, "reports", "UpstreamRunsMissed", &["orders", &format!("{lost} queued successful")]).await;
    let first = world.operations_on("reports").await[0].operation_id.clone();
    world.azure.patch(&e2e::Model::analysis_services(&world.server, "reports"), json!({"durationMillis": 200})).await;
    world.azure.end(&first, "succeeded").await;
    // The run in `.status.queued` starts; the other is reported. The missing upstream is reported afterwards.
    world
        .until("reports", "the second run", |object| {
            status(object).history.iter().any(|entry| entry.number == 2 && entry.state == RunState::Succeeded)
        })
        .await;
    world.until_reason("reports", "Stalled", "UpstreamNotFound").await;
    assert_eq!(world.operations_on("reports").await.len(), 2);
    assert!(world.operations_on("reports").await.iter().all(e2e::Operation::ended));
}

/// Whether a version reports the success of its generation.
fn claims_success(object: &AnyObject) -> bool {
    let current = object.status.as_ref().is_some_and(|status| Some(status.observed_generation) == object.metadata.generation);
    let holds = |kind| condition(object, kind) == Some(ConditionStatus::True);
    current && (holds(ConditionType::Ready) || holds(ConditionType::Succeeded))
}

#[tokio::test]
async fn forbidden_change_reports_no_success_before_its_run() {
    let changes = [
        ("forbid-token", json!({"trigger": {"token": "v2"}})),
        ("forbid-type", json!({"refresh": {"type": "calculate"}})),
        ("forbid-both", json!({"trigger": {"token": "v2"}, "refresh": {"type": "calculate"}})),
    ];
    for (name, change) in changes {
        let spec = json!({"concurrencyPolicy": "Forbid", "trigger": {"token": "v1"}});
        let (world, _operator) = in_mid_run(name, &spec, TestSetup::default()).await;
        world.edit("orders", &json!({"spec": change})).await;
        let waiting = world.until_reason("orders", "Ready", "ChangeNotRun").await;
        assert_eq!(condition(&waiting, ConditionType::Ready), Some(ConditionStatus::False), "{name}");
        assert_eq!((status(&waiting).last_handled_token.as_deref(), world.posts().await), (Some("v1"), 1), "{name}");
        // A request is an event: it is dropped and reported, and does not affect the change.
        world.annotate("orders", RUN_REQUESTED_AT, Some("now")).await;
        event(&world, "orders", "TriggerDropped", &[]).await;
        end_first(&world).await;
        let done = settled(&world).await;
        let versions: Vec<AnyObject> = world.recorder.of("orders").iter().map(|version| version.decode().unwrap()).collect();
        let begun = |object: &AnyObject| object.status.as_ref().and_then(|status| status.run.as_ref()).is_some_and(|run| run.number == 2);
        let before = versions.iter().filter(|object| object.metadata.generation == Some(2)).take_while(|object| !begun(object));
        let claims: Vec<&AnyObject> = before.filter(|object| claims_success(object)).collect();
        assert!(claims.is_empty(), "{name}: {claims:#?}");
        assert_eq!((run(&done).number, world.posts().await), (2, 2), "{name}");
        assert_eq!(outcomes(&world).await, ["succeeded", "succeeded"], "{name}");
        world.assert_kstatus();
    }
}

#[tokio::test]
async fn sync_keeps_queued_run_of_deleted_refresh() {
    let model = json!({"notStartedMillis": 0, "durationMillis": 200});
    let (world, _operator) = World::running("lost-leader-sync", TestSetup::with_model(model)).await;
    // Its own model and credentials, since those of the refresh are deleted; another model, so that the two need not wait for each other.
    let mut spec = world.put_database("replicas", &json!({"sync": {"replicatingMillis": LASTING_MILLIS}})).await;
    spec["trigger"] = json!({"afterRefresh": {"name": "orders"}});
    world.apply("modelsync/replicas", &spec).await;
    world.apply("orders", &json!({})).await;
    world.until_state("modelsync/replicas", RunState::Running).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    world.until("modelsync/replicas", "a run to wait", |object| status(object).queued.is_some()).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let replicas = e2e::Model::analysis_services(&world.server, "replicas");
    world.azure.patch(&replicas, json!({"sync": {"replicatingMillis": 200}})).await;
    world.azure.end(&world.azure.syncs(&replicas).await[0].operation_id, "completed").await;
    world
        .until("modelsync/replicas", "the second run", |object| {
            status(object).history.iter().any(|entry| entry.number == 2 && entry.state == RunState::Succeeded)
        })
        .await;
    assert_eq!(world.azure.syncs(&replicas).await.len(), 2);
}
