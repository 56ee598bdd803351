//! The cost of a run in requests to the Kubernetes API and the service, counted where they arrive; and that of a poll in instructions.

use std::time::Duration;

use e2e::{TestSetup, World, eventually};
use futures::future::join_all;
use serde_json::json;
use tabular_operator::api::RunState;
use tokio::process::Command;

/// How long nothing may be written. `TABULAR_OPERATOR_TEST_QUIET_SECONDS=30` extends it.
fn quiet() -> Duration {
    let asked = std::env::var("TABULAR_OPERATOR_TEST_QUIET_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(12))
}

#[tokio::test]
async fn run_costs_four_writes_and_one_post() {
    let (world, _operator) = World::running("budget", TestSetup::default()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    // A watch may show a write before its line is in the audit log, so the test waits for the count before the comparison.
    let counted =
        async |count: usize| eventually("the writes to be in the audit log", async || (world.writes().len() >= count).then_some(())).await;
    counted(4).await;
    let writes = world.writes();
    assert!(writes.len() <= 4, "{writes:#?}");
    assert_eq!(world.posts().await, 1);
    let events = world.environment.control_plane.audit().writes(&world.user(), &["events"]);
    assert!(events.len() <= 3, "{events:#?}");
    world.delete("orders").await;
    world.until_gone("orders").await;
    counted(writes.len() + 1).await;
    let after = world.writes();
    assert_eq!(after.len(), writes.len() + 1, "{after:#?}");
    assert!(after.iter().all(|write| write.ends_with(" 200")), "{after:#?}");
}

#[tokio::test]
async fn twenty_finished_resources_cause_no_requests() {
    let (world, _operator) = World::running("quiet", TestSetup::default()).await;
    let names: Vec<String> = (0..20).map(|number| format!("quiet-{number}")).collect();
    join_all(names.iter().map(async |name| {
        let spec = world.put_database(name, &json!({"notStartedMillis": 0, "durationMillis": 200})).await;
        world.apply(name, &spec).await;
    }))
    .await;
    join_all(names.iter().map(|name| world.until_state(name, RunState::Succeeded))).await;
    eventually("the writes to be in the audit log", async || (world.writes().len() >= 80).then_some(())).await;
    let (writes, calls) = (world.writes().len(), calls(&world).await);
    assert!(writes <= 80, "{writes} writes");
    // The absence of an event needs a wait.
    tokio::time::sleep(quiet()).await;
    assert!(world.writes()[writes..].is_empty(), "{:#?}", world.writes());
    assert_eq!(self::calls(&world).await, calls);
    let others: Vec<String> =
        world.environment.control_plane.audit().writes(&world.user(), &[]).iter().map(e2e::AuditLine::summary).collect();
    assert!(others.len() <= writes + 60, "{others:#?}");
}

async fn calls(world: &World) -> usize {
    let all = world.azure.ledger_after(0).await;
    all.iter().filter(|row| row.client_id.as_ref() == Some(&world.client_id)).count()
}

#[tokio::test]
async fn manifest_applied_fifty_times_runs_once() {
    let (world, _operator) = World::running("fifty", TestSetup::default()).await;
    let manifest = world.manifest("orders", &json!({})).to_string();
    for number in 0..50 {
        if number % 10 == 0 {
            let applied = world.environment.control_plane.kubectl_with(&["apply", "-f", "-"], &manifest).await;
            assert!(applied.status.success(), "{applied:?}");
        } else {
            world.apply("orders", &json!({})).await;
        }
    }
    world.until_state("orders", RunState::Succeeded).await;
    for _ in 0..5 {
        world.apply("orders", &json!({})).await;
    }
    // An earlier run from these manifests would precede this one on the model.
    world.apply("last", &json!({})).await;
    world.until_state("last", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 2));
}

/// The most instructions of a poll in user space.
const MAX_INSTRUCTIONS: u64 = 1_500_000;

/// The instructions of a process in user space during some seconds; or why they cannot be counted, as in most virtual machines.
async fn instructions(pid: u32, seconds: u32) -> Result<u64, String> {
    let (pid, seconds) = (pid.to_string(), seconds.to_string());
    let mut perf = Command::new("perf");
    perf.args(["stat", "--field-separator=,", "--event=instructions:u", "--pid", &pid, "--", "sleep", &seconds]).env("LC_ALL", "C");
    let output = perf.output().await.map_err(|error| format!("perf cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("instructions:u"));
    let count = line.and_then(|line| line.split(',').next()?.trim().parse().ok());
    count.ok_or_else(|| format!("perf cannot count instructions: {}", text.trim()))
}

#[tokio::test]
async fn instructions_of_a_poll_are_bounded() {
    let (world, operator) = World::running("instructions", TestSetup::with_flags(&["--poll-max=100ms"])).await;
    if let Err(reason) = instructions(operator.pid(), 1).await {
        println!("skipped: {reason}");
        return;
    }
    let names: Vec<String> = (0..20).map(|number| format!("running-{number}")).collect();
    join_all(names.iter().map(async |name| {
        let spec = world.put_database(name, &json!({"durationMillis": e2e::world::LASTING_MILLIS})).await;
        world.apply(name, &spec).await;
        world.until_state(name, RunState::Running).await;
    }))
    .await;
    let polls = async || {
        let all = world.azure.ledger_after(0).await;
        all.iter().filter(|row| row.route == "refresh" && row.client_id.as_ref() == Some(&world.client_id)).count()
    };
    // The progress is written at first.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = polls().await;
    let counted = instructions(operator.pid(), 10).await.unwrap();
    let polled = polls().await - before;
    assert!(polled >= 100, "{polled} polls");
    let each = counted / u64::try_from(polled).unwrap();
    println!("{each} instructions per poll");
    assert!(each <= MAX_INSTRUCTIONS, "{each} instructions per poll");
}
