//! A burst of runs, and the memory of a process that has only ended runs.

use std::time::{Duration, Instant};

use e2e::Usage;
use kube::Api;
use serde_json::json;
use tabular_operator::api::RunState;

use crate::bare;
use crate::ends::ends;
use crate::program::Program;
use crate::requests::Requests;
use crate::setup::{Bench, CONCURRENCY, peak_mib};

/// How long a process settles: its last events are written, or its list is decoded.
const SETTLE: Duration = Duration::from_secs(5);

/// The figures of one burst.
pub struct Burst {
    /// Complete runs per second.
    pub per_second: f64,
    pub cpu_per_run: Duration,
    pub peak_mib: f64,
    /// The requests of all runs.
    pub requests: Requests,
}

/// Runs of `count` resources with operations of this duration in milliseconds.
pub async fn burst(bench: &Bench, program: Program, what: &str, (count, takes_millis): (usize, u64), arguments: &[&str]) -> Burst {
    let name = namespace(program, what, count);
    let api = bench.namespace(&name).await;
    bench.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": takes_millis})).await;
    let (mut process, _) = bench.process(program, &name, arguments).await;
    bench.azure().clear_ledger().await;
    let before = Usage::of(process.pid());
    let began = Instant::now();
    let (ends, ()) = tokio::join!(ends(&api, count), bench.create(&api, &name, count));
    let took = began.elapsed();
    let wrong = ends.values().filter(|end| end.state != RunState::Succeeded).count();
    assert_eq!(wrong, 0, "runs that did not succeed");
    let after = Usage::of(process.pid());
    tokio::time::sleep(SETTLE).await;
    let requests = Requests::since_clear(bench, &name).await;
    process.terminate().await;
    Burst {
        per_second: count as f64 / took.as_secs_f64(),
        cpu_per_run: after.cpu.saturating_sub(before.cpu) / u32::try_from(count).unwrap(),
        peak_mib: after.peak_kib as f64 / 1024.0,
        requests,
    }
}

/// The memory in MiB of another process when all runs of a burst have ended.
pub async fn idle_mib(bench: &Bench, program: Program, what: &str, count: usize) -> f64 {
    let (idle, _) = bench.process(program, &namespace(program, what, count), &[]).await;
    tokio::time::sleep(SETTLE).await;
    peak_mib(&idle)
}

fn namespace(program: Program, what: &str, count: usize) -> String {
    format!("{}-{what}-{count}", program.name())
}

/// Runs per second of the bare writes.
pub async fn bare_writes(bench: &Bench, program: Program, count: usize, with_events: bool) -> f64 {
    let name = format!("{}-{}-{count}", program.name(), if with_events { "bare" } else { "eventless" });
    let api = bench.namespace(&name).await;
    let writers = bare::Writers {
        resources: api.clone(),
        records: Api::namespaced(bench.account.clone(), &name),
        events: with_events.then(|| Api::namespaced(bench.account.clone(), &name)),
    };
    let began = Instant::now();
    // Watched like the operator's resources: a watch costs the API server time with each write.
    tokio::join!(ends(&api, count), bare::runs(&writers, &name, count, CONCURRENCY));
    count as f64 / began.elapsed().as_secs_f64()
}
