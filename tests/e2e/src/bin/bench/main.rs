//! The benchmark: the cost of a run on the real components, as ratios measured in one process.
//!
//! 1. *Start*: the time until a process is ready after the API server responds, in an empty cluster, and in 4. with N resources.
//! 2. *Throughput*: N resources are created concurrently, each on its own model. Runs per second are compared with the bare writes (the
//!    resource, the finalizer, three statuses, two events) of a small concurrent client with the same account and the same watch. The
//!    operations end immediately and are polled immediately: the result excludes time spent elsewhere. A second ratio excludes the events
//!    from the bare writes, so that they count against the operator. A third uses operations of half a second at the default polling
//!    interval, where the first poll is after a second: in a small burst this dominates. Afterwards, another process has only ended runs.
//! 3. *Polling*: N running operations, each polled at a fixed interval; CPU per poll, peak memory, writes, and the delay of a due poll.
//! 4. *Takeover*: another process takes over those N during their runs. Each operation must be polled, and none submitted.
//! 5. *Metrics*: scrapes of the metrics of those N, at most the 2,000 of the default; their memory and the CPU per poll are compared with
//!    those of a process without these metrics, which has taken over the same operations.
//! 6. *Lag*: operations of 5 to 20 s at the default polling interval; the time from an end at the service to the status.
//!
//! `bench failover` measures failovers of two replicas instead.
//!
//! With `--reference`, 2. to 4. also run with a minimal operator in Go (`tests/bench/reference`), and the last table compares both.
//!
//! Targets are printed next to the figures. A missed target does not fail, because other work on the machine counts too. Memory and the
//! operator's CPU are reliable on a busy machine; the other figures are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark panics on an error")]
#![allow(clippy::cast_precision_loss, reason = "figures for display")]

mod bare;
mod burst;
mod compare;
mod ends;
mod failover;
mod figures;
mod polling;
mod program;
mod quantiles;
mod requests;
mod scrape;
mod setup;
mod start;
mod table;
mod takeover;

use clap::{Parser, Subcommand};

use figures::Figures;
use program::Program;
use setup::Bench;

/// Measures the released operator on a real API server and a local Azure.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Numbers of resources.
    #[arg(default_values_t = [200, 2000])]
    sizes: Vec<usize>,
    /// Compare with the reference operator, which is built first if necessary.
    #[arg(long)]
    reference: bool,
    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Subcommand)]
enum Instead {
    /// Measure failovers of two replicas: how long no operation is polled, and that each run has one operation.
    Failover {
        /// Number of operations that are running, each polled once per second.
        #[arg(long, default_value_t = 100)]
        operations: usize,
        /// Number of failures of each kind.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        repetitions: u32,
    },
}

#[tokio::main]
async fn main() {
    let Arguments { sizes, reference, instead } = Arguments::parse();
    println!("starting the control plane and the local Azure");
    let bench = Bench::start().await;
    if let Some(Instead::Failover { operations, repetitions }) = instead {
        return failover::measure(&bench, operations, repetitions).await;
    }
    start::figures(&bench).await;
    let mut peaks = Vec::new();
    for size in sizes {
        let ours = Figures::measure(&bench, Program::Operator, size).await;
        ours.print(size);
        peaks.push((size as f64, ours.polling.peak_mib));
        if reference {
            compare::print(size, &ours, &Figures::measure(&bench, Program::Reference, size).await);
        }
    }
    if let (Some((fewer, little)), Some((more, much))) = (peaks.first(), peaks.last())
        && fewer < more
    {
        table::head(&format!("from {fewer} to {more} resources"));
        let of_one = (much - little) * 1024.0 / (more - fewer);
        table::row("memory of an additional running resource", of_one, table::KIB, table::Target::None);
    }
}
