//! The commands that show resources.

use e2e::world::run;
use e2e::{TestSetup, World};
use serde_json::json;
use tabular_operator::api::RunState;

use crate::plugin::{Plugin, Role};

#[tokio::test]
async fn commands_show_run_queue_and_history() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("plugin-show", setup).await;
    let plugin = Plugin::new(&world, Role::ViewAll).await;
    world.apply("first", &json!({"staleAfterSeconds": 3_600, "trigger": {"schedule": "0 5 * * *", "onChange": true}})).await;
    let first = world.until_state("first", RunState::Running).await;
    world.apply("second", &json!({})).await;
    world.until_reason("second", "Reconciling", "WaitingForTurn").await;

    let list = plugin.succeed("get").await;
    let line = |name: &str| list.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap_or_else(|| panic!("{list}"));
    for (name, parts) in
        [("first", ["▶", "Running", "never", "ok (1h)"]), ("second", ["…", "Waiting", "WaitingForTurn", "1st in the queue"])]
    {
        assert!(parts.iter().all(|part| line(name).contains(part)), "{list}");
    }
    let report = plugin.report("get").await;
    assert_eq!(report["report"], "Resources");
    assert_eq!(report["resources"][1]["position"], 1, "{report}");
    let names = plugin.succeed("get -o name").await;
    assert_eq!(names.lines().collect::<Vec<_>>(), ["modelrefresh.tabular-operator.dev/first", "modelrefresh.tabular-operator.dev/second"]);

    let status = plugin.succeed("status first").await;
    assert!(status.contains("▶ Running for ") && status.contains("waiting    second ("), "{status}");
    assert!(status.contains(run(&first).operation_id.as_ref().unwrap()), "{status}");
    let status = plugin.succeed("status modelrefresh.tabular-operator.dev/second").await;
    assert!(status.contains("waiting    waiting for first (Running"), "{status}");
    let queue = plugin.report("queue").await;
    let model = &queue["models"][0];
    assert_eq!((&model["running"][0]["name"], &model["waiting"][0]["name"]), (&json!("first"), &json!("second")), "{queue}");
    assert_eq!(queue["allNamespaces"], true);

    world.azure.end(run(&first).operation_id.as_deref().unwrap(), "succeeded").await;
    world.until_state("first", RunState::Succeeded).await;
    let history = plugin.succeed("history first").await;
    assert!(history.lines().nth(1).is_some_and(|line| line.contains('✓') && line.contains("Creation")), "{history}");
    assert!(plugin.succeed("history first --run 1").await.contains("operation "));
    let unknown = plugin.run("history first --run 9").await;
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""), "{unknown:?}");
    assert!(plugin.requests(&world).iter().all(|request| request.starts_with("get ") || request.starts_with("list ")));
}

#[tokio::test]
async fn user_of_one_namespace_sees_what_is_permitted() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("plugin-view", setup).await;
    let plugin = Plugin::new(&world, Role::View).await;
    let empty = plugin.run("get").await;
    assert_eq!((empty.code, empty.out.as_str()), (0, ""), "{empty:?}");
    assert!(empty.err.starts_with("no ModelRefresh or ModelSync in namespace "), "{empty:?}");
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;

    assert!(plugin.succeed("status orders").await.contains("▶ Running for "));
    let queue = plugin.run("queue").await;
    assert!(queue.code == 0 && queue.out.contains("not visible to you") && queue.err.contains("you may list namespace "), "{queue:?}");
    let everywhere = plugin.run("get -A").await;
    assert_eq!((everywhere.code, everywhere.out.as_str()), (1, ""), "{everywhere:?}");
    assert_eq!(everywhere.err, "error: you may not list modelrefreshes in all namespaces: ask for the role view there\n");
    let some = plugin.run("get orders missing msync/absent").await;
    assert!(some.code == 1 && some.out.contains("orders"), "{some:?}");
    assert!(some.err.contains("modelrefreshes/missing not found") && some.err.contains("modelsyncs/absent not found"), "{some:?}");
    let usage = plugin.run("status Not_A_Name").await;
    assert_eq!((usage.code, usage.out.as_str()), (2, ""), "{usage:?}");
    plugin.requests(&world);
}

#[tokio::test]
async fn watch_without_terminal_prints_one_line_per_change() {
    let (world, _operator) = World::running("plugin-watch", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({"suspend": true})).await;
    world.until_reason("orders", "Ready", "Suspended").await;
    let (watched, _) = tokio::join!(plugin.run("status orders -w --timeout 25s"), async {
        // It shows each version after its first request.
        let reads = || !world.environment.control_plane.audit().by(plugin.user()).is_empty();
        e2e::eventually("its first request", async || reads().then_some(())).await;
        world.edit("orders", &json!({"spec": {"suspend": false}})).await;
        world.until_state("orders", RunState::Succeeded).await
    });
    assert_eq!(watched.code, 4, "the timeout of the watch: {watched:?}");
    let changes: Vec<&str> = watched.out.lines().filter_map(|line| line.split_once("Z ").map(|(_, change)| change)).collect();
    assert!(changes.iter().any(|change| change.starts_with("Running")), "{changes:?}");
    assert_eq!(changes.last(), Some(&"Succeeded"), "{watched:?}");
    let mut distinct = changes.clone();
    distinct.dedup();
    assert_eq!(distinct, changes, "a line without a change");
}
