//! All figures of a program for a number of resources.

use std::time::Duration;

use e2e::Operator;

use crate::burst::{self, Burst, bare_writes};
use crate::ends::{self, Lag};
use crate::polling::{self, Polling};
use crate::program::Program;
use crate::scrape::{self, Scrapes};
use crate::setup::{Bench, milliseconds};
use crate::table::Target::{AtLeast, AtMost, None as Untold};
use crate::table::{self, head, row};
use crate::takeover::Takeover;

/// Target of the complete runs, relative to the bare writes.
const COMPLETE_RUNS: f64 = 0.85;
/// Memory limit in MiB, and the number of running resources.
const MEMORY: (f64, usize) = (32.0, 1000);
/// The default of `--resource-metrics`.
const RESOURCE_METRICS: usize = 2000;
/// Target of the CPU per poll with per-resource metrics, relative to that without them.
const METRICS_CPU: f64 = 1.05;
/// How long the process without per-resource metrics runs before it is measured.
const SETTLE: Duration = Duration::from_secs(15);

/// The figures of a program.
pub struct Figures {
    /// Runs per second of the bare writes, in the same minute as the burst.
    pub bare: f64,
    pub burst: Burst,
    /// The memory of a process when all runs have ended, in MiB.
    pub idle_mib: f64,
    pub polling: Polling,
    /// Figures of the operator only.
    own: Option<Own>,
}

struct Own {
    /// Runs per second of the bare writes without events.
    eventless: f64,
    /// Complete runs per second at the default polling interval.
    paced: f64,
    with_metrics: Metrics,
    without_metrics: Metrics,
    lag: Lag,
}

/// The figures of a process that polls all operations, with or without the per-resource metrics.
struct Metrics {
    cpu_per_poll: Duration,
    scrapes: Scrapes,
}

impl Figures {
    pub async fn measure(bench: &Bench, program: Program, count: usize) -> Self {
        let bare = bare_writes(bench, program, count, true).await;
        let burst = burst::burst(bench, program, "runs", (count, 0), &["--poll-min=10ms"]).await;
        let rates = match program {
            Program::Reference => None,
            Program::Operator => {
                let eventless = bare_writes(bench, program, count, false).await;
                Some((eventless, burst::burst(bench, program, "paced", (count, 500), &[]).await.per_second))
            }
        };
        let idle_mib = burst::idle_mib(bench, program, "runs", count).await;
        let (polling, mut process) = polling::polling(bench, program, count).await;
        let own = match rates {
            None => None,
            Some((eventless, paced)) => {
                let with_metrics = Metrics::measure(bench, &mut process, count.min(RESOURCE_METRICS)).await;
                process.terminate().await;
                let without_metrics = without_metrics(bench, count).await;
                Some(Own { eventless, paced, with_metrics, without_metrics, lag: ends::lag(bench, count).await })
            }
        };
        Self { bare, burst, idle_mib, polling, own }
    }

    /// Complete runs, relative to the bare writes.
    pub fn complete_runs(&self) -> f64 {
        self.burst.per_second / self.bare
    }

    /// Prints the figures of the operator.
    pub fn print(&self, count: usize) {
        let Self { burst, polling, own: Some(own), .. } = self else { return };
        let memory = if count <= MEMORY.1 { AtMost(MEMORY.0) } else { Untold };
        let runs = count as f64;
        head(&format!("{count} resources"));
        row("whole runs", burst.per_second, table::PER_SECOND, Untold);
        row("… relative to the bare writes", self.complete_runs(), table::RATIO, AtLeast(COMPLETE_RUNS));
        row("… relative to the bare writes without events", burst.per_second / own.eventless, table::RATIO, Untold);
        row("… at the default polling interval, first poll after 1 s", own.paced / self.bare, table::RATIO, Untold);
        row("writes of the status and the finalizer per run", burst.requests.writes as f64 / runs, table::PER_RUN, Untold);
        row("events per run", burst.requests.events as f64 / runs, table::PER_RUN, Untold);
        row("CPU of the operator per run", milliseconds(burst.cpu_per_run), table::CPU, Untold);
        row("CPU of the operator per poll", milliseconds(polling.cpu_per_poll), table::CPU, AtMost(0.15));
        row(&format!("polls per second, of {:.0} due", polling.due_per_second), polling.polls_per_second, table::PER_SECOND, Untold);
        row("delay of a due poll: p50", polling.delay.p50, table::MILLISECONDS, Untold);
        row("… p99", polling.delay.p99, table::MILLISECONDS, Untold);
        row("writes while all of them are running", polling.writes_per_second, table::PER_SECOND, Untold);
        row("peak memory while all of them run once", burst.peak_mib, table::MIB, memory);
        row("peak memory of another process, all of them ended", self.idle_mib, table::MIB, memory);
        row("peak memory while all of them are running", polling.peak_mib, table::MIB, memory);
        let Takeover { ready, all_polled, submissions, peak_mib } = &polling.takeover;
        let ready = milliseconds(ready.since_response.expect("the first response is logged"));
        row("takeover: ready after the API server's first response", ready, table::MILLISECONDS, Untold);
        row("… all operations polled after the start of the process", all_polled.as_secs_f64(), table::SECONDS, Untold);
        row("… operations submitted", *submissions as f64, table::COUNT, AtMost(0.0));
        row("… and its peak memory", *peak_mib, table::MIB, memory);
        let (with, without) = (&own.with_metrics, &own.without_metrics);
        row("a scrape of its metrics: the longest", milliseconds(with.scrapes.longest), table::MILLISECONDS, AtMost(100.0));
        row("… its size", with.scrapes.bytes as f64 / 1e6, table::MB, Untold);
        let metrics_mib = with.scrapes.resident_mib - without.scrapes.resident_mib;
        row("memory of the per-resource metrics", metrics_mib, table::MIB, AtMost(1.5));
        let cpu = with.cpu_per_poll.as_secs_f64() / without.cpu_per_poll.as_secs_f64();
        row("CPU per poll, relative to that without these metrics", cpu, table::RATIO, AtMost(METRICS_CPU));
        row("an end known after, operations of 5 to 20 s: p50", own.lag.seconds.p50, table::SECONDS, Untold);
        row("… p99", own.lag.seconds.p99, table::SECONDS, Untold);
        row("… relative to the operation: p50", own.lag.percent.p50, table::PERCENT, Untold);
        row("… p99", own.lag.percent.p99, table::PERCENT, Untold);
    }
}

impl Metrics {
    async fn measure(bench: &Bench, process: &mut Operator, resources: usize) -> Self {
        // Before the scrapes, which need time too.
        Self { cpu_per_poll: polling::cpu_per_poll(bench, process).await, scrapes: scrape::scrapes(process, resources).await }
    }
}

/// The figures of a process without per-resource metrics, for the same running operations.
async fn without_metrics(bench: &Bench, count: usize) -> Metrics {
    let (flags, _) = polling::flags(count);
    let arguments = [flags[0].as_str(), flags[1].as_str(), "--resource-metrics=0"];
    let (mut process, _) = bench.process(Program::Operator, &polling::namespace(Program::Operator, count), &arguments).await;
    tokio::time::sleep(SETTLE).await;
    Metrics::measure(bench, &mut process, 0).await
}
