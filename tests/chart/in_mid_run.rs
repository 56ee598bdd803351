//! What is done to a release while a run is under way.

use harness::{Setting, World};
use serde_json::json;
use tabular_operator::api::RunState;

use crate::release::Release;

/// A world with a run that lasts until the test ends it.
async fn in_mid_run(name: &str) -> World {
    World::with(name, Setting { model: Some(json!({"durationMillis": 600_000})), ..Setting::default() }).await
}

async fn end_well(world: &World) {
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn an_upgrade_hands_the_run_over() {
    let world = in_mid_run("upgrade").await;
    let release = Release::install(&world, &format!("watchNamespaces={{{}}}", world.namespace)).await;
    let mut old = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    release.upgrade("polling.max=2s,log.level=debug").await;
    // As a Deployment replaces a pod: the new one stands by, then the old one ends.
    let mut new = release.operator().await;
    assert_eq!(old.terminate().await.code(), Some(0));
    end_well(&world).await;
    assert_eq!(new.terminate().await.code(), Some(0));
    release.uninstall().await;
}

#[tokio::test]
async fn what_an_uninstall_leaves_is_taken_up_by_the_next_installation() {
    let world = in_mid_run("uninstall").await;
    let release = Release::install(&world, &format!("watchNamespaces={{{}}}", world.namespace)).await;
    let mut operator = release.operator().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    release.uninstall().await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    // The resource says what may still run, and cannot go unnoticed.
    world.delete("orders").await;
    let left = world.until("orders", "its deletion to be asked for", |object| object.metadata.deletion_timestamp.is_some()).await;
    assert_eq!(harness::world::run_state(&left), Some(RunState::Running));
    assert_eq!(world.operations().await[0].status, "inProgress");
    release.reinstall().await;
    let _operator = release.operator().await;
    world.until_gone("orders").await;
    assert_eq!(world.operations().await[0].status, "cancelled");
    release.uninstall().await;
}
