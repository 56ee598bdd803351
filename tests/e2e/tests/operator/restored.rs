//! A resource restored from a backup, with and without its status: checks the statements of docs/operations/backup.md.

use e2e::world::{run, status};
use e2e::{AnyObject, Kind, Operator, TestSetup, World};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tabular_operator::api::{RELEASE, RUN_REQUESTED_AT, RunState, TriggerType};

/// A world with one operation that lasts until the test ends it, and its running resource.
async fn in_mid_run(name: &str) -> (World, Operator, AnyObject) {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, operator) = World::running(name, setup).await;
    world.apply("orders", &json!({})).await;
    let running = world.until_state("orders", RunState::Running).await;
    (world, operator, running)
}

/// Deletes the resource from the cluster while no operator runs.
async fn lose(world: &World, operator: &mut Operator) {
    assert_eq!(operator.terminate().await.code(), Some(0));
    let api = world.api(Kind::Refresh);
    api.patch("orders", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    api.delete("orders", &DeleteParams::default()).await.unwrap();
    world.until_gone("orders").await;
}

/// Restores it from a backup. The API server ignores the status of a new object.
async fn restore(world: &World, backup: &AnyObject) -> AnyObject {
    let metadata = ObjectMeta {
        name: backup.metadata.name.clone(),
        namespace: backup.metadata.namespace.clone(),
        annotations: backup.metadata.annotations.clone(),
        finalizers: backup.metadata.finalizers.clone(),
        ..ObjectMeta::default()
    };
    let restored = AnyObject { metadata, ..backup.clone() };
    let restored = world.api(Kind::Refresh).create(&PostParams::default(), &restored).await.unwrap();
    assert_eq!(status(&restored).observed_generation, -1);
    restored
}

#[tokio::test]
async fn restore_without_status_waits_and_runs_again() {
    let (world, mut operator, backup) = in_mid_run("bare").await;
    lose(&world, &mut operator).await;
    restore(&world, &backup).await;
    operator.restart();
    // No record shows that the operation is the operator's.
    let waiting = world.until_reason("orders", "Ready", "ModelBusy").await;
    assert_eq!(run(&waiting).trigger.r#type, TriggerType::Creation);
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("orders", RunState::Running).await;
    assert_eq!(world.operations().await.len(), 2);
}

#[tokio::test]
async fn restore_with_status_continues_polling() {
    let (world, mut operator, backup) = in_mid_run("whole").await;
    lose(&world, &mut operator).await;
    restore(&world, &backup).await;
    let recorded = json!({"status": status(&backup)});
    world.api(Kind::Refresh).patch_status("orders", &PatchParams::default(), &Patch::Merge(recorded)).await.unwrap();
    operator.restart();
    operator.ready().await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    let ended = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&ended).operation_id, run(&backup).operation_id);
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
}

#[tokio::test]
async fn restore_without_run_on_creation_runs_old_request() {
    let setup = TestSetup::with_model(json!({"durationMillis": 300}));
    let (world, mut operator) = World::running("quiet", setup).await;
    for trigger in [json!({"onChange": false, "token": "4d5e6f7"}), json!({"schedule": "0 5 1 1 *"})] {
        let backup = world.apply("orders", &json!({"trigger": trigger})).await;
        world.until_reason("orders", "Ready", "Idle").await;
        lose(&world, &mut operator).await;
        restore(&world, &backup).await;
        operator.restart();
        world.until_reason("orders", "Ready", "Idle").await;
        world.delete("orders").await;
        world.until_gone("orders").await;
    }
    assert_eq!(world.posts().await, 0);

    world.apply("orders", &json!({"trigger": {"onChange": false}})).await;
    world.until_reason("orders", "Ready", "Idle").await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("2026-11-21")).await;
    let backup = world.until_state("orders", RunState::Succeeded).await;
    lose(&world, &mut operator).await;
    restore(&world, &backup).await;
    operator.restart();
    let ended = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((run(&ended).number, run(&ended).trigger.r#type), (1, TriggerType::Request));
    assert_eq!(world.posts().await, 2);
}

/// A newer version of the operator writes the status during a run; then this version is installed again.
async fn downgrade(world: &World, operator: &mut Operator) {
    let running = world.until_state("orders", RunState::Running).await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    let mut recorded = json!({"status": status(&running)});
    let condition = json!({
        "type": "Degraded", "status": "Partly", "reason": "Hibernating", "message": "m", "observedGeneration": 1,
        "lastTransitionTime": "2026-11-21T05:00:00Z",
    });
    let conditions = recorded["status"]["conditions"].as_array_mut().unwrap();
    conditions.retain(|known| known["type"] != condition["type"]);
    conditions.push(condition);
    for (place, value) in [("/state", "Hibernated"), ("/reason", "Hibernating"), ("/trigger/type", "Webhook")] {
        *recorded["status"]["run"].pointer_mut(place).unwrap() = json!(value);
    }
    world.api(Kind::Refresh).patch_status("orders", &PatchParams::default(), &Patch::Merge(recorded)).await.unwrap();
    operator.restart();
    operator.ready().await;
}

#[tokio::test]
async fn status_of_newer_version_is_used_after_downgrade() {
    let (world, mut operator, _) = in_mid_run("newer").await;
    downgrade(&world, &mut operator).await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    let ended = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&ended).trigger.r#type, TriggerType::Unrecognized("Webhook".into()));
    assert_eq!(world.posts().await, 1);

    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    downgrade(&world, &mut operator).await;
    world.annotate("orders", RELEASE, Some("true")).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let operations = world.operations().await;
    assert!(operations.len() == 2 && !operations[1].ended(), "{operations:#?}");
    world.azure.end(&operations[1].operation_id, "succeeded").await;

    world.apply("orders", &json!({})).await;
    downgrade(&world, &mut operator).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[2].status.as_str(), world.posts().await), (3, "cancelled", 3));
}

#[tokio::test]
async fn status_contradicting_service_is_restored() {
    let (world, _operator, _) = in_mid_run("edited").await;
    let api = world.api(Kind::Refresh);
    let edit = async |run: serde_json::Value| {
        api.patch_status("orders", &PatchParams::default(), &Patch::Merge(json!({"status": {"run": run}}))).await
    };
    for out_of_bounds in [json!({"number": -5}), json!({"attempt": 0}), json!({"operationId": "o".repeat(200)})] {
        let error = edit(out_of_bounds.clone()).await.unwrap_err();
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 422), "{out_of_bounds}: {error}");
    }
    for (restored, state) in ["Succeeded", "Failed", "Waiting", "Submitting"].into_iter().enumerate() {
        edit(json!({"state": state})).await.unwrap();
        world.until_state("orders", RunState::Running).await;
        let reported = async || {
            let events = world.events("orders").await;
            events.iter().any(|event| event.starts_with("StatusRestored: ") && event.contains(state)).then_some(())
        };
        e2e::eventually("the event", reported).await;
        assert_eq!(world.posts().await, 1, "after {} edits", restored + 1);
    }
    world.azure.end(&world.operations().await[0].operation_id, "failed").await;
    let ended = world.until_state("orders", RunState::Failed).await;
    assert_eq!((status(&ended).successful_runs, world.posts().await), (0, 1));
    world.assert_kstatus();
}
