//! `run`: what becomes of a request, and the exit code that reports it.

use std::collections::BTreeSet;

use e2e::world::{run, status};
use e2e::{Action, AnyObject, ApiProxy, Operator, TestSetup, When, World};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState, TriggerType};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::plugin::{Plugin, Printed, Role};

/// A world with an idle resource, and a user who may edit it.
async fn idle(name: &str, model: Value, spec: Value) -> (World, Operator, Plugin) {
    let (world, operator) = World::running(name, TestSetup::with_model(model)).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    world.apply("orders", &e2e::world::merged(&json!({"trigger": {"onChange": false}}), &spec)).await;
    world.until_reason("orders", "Ready", "Idle").await;
    (world, operator, plugin)
}

/// The same during run 1, which lasts until it is ended.
async fn in_mid_run(name: &str, spec: Value) -> (World, Operator, Plugin) {
    let (world, operator, plugin) = idle(name, json!({"durationMillis": 600_000, "cancelMillis": 100}), spec).await;
    plugin.succeed("run orders").await;
    world.until_run("orders", 1, RunState::Running).await;
    (world, operator, plugin)
}

async fn end_latest(world: &World) {
    let operations = world.operations().await;
    world.azure.end(&operations.last().unwrap().operation_id, "succeeded").await;
}

async fn until_queued(world: &World) -> AnyObject {
    world.until("orders", "a queued request", |object| status(object).queued.is_some()).await
}

#[track_caller]
fn assert_printed(printed: &Printed, code: i32, out: &str, errors: &[&str]) {
    assert_eq!(printed.code, code, "{printed:?}");
    assert!(printed.out.starts_with(out) && printed.out.is_empty() == out.is_empty(), "{printed:?}");
    for error in errors {
        assert!(printed.err.contains(error), "no {error:?} in {printed:?}");
    }
}

#[tokio::test]
async fn run_waits_for_success_and_records_reason() {
    let (world, _operator, plugin) = idle("run-success", json!({}), json!({})).await;
    let printed = plugin.run_words(&["run", "orders", "--wait", "--reason", "late file from SAP"]).await;
    assert_printed(&printed, 0, "✓ run 1 succeeded after ", &["requested a run of orders: run 1, "]);
    let changes: Vec<&str> = printed.err.lines().filter_map(|line| line.split_once("Z ").map(|(_, change)| change)).collect();
    let mut distinct = changes.clone();
    distinct.dedup();
    assert_eq!(changes, distinct, "a line without a change");
    let done = world.until_run("orders", 1, RunState::Succeeded).await;
    assert_eq!(run(&done).trigger.r#type, TriggerType::Request);
    assert!(run(&done).trigger.value.ends_with("Z late file from SAP"), "{}", run(&done).trigger.value);
    let managers: BTreeSet<String> = done.metadata.managed_fields.unwrap().into_iter().filter_map(|fields| fields.manager).collect();
    assert!(managers.contains("kubectl-tabular"), "{managers:?}");

    let report = plugin.report("run orders --wait").await;
    let request = &report["requests"][0];
    assert_eq!((&report["report"], &request["result"], &request["state"]), (&json!("Requests"), &json!("Ended"), &json!("Succeeded")));
    assert_eq!((&request["run"], &request["exitCode"], &request["superseded"]), (&json!(2), &json!(0), &json!(false)));
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 2));
    let writes: Vec<String> = plugin.requests(&world).into_iter().filter(|request| request.starts_with("patch")).collect();
    assert_eq!(writes, ["patch modelrefreshes orders -> 200", "patch modelrefreshes orders -> 200"]);
}

#[tokio::test]
async fn unsuccessful_ends_have_exit_code_3() {
    let model = json!({"outcomes": ["failed", {"status": "succeeded", "durationMillis": 600_000}], "cancelMillis": 100});
    let (world, _operator, plugin) = idle("run-failure", model, json!({})).await;
    assert_printed(&plugin.run("run orders --wait").await, 3, "✗ run 1 failed", &[]);
    world.edit("orders", &json!({"spec": {"activeDeadlineSeconds": 1}})).await;
    assert_printed(&plugin.run("run orders --wait").await, 3, "✗ run 2 timed out", &[]);
    world.patch_model(&json!({"durationMillis": 600_000})).await;
    world.edit("orders", &json!({"spec": {"activeDeadlineSeconds": 600}})).await;
    let (waited, _) = tokio::join!(plugin.run("run orders --wait"), async {
        world.until_run("orders", 3, RunState::Running).await;
        plugin.succeed("cancel orders").await
    });
    assert_printed(&waited, 3, "✗ run 3 was cancelled", &["Cancelling"]);
    assert!(waited.out.contains("CancelledOnRequest: "), "{waited:?}");
}

