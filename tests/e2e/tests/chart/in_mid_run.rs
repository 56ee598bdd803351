//! Upgrades and uninstalls of a release during a run.

use std::time::Duration;

use e2e::world::{merged, run};
use e2e::{TestSetup, World};
use serde_json::json;
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

use crate::release::Release;

/// A world with a run that lasts until the test ends it.
async fn in_mid_run(name: &str) -> World {
    World::with(name, TestSetup::with_model(json!({"durationMillis": 600_000}))).await
}

async fn end_well(world: &World) {
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn upgrade_hands_over_running_operation() {
    let world = in_mid_run("upgrade").await;
    let release = Release::in_namespace(&world, "").await;
    let mut old = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    release.upgrade("polling.max=2s,log.level=debug").await;
    // As in a rollout of a Deployment: the new pod is a candidate before the old one exits.
    let mut new = release.operator().await;
    assert_eq!(old.terminate().await.code(), Some(0));
    end_well(&world).await;
    assert_eq!(new.terminate().await.code(), Some(0));
    release.uninstall().await;
}

#[tokio::test]
async fn remaining_run_continues_with_next_installation() {
    let world = in_mid_run("uninstall").await;
    let release = Release::in_namespace(&world, "uninstall.runs=Leave").await;
    let mut operator = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    release.uninstall().await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    // The resource reports that its operation may still run, and stays visible.
    world.delete("orders").await;
    let left = world.until("orders", "the deletion request", |object| object.metadata.deletion_timestamp.is_some()).await;
    assert_eq!(e2e::world::run_state(&left), Some(RunState::Running));
    assert_eq!(world.operations().await[0].status, "inProgress");
    release.reinstall().await;
    let _operator = release.operator().await;
    world.until_gone("orders").await;
    assert_eq!(world.operations().await[0].status, "cancelled");
    release.uninstall().await;
}

#[tokio::test]
async fn uninstall_cancels_runs_and_keeps_resources() {
    let world = in_mid_run("drained").await;
    world.patch_model(&json!({"cancelMillis": 2_000})).await;
    let release = Release::in_namespace(&world, "").await;
    let mut operator = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    // It waits for its turn, and does not start when the turn comes.
    world.apply("next", &json!({})).await;
    world.until_state("next", RunState::Waiting).await;
    let orphan = world.put_database("Orphan", &json!({"notStartedMillis": 0, "durationMillis": 600_000})).await;
    world.apply("orphan", &merged(&orphan, &json!({"deletionPolicy": "Orphan"}))).await;
    world.until_state("orphan", RunState::Running).await;
    release.uninstall().await;
    let orders = world.until_state("orders", RunState::Cancelled).await;
    assert_eq!(run(&orders).reason, "Uninstalled");
    let (operations, goes_on) = (world.operations().await, world.operations_on("Orphan").await);
    assert_eq!((operations.len(), operations[0].status.as_str()), (1, "cancelled"));
    assert_eq!((goes_on.len(), goes_on[0].status.as_str()), (1, "inProgress"));
    // Long enough for an operator that ignores the drain request to start a run or add a finalizer.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.posts().await, 1);
    for name in ["orders", "next", "orphan"] {
        let left = world.recorder.latest(name).unwrap().decode().unwrap();
        assert!(left.metadata.finalizers.is_none_or(|all| all.is_empty()), "{name} must be deletable without an operator");
    }
    // Its permissions are removed too, so it may have lost its Lease.
    operator.terminate().await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    // The waiting run starts as soon as an operator runs: the drain request applied to the previous installation.
    release.reinstall().await;
    let _operator = release.operator().await;
    world.until_state("next", RunState::Running).await;
    assert_eq!(world.posts().await, 2);
    // Another release may later serve all namespaces: no operation may be left running.
    for name in ["next", "orphan"] {
        world.delete(name).await;
        world.until_gone(name).await;
    }
    release.uninstall().await;
}

#[tokio::test]
async fn failed_uninstall_keeps_operator_running() {
    let world = in_mid_run("undrained").await;
    let release = Release::in_namespace(&world, "uninstall.runs=Wait,uninstall.timeoutSeconds=4").await;
    let mut operator = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let refused = release.try_to_uninstall().await;
    assert!(!refused.status.success(), "{refused:?}");
    // The drain request is withdrawn: the run is polled, and a trigger starts a run.
    end_well(&world).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("orders", 2, RunState::Running).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 2));
    world.azure.end(&world.operations().await[1].operation_id, "succeeded").await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    release.uninstall().await;
    assert_eq!(operator.terminate().await.code(), Some(0));
}
