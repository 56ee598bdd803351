//! `tabular-operator drain`: its output and effect with an operator that leads, changes, or does not exist. The chart's hook runs it in
//! `tests/e2e/tests/chart/in_mid_run.rs`.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use e2e::world::run;
use e2e::{Action, Kind, TestSetup, When, World, operator, rbac};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tabular_operator::api::{FINALIZER, RUN_REQUESTED_AT, RunState};
use tokio::process::{Child, Command};

/// Starts it with the operator's own account and Lease.
fn start(world: &World, more: &[&str]) -> Child {
    let mut command = operator::program();
    command.args(["drain", "--watch-namespace", &world.namespace, "--lease-name", &world.namespace, "--lease-namespace", rbac::OPERATORS]);
    command.args(more).env("KUBECONFIG", &world.operator_settings().kubeconfig).stdout(Stdio::piped()).stderr(Stdio::piped());
    Command::from(command).kill_on_drop(true).spawn().unwrap()
}

async fn drain(world: &World, more: &[&str]) -> (Option<i32>, String) {
    output_text(start(world, more).wait_with_output().await.unwrap())
}

fn output_text(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn lasting() -> TestSetup {
    TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 300}))
}

/// Whether the Lease contains the drain request.
async fn is_drain_requested(world: &World) -> bool {
    let lease = Api::<Lease>::namespaced(world.client.clone(), rbac::OPERATORS).get(&world.namespace).await.unwrap();
    lease.metadata.annotations.is_some_and(|all| all.contains_key("tabular-operator.dev/drain"))
}

#[tokio::test]
async fn drain_without_runs_or_operator_completes_at_once() {
    let (world, mut operator) = World::running("idle", TestSetup::default()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    let began = Instant::now();
    let (code, output_text) = drain(&world, &[]).await;
    assert_eq!(code, Some(0), "{output_text}");
    assert!(output_text.contains("1 resources remain, without a finalizer") && began.elapsed() < Duration::from_secs(10), "{output_text}");
    world.until("orders", "no finalizer", |object| object.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)).await;
}

#[tokio::test]
async fn late_finalizer_is_removed_by_drain() {
    let (world, mut operator) = World::running("late", TestSetup::with_proxy()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    // The check after the removal of the finalizer.
    let second_check =
        world.proxy().inject(1, Action::Hold(When::Before), |request| request.verb == "list" && request.resource == "modelrefreshes");
    let draining = start(&world, &[]);
    e2e::within(e2e::DEADLINE, "a second check", async || (second_check.hits() > 0).then_some(())).await;
    let late = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
    world.api(Kind::Refresh).patch("orders", &PatchParams::default(), &late).await.unwrap();
    second_check.release();
    let (code, output_text) = output_text(draining.wait_with_output().await.unwrap());
    assert!(code == Some(0) && output_text.contains("1 resources remain, without a finalizer"), "{output_text}");
    let left = world.api(Kind::Refresh).get("orders").await.unwrap();
    assert_eq!(left.metadata.finalizers, None);
}

#[tokio::test]
async fn run_without_operator_is_reported_by_drain() {
    let (world, mut operator) = World::running("alone", lasting()).await;
    world.apply("orders", &json!({})).await;
    let running = world.until_state("orders", RunState::Running).await;
    operator.kill();
    let (code, output_text) = drain(&world, &[]).await;
    assert_eq!(code, Some(1), "{output_text}");
    let id = run(&running).operation_id.clone().unwrap();
    assert!(
        output_text.contains(&format!("ModelRefresh {}/orders  Running", world.namespace)) && output_text.contains(&id),
        "{output_text}"
    );
    assert!(output_text.contains(&format!("no operator holds the Lease {}", world.namespace)), "{output_text}");
    assert!(!is_drain_requested(&world).await, "a failed drain withdraws its request");
    let left = world.recorder.latest("orders").unwrap().decode().unwrap();
    assert_eq!(left.metadata.finalizers.unwrap().len(), 1);
}

#[tokio::test]
async fn new_leader_starts_nothing_during_drain() {
    let (world, mut first) = World::running("handed", lasting()).await;
    let mut second = world.start_operator();
    second.ready().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let draining = start(&world, &["--runs", "wait", "--timeout", "2m"]);
    e2e::eventually("the drain request in the Lease", async || is_drain_requested(&world).await.then_some(())).await;
    first.kill();
    world.annotate("orders", RUN_REQUESTED_AT, Some("once more")).await;
    // The run ends at the service, and the new leader records it.
    tokio::time::sleep(Duration::from_secs(8)).await;
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    let (code, output_text) = output_text(draining.wait_with_output().await.unwrap());
    assert_eq!(code, Some(0), "{output_text}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
    assert_eq!(second.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn stopped_drain_withdraws_its_request() {
    let (world, _operator) = World::running("stopped", lasting()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let draining = start(&world, &["--runs", "wait"]);
    e2e::eventually("the drain request in the Lease", async || is_drain_requested(&world).await.then_some(())).await;
    std::process::Command::new("kill").arg(draining.id().unwrap().to_string()).status().unwrap();
    let (code, output_text) = output_text(draining.wait_with_output().await.unwrap());
    assert!(code == Some(1) && output_text.contains("the operator continues as before"), "{output_text}");
    assert!(!is_drain_requested(&world).await);
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("once more")).await;
    world.until_run("orders", 2, RunState::Running).await;
}

#[tokio::test]
async fn invalid_drain_usage_is_reported() {
    let world = World::new("usage").await;
    for (flags, word) in [(["--runs", "kill"], "invalid value 'kill'"), (["--timeout", "0s"], "from 1s to")] {
        let (code, output_text) = drain(&world, &flags).await;
        assert!(code == Some(2) && output_text.contains(word), "{output_text}");
    }
}