#[tokio::test]
async fn request_during_run_waits_for_next_one() {
    let (world, _operator, plugin) = in_mid_run("run-queue", json!({})).await;
    let (waited, second) = tokio::join!(plugin.run("run orders --wait"), async {
        until_queued(&world).await;
        // Without --wait, the second user learns the same.
        let second = plugin.run("run orders").await;
        world.patch_model(&json!({"durationMillis": 200})).await;
        end_latest(&world).await;
        second
    });
    assert_printed(&waited, 0, "✓ run 2 succeeded", &["requested a run of orders: queued behind run 1 (Running"]);
    assert_printed(&second, 0, "requested a run of orders: queued behind run 1 (Running", &[]);
    assert_eq!(world.operations().await.len(), 2, "one run serves both requests");
}

#[tokio::test]
async fn forbid_drops_request_with_exit_code_5() {
    let (world, _operator, plugin) = in_mid_run("run-forbid", json!({"concurrencyPolicy": "Forbid"})).await;
    for line in ["run orders --wait", "run orders"] {
        let dropped = plugin.run(line).await;
        let sentence = "requested a run of orders: dropped because of run 1: spec.concurrencyPolicy is Forbid\n";
        assert_eq!((dropped.code, dropped.out.as_str(), dropped.err.as_str()), (5, "", sentence), "{line}");
    }
    assert_eq!((status(&world.until_state("orders", RunState::Running).await).queued.as_ref(), world.posts().await), (None, 1));
}

#[tokio::test]
async fn suspended_or_deleted_resource_gets_no_request() {
    let (world, _operator, plugin) = in_mid_run("run-refused", json!({})).await;
    world.edit("orders", &json!({"spec": {"suspend": true}})).await;
    let resume = format!("first run `kubectl tabular resume orders -n {} --kubeconfig ", world.namespace);
    assert_printed(&plugin.run("run orders --wait").await, 5, "", &["orders is suspended", &resume]);
    world.edit("orders", &json!({"spec": {"suspend": false}})).await;

    // The deletion waits until the service has cancelled the refresh.
    world.patch_model(&json!({"cancelMillis": 600_000})).await;
    let (waited, refused) = tokio::join!(plugin.run("run orders --wait"), async {
        until_queued(&world).await;
        world.delete("orders").await;
        let refused = plugin.run("run orders --wait").await;
        world.azure.end(&world.operations().await[0].operation_id, "cancelled").await;
        refused
    });
    assert_printed(&waited, 1, "", &["the resource was deleted, so no run starts"]);
    assert_printed(&refused, 5, "", &["orders is being deleted"]);
    world.until_gone("orders").await;
    assert_printed(&plugin.run("run orders").await, 1, "", &["error: modelrefreshes/orders not found in namespace "]);
    let requests = |object: &AnyObject| object.metadata.annotations.as_ref().and_then(|all| all.get(RUN_REQUESTED_AT)).cloned();
    let values: BTreeSet<_> = world.recorder.of("orders").iter().filter_map(|version| requests(&version.decode().unwrap())).collect();
    assert_eq!(values.len(), 2, "each refused request wrote nothing: {values:?}");
}

#[tokio::test]
async fn deletion_during_run_ends_wait_with_exit_code_1() {
    let (world, _operator, plugin) = idle("run-deleted", json!({"durationMillis": 600_000, "cancelMillis": 500}), json!({})).await;
    let (waited, ()) = tokio::join!(plugin.run("run orders --wait"), async {
        world.until_run("orders", 1, RunState::Running).await;
        world.delete("orders").await;
    });
    assert_printed(&waited, 1, "", &["the resource was deleted during run 1"]);
}

#[tokio::test]
async fn request_without_operator_is_explained_and_runs_later() {
    let world = World::new("run-alone").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    world.apply("orders", &json!({"trigger": {"onChange": false}})).await;
    let waited = plugin.run("run orders --wait --timeout 45s").await;
    let explained = format!("no operator seems to serve namespace {}", world.namespace);
    assert_printed(&waited, 4, "", &["requested a run of orders: not handled yet", &explained, "the request for a run of orders remains"]);
    let at_once = plugin.run("run orders").await;
    assert_printed(&at_once, 0, "requested a run of orders: not handled yet", &[]);
    let _operator = world.start_operator();
    world.until_run("orders", 1, RunState::Succeeded).await;
    assert_eq!(world.posts().await, 1);
}

#[tokio::test]
async fn wait_survives_restart_of_api_server() {
    let (world, _operator, _) = idle("run-restart", json!({"durationMillis": 600_000}), json!({})).await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    let (waited, ()) = tokio::join!(plugin.run("run orders --wait"), async {
        world.until_run("orders", 1, RunState::Running).await;
        e2e::eventually("the plugin to watch", async || proxy.requests().iter().any(|request| request.verb == "watch").then_some(())).await;
        proxy.set_available(false);
        end_latest(&world).await;
        world.until_run("orders", 1, RunState::Succeeded).await;
        // The next run has begun when the API server is available again.
        world.annotate("orders", RUN_REQUESTED_AT, Some("another")).await;
        world.until_run("orders", 2, RunState::Running).await;
        proxy.set_available(true);
    });
    assert_printed(&waited, 0, "✓ run 1 succeeded", &["warning: lost the connection: ", "connected again"]);
}

