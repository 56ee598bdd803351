//! `cancel`, `suspend` and `resume`, several names, and permissions.

use e2e::world::{run, status};
use e2e::{Action, ApiProxy, TestSetup, When, World};
use serde_json::json;
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};

use crate::plugin::{Plugin, Role};

/// A world whose operations last until they are ended, and a user who may edit.
async fn editor(name: &str) -> (World, e2e::Operator, Plugin) {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 200, "sync": {"replicatingMillis": 600_000}}));
    let (world, operator) = World::running(name, setup).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    (world, operator, plugin)
}

#[tokio::test]
async fn cancel_waits_for_end_and_reports_queued_trigger() {
    let (world, _operator, plugin) = editor("cancel-run").await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Running).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("next")).await;
    world.until("orders", "a queued request", |object| status(object).queued.is_some()).await;
    let cancelled = plugin.run_words(&["cancel", "orders", "--wait", "--reason", "wrong month"]).await;
    assert!(cancelled.code == 0 && cancelled.out.starts_with("✓ run 1 was cancelled after "), "{cancelled:?}");
    assert!(
        cancelled.err.contains("warning: a queued trigger (on request, next) starts a run of orders after the cancellation"),
        "{cancelled:?}"
    );
    let next = world.until_run("orders", 2, RunState::Running).await;
    assert!(status(&next).last_handled_cancel_request.as_ref().is_some_and(|value| value.ends_with("Z wrong month")), "{next:?}");

    let at_once = plugin.run("cancel orders").await;
    assert_eq!(at_once.code, 0, "{at_once:?}");
    assert!(at_once.out.starts_with("requested the cancellation of run 2 of orders: "), "{at_once:?}");
    world.until_run("orders", 2, RunState::Cancelled).await;
    let nothing = plugin.run("cancel orders --wait").await;
    assert_eq!((nothing.code, nothing.out.as_str()), (5, ""), "{nothing:?}");
    assert_eq!(nothing.err, "no run of orders is running or waiting, so nothing was cancelled\n");
}

#[tokio::test]
async fn run_that_succeeds_before_cancellation_has_exit_code_0() {
    let (world, _operator, plugin) = editor("cancel-late").await;
    world.patch_model(&json!({"cancelMillis": 600_000})).await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Running).await;
    let (cancelled, ()) = tokio::join!(plugin.run("cancel orders --wait"), async {
        let cancelling = world.until_state("orders", RunState::Cancelling).await;
        world.azure.end(run(&cancelling).operation_id.as_deref().unwrap(), "succeeded").await;
    });
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    assert!(cancelled.out.starts_with("✓ run 1 succeeded") && cancelled.out.contains("before it was cancelled"), "{cancelled:?}");
}

#[tokio::test]
async fn started_sync_is_not_cancelled_but_waiting_one_is() {
    let (world, _operator, plugin) = editor("cancel-sync").await;
    world.apply("modelsync/first", &json!({})).await;
    world.until_state("modelsync/first", RunState::Running).await;
    world.apply("modelsync/second", &json!({})).await;
    world.until_reason("modelsync/second", "Reconciling", "WaitingForTurn").await;
    let both = plugin.run("cancel msync/first msync/second --wait").await;
    assert_eq!((both.code, both.out.lines().next()), (5, Some("✓ msync/second: run 1 was cancelled")), "{both:?}");
    assert!(both.err.contains("run 1 of msync/first is running, and a sync cannot be cancelled"), "{both:?}");
    let untouched = world.until_state("modelsync/first", RunState::Running).await;
    assert!(untouched.metadata.annotations.is_none_or(|all| !all.contains_key(CANCEL_REQUESTED_AT)));
}

