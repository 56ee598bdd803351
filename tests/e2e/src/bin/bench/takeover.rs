//! Another process takes over running operations.

use std::collections::HashMap;
use std::time::Duration;

use e2e::Operator;
use jiff::Timestamp;

use crate::ends::time;
use crate::polling;
use crate::program::Program;
use crate::setup::{Bench, LONGEST, peak_mib};
use crate::start::Ready;

/// The figures of a takeover.
pub struct Takeover {
    pub ready: Ready,
    /// From the start of the process until the service has received a poll of each operation.
    pub all_polled: Duration,
    /// Operations that the process submitted, which must be none.
    pub submissions: u64,
    pub peak_mib: f64,
}

/// Starts a process for the operations of a measurement of polls, whose process has ended; `window` later, its memory is read.
pub async fn takeover(bench: &Bench, program: Program, count: usize, window: Duration) -> (Takeover, Operator) {
    let azure = bench.azure();
    azure.clear_ledger().await;
    let began = Timestamp::now();
    let (flags, _) = polling::flags(count);
    let (process, ready) = bench.process(program, &polling::namespace(program, count), &flags.each_ref().map(String::as_str)).await;
    let last = e2e::within(LONGEST, "all operations to be polled", async || {
        // The counts are cheap, the rows are not.
        if azure.count("GET", "refresh").await < count as u64 {
            return None;
        }
        let rows = azure.ledger_after(0).await;
        let mut first: HashMap<&str, Timestamp> = HashMap::new();
        for row in rows.iter().filter(|row| row.route == "refresh") {
            first.entry(row.database.as_deref().expect("a poll names a database")).or_insert_with(|| time(&row.time));
        }
        first.values().copied().max().filter(|_| first.len() == count)
    })
    .await;
    tokio::time::sleep(window).await;
    let takeover = Takeover {
        ready,
        all_polled: Duration::try_from(last.duration_since(began)).unwrap_or_default(),
        submissions: azure.count("POST", "refreshes").await,
        peak_mib: peak_mib(&process),
    };
    (takeover, process)
}
