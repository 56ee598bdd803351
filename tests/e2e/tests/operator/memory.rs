//! The memory of the operator: nothing is kept of a deleted resource, whatever deleted it.

use std::time::Duration;

use e2e::{Action, Operator, TestSetup, WatchDelivery, World, within};
use serde_json::json;
use tabular_operator::api::RunState;

/// The operator counts every 15 s. A busy machine takes longer to list again.
const COUNTED: Duration = Duration::from_mins(1);
/// The collections with an entry for each resource, or for each whose operation may be running.
const OF_RESOURCES: [&str; 11] =
    ["cache", "changes", "index", "names", "local-states", "schedule", "dependents", "upstreams", "operations", "turns", "detached"];

/// Waits until each collection of resources has at least one entry, or none.
async fn until_counted(operator: &mut Operator, collections: &[&str], empty: bool) {
    within(COUNTED, "the counts", async || {
        let text = operator.metrics().await;
        let count = |name: &str| {
            let line = format!("tabular_operator_tracked_entries{{collection=\"{name}\"}} ");
            text.lines().find_map(|found| found.strip_prefix(&line)).unwrap_or_else(|| panic!("{name} is not counted")) != "0"
        };
        collections.iter().all(|name| count(name) != empty).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tracked_operation_of_deleted_resource_leaves_nothing() {
    let (world, mut operator) = World::running("forced", TestSetup::with_model(json!({"durationMillis": 600_000}))).await;
    world.apply("modelsync/after", &json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": "orders"}}})).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    until_counted(&mut operator, &OF_RESOURCES[..10], false).await;
    world.delete("modelsync/after").await;
    world.delete("orders").await;
    world.edit("orders", &json!({"metadata": {"finalizers": null}})).await;
    world.until_gone("orders").await;
    until_counted(&mut operator, &OF_RESOURCES, true).await;
    assert_eq!(world.operations().await[0].status, "cancelled");
}

#[tokio::test]
async fn deletion_that_no_watch_shows_leaves_nothing() {
    let setup = TestSetup { api_proxy: true, ..TestSetup::default() };
    let (world, mut operator) = World::running("gap", setup).await;
    world.apply("modelsync/after", &json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": "orders"}}})).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.until_state("modelsync/after", RunState::Succeeded).await;
    until_counted(&mut operator, &["cache", "changes", "index", "names", "local-states", "dependents", "upstreams"], false).await;
    // The watches show no event, and then start with a new list.
    world.proxy().set_watch_delivery(WatchDelivery::Suspended);
    for named in ["modelsync/after", "orders"] {
        world.edit(named, &json!({"metadata": {"finalizers": null}})).await;
        world.delete(named).await;
        world.until_gone(named).await;
    }
    let expired = ["modelrefreshes", "modelsyncs"]
        .map(|resource| world.proxy().inject(0, Action::Expired, move |request| request.verb == "watch" && request.resource == resource));
    world.proxy().reset_connections();
    world.proxy().set_watch_delivery(WatchDelivery::Immediate);
    until_counted(&mut operator, &OF_RESOURCES, true).await;
    assert_eq!(expired.map(|watch| watch.hits()), [1, 1]);
}