#[tokio::test]
async fn suspend_and_resume_report_each_name() {
    let (world, _operator, plugin) = editor("suspend").await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Running).await;
    world.apply("stock", &json!({"suspend": true, "trigger": {"onChange": false}})).await;
    let labels = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    world.edit("orders", &json!({"metadata": {"labels": labels}})).await;

    let suspended = plugin.run("suspend orders missing stock orders").await;
    assert_eq!((suspended.code, suspended.out.as_str()), (1, "suspended orders; run 1 continues\nstock is already suspended\n"));
    assert!(suspended.err.contains("warning: Flux (Kustomization flux-system/apps) applies orders from Git"), "{suspended:?}");
    assert!(suspended.err.contains("error: modelrefreshes/missing not found"), "{suspended:?}");
    let report = plugin.report("resume orders stock").await;
    assert_eq!(report["requests"][1]["result"], "Changed", "{report}");
    let again = plugin.run("resume orders").await;
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "orders is already resumed\n", ""));
    let names = plugin.succeed("suspend orders -o name").await;
    assert_eq!(names, "modelrefresh.tabular-operator.dev/orders\n");
}

#[tokio::test]
async fn lost_response_to_suspension_is_recovered() {
    let world = World::new("suspend-lost").await;
    world.apply("orders", &json!({})).await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    let fault = proxy.inject(0, Action::Drop(When::After), |request| request.verb == "patch");
    assert_eq!(plugin.succeed("suspend orders").await, "suspended orders\n");
    assert_eq!(fault.hits(), 1);
    let fault = proxy.inject(0, Action::Drop(When::Before), |request| request.verb == "patch");
    let unknown = plugin.run("resume orders").await;
    assert_eq!((unknown.code, unknown.out.as_str(), fault.hits()), (1, "", 1), "{unknown:?}");
    assert!(unknown.err.contains("it is unknown whether orders was changed: repeat the command"), "{unknown:?}");
}

#[tokio::test]
async fn several_runs_have_one_line_each_and_largest_code() {
    let (world, _operator, plugin) = editor("run-several").await;
    world.patch_model(&json!({"durationMillis": 300, "outcomes": ["succeeded", "failed"]})).await;
    for name in ["orders", "stock"] {
        world.apply(name, &json!({"trigger": {"onChange": false}})).await;
        world.until_reason(name, "Ready", "Idle").await;
    }
    let several = plugin.run("run orders stock missing --wait").await;
    assert_eq!(several.code, 3, "{several:?}");
    let mut lines: Vec<&str> = several.out.lines().map(|line| line.split(" after ").next().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{several:?}");
    assert!(lines[0].starts_with('✓') && lines[1].starts_with('✗'), "{several:?}");
    assert!(several.err.contains("error: modelrefreshes/missing not found"), "{several:?}");
}

#[tokio::test]
async fn names_of_one_kind_need_no_permission_for_the_other() {
    let (world, _operator) = World::running("run-one-kind", TestSetup::with_model(json!({"durationMillis": 300}))).await;
    let plugin = Plugin::new(&world, Role::Refreshes).await;
    for name in ["orders", "stock"] {
        world.apply(name, &json!({"trigger": {"onChange": false}})).await;
        world.until_reason(name, "Ready", "Idle").await;
    }
    for line in ["run orders stock --wait", "run orders stock", "check orders", "suspend orders stock", "get orders stock"] {
        plugin.succeed(line).await;
    }
    let of_syncs = plugin.requests(&world).into_iter().filter(|request| request.contains(" modelsyncs"));
    assert_eq!(of_syncs.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test]
async fn user_who_may_only_view_is_refused_with_the_role() {
    let (world, _operator) = World::running("run-view", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    for line in ["run orders", "run orders --wait", "suspend orders"] {
        let refused = plugin.run(line).await;
        let sentence = format!("error: you may not patch modelrefreshes in namespace {}: ask for the role edit there\n", world.namespace);
        assert_eq!((refused.code, refused.out.as_str(), refused.err), (1, "", sentence), "{line}");
    }
    assert_eq!((status(&world.until_run("orders", 1, RunState::Succeeded).await).history.len(), world.posts().await), (1, 1));
    let usage = plugin.run_words(&["run", "orders", "--reason", "two\nlines"]).await;
    assert_eq!((usage.code, usage.out.as_str()), (2, ""), "{usage:?}");
    plugin.requests(&world);
}
