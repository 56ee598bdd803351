//! Running operations, each polled at a fixed interval: the CPU of a poll, the memory, and the delay of a due poll.

use std::collections::HashMap;
use std::time::Duration;

use e2e::{Operator, Row, Usage};
use serde_json::json;

use crate::ends::time;
use crate::program::Program;
use crate::quantiles::Quantiles;
use crate::requests::Requests;
use crate::setup::{Bench, LONGEST, peak_mib};
use crate::takeover::{self, Takeover};

/// Duration of the measurement, and of the wait before it.
const WINDOW: Duration = Duration::from_secs(15);
/// The most polls per second that are due. More than about 2,000 operations are polled less often than once per second.
const MAX_POLLS_PER_SECOND: f64 = 2000.0;

/// The figures of running operations.
pub struct Polling {
    pub polls_per_second: f64,
    pub due_per_second: f64,
    pub cpu_per_poll: Duration,
    pub peak_mib: f64,
    /// Writes of statuses during the measurement, per second.
    pub writes_per_second: f64,
    /// How long after its due time the service received a poll, in milliseconds.
    pub delay: Quantiles,
    pub takeover: Takeover,
}

/// The flags for a fixed polling interval of `count` operations, and the interval.
pub fn flags(count: usize) -> ([String; 2], Duration) {
    let interval = Duration::from_secs_f64((count as f64 / MAX_POLLS_PER_SECOND).max(1.0).ceil());
    let seconds = interval.as_secs();
    ([format!("--poll-min={seconds}s"), format!("--poll-max={seconds}s")], interval)
}

/// The namespace of the running operations.
pub fn namespace(program: Program, count: usize) -> String {
    format!("{}-polls-{count}", program.name())
}

/// Measures `count` running operations; returns also the process that has taken them over.
pub async fn polling(bench: &Bench, program: Program, count: usize) -> (Polling, Operator) {
    let name = namespace(program, count);
    let api = bench.namespace(&name).await;
    bench.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": 3_600_000})).await;
    let (flags, interval) = flags(count);
    let flags = flags.each_ref().map(String::as_str);
    let (mut process, _) = bench.process(program, &name, &flags).await;
    let azure = bench.azure();
    azure.clear_ledger().await;
    bench.create(&api, &name, count).await;
    let all = async || (azure.count("POST", "refreshes").await >= count as u64).then_some(());
    e2e::within(LONGEST, "all operations to run", all).await;
    // The first progress is written immediately for all; afterwards only polls remain for a while.
    tokio::time::sleep(WINDOW).await;
    let written = Requests::since_clear(bench, &name).await.writes;
    azure.clear_ledger().await;
    let before = Usage::of(process.pid());
    tokio::time::sleep(WINDOW).await;
    let after = Usage::of(process.pid());
    let rows = azure.ledger_after(0).await;
    let requests = Requests::since_clear(bench, &name).await;
    let peak_mib = peak_mib(&process);
    process.terminate().await;
    let (takeover, process) = takeover::takeover(bench, program, count, WINDOW).await;
    let polls = rows.iter().filter(|row| row.route == "refresh").count();
    let seconds = WINDOW.as_secs_f64();
    let polling = Polling {
        polls_per_second: polls as f64 / seconds,
        due_per_second: count as f64 / interval.as_secs_f64(),
        cpu_per_poll: after.cpu.saturating_sub(before.cpu) / u32::try_from(polls.max(1)).unwrap(),
        peak_mib,
        writes_per_second: (requests.writes - written) as f64 / seconds,
        delay: Quantiles::of(delays(&rows, interval)),
        takeover,
    };
    (polling, process)
}

/// The CPU per poll of a process that polls all operations.
pub async fn cpu_per_poll(bench: &Bench, process: &Operator) -> Duration {
    let polls = async || bench.azure().count("GET", "refresh").await;
    let (before, polled) = (Usage::of(process.pid()), polls().await);
    tokio::time::sleep(WINDOW).await;
    let (after, polled) = (Usage::of(process.pid()), polls().await - polled);
    after.cpu.saturating_sub(before.cpu) / u32::try_from(polled.max(1)).unwrap()
}

/// How long after its due time each poll arrived, in milliseconds. It is due an interval after the response to the previous one.
fn delays(rows: &[Row], interval: Duration) -> Vec<f64> {
    let mut due: HashMap<&str, jiff::Timestamp> = HashMap::new();
    let mut delays = Vec::new();
    for row in rows.iter().filter(|row| row.route == "refresh") {
        let (database, arrived) = (row.database.as_deref().expect("a poll names a database"), time(&row.time));
        if let Some(due) = due.get(database) {
            delays.push(arrived.duration_since(*due).as_secs_f64() * 1e3);
        }
        // The response to the last ones may be pending.
        let took = Duration::from_millis(row.duration_millis.unwrap_or_default());
        due.insert(database, arrived + took + interval);
    }
    delays
}