#[tokio::test]
async fn lost_response_to_request_is_recovered() {
    let (world, _operator, _) = idle("run-lost", json!({"durationMillis": 300}), json!({})).await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    for (when, run) in [(Action::Drop(When::After), 1), (Action::RespondAfter(504), 2)] {
        let fault = proxy.inject(0, when, |request| request.verb == "patch");
        let waited = plugin.run("run orders --wait").await;
        assert_printed(&waited, 0, &format!("✓ run {run} succeeded"), &[]);
        assert_eq!(fault.hits(), 1);
    }
    let fault = proxy.inject(0, Action::Drop(When::Before), |request| request.verb == "patch");
    let unknown = plugin.run("run orders --wait").await;
    assert_printed(&unknown, 1, "", &["it is unknown whether the request arrived: check with `kubectl tabular status orders"]);
    assert_eq!((fault.hits(), world.posts().await), (1, 2));
}

#[tokio::test]
async fn timeout_and_ctrl_c_leave_run_in_progress() {
    let (world, _operator, plugin) = idle("run-timeout", json!({"durationMillis": 600_000, "cancelMillis": 100}), json!({})).await;
    let cancel =
        format!("run 1 of orders continues: to cancel it, run `kubectl tabular cancel orders -n {} --kubeconfig ", world.namespace);
    let timed_out = plugin.run("run orders --wait --timeout 15s").await;
    assert_printed(&timed_out, 4, "", &["Running", &cancel]);
    world.until_run("orders", 1, RunState::Running).await;

    let mut started = plugin.start("run orders --wait -o json");
    let mut errors = BufReader::new(started.stderr.take().unwrap()).lines();
    let first = errors.next_line().await.unwrap().unwrap_or_default();
    assert!(first.starts_with("requested a run of orders: queued behind run 1 (Running"), "{first}");
    let pid = started.id().expect("it is running").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|sent| sent.success()));
    let interrupted = Printed::of(started.wait_with_output().await.unwrap());
    assert_eq!(interrupted.code, 130, "{interrupted:?}");
    let last = errors.next_line().await.unwrap().unwrap_or_default();
    assert!(last.starts_with("the request for a run of orders remains"), "{last}");
    let report: Value = serde_json::from_str(&interrupted.out).unwrap();
    assert_eq!((&report["requests"][0]["result"], &report["requests"][0]["exitCode"]), (&json!("Accepted"), &json!(130)));
    end_latest(&world).await;
    world.until_run("orders", 2, RunState::Running).await;
}

/// The run that serves a value, by all versions: that of the first version in which the operator had handled it or a later value.
fn serving_run(versions: &[AnyObject], value: &str) -> i32 {
    let annotation = |object: &AnyObject| object.metadata.annotations.as_ref().and_then(|all| all.get(RUN_REQUESTED_AT)).cloned();
    let requested = versions.iter().position(|object| annotation(object).as_deref() == Some(value)).expect("the request was made");
    let later: BTreeSet<String> = versions[requested..].iter().filter_map(annotation).collect();
    let handled = |object: &&AnyObject| {
        let handled = object.status.as_ref().and_then(|status| status.last_handled_request.as_ref());
        handled.is_some_and(|handled| later.contains(handled))
    };
    run(versions[requested..].iter().find(handled).expect("the request was handled")).number
}

#[tokio::test]
async fn ten_concurrent_requests_each_report_their_run() {
    let (world, _operator, plugin) = idle("run-ten", json!({"durationMillis": 700}), json!({})).await;
    let reports = futures::future::join_all((0..10).map(|_| plugin.report("run orders --wait"))).await;
    world.until("orders", "the end of all runs", |object| run(object).state.ended() && status(object).queued.is_none()).await;
    let versions: Vec<AnyObject> = world.recorder.of("orders").iter().map(|version| version.decode().unwrap()).collect();
    let mut values = BTreeSet::new();
    for report in &reports {
        let request = &report["requests"][0];
        assert_eq!((&request["result"], &request["state"]), (&json!("Ended"), &json!("Succeeded")), "{request}");
        let value = request["value"].as_str().unwrap();
        assert_eq!(request["run"], serving_run(&versions, value), "{request}");
        values.insert(value.to_owned());
    }
    assert_eq!(values.len(), 10, "each request has its own value");
    let runs = world.operations().await.len();
    assert!((1..=10).contains(&runs), "{runs}");
}
