//! The fault matrix: each request of a run, to the API server or to Azure, with each possible fault, in each scenario; and the invariants
//! that must hold afterwards.
//!
//! The requests are recorded in a run of the scenario without faults. Each cell has its own operator, namespace and model. `make fault-injection`
//! runs all of them and prints a table; without `FAULTS=all`, an even share runs as a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod fault;
mod fault_point;
mod fixture;
mod invariants;
mod scenario;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};

use case::{Cell, CellResult, Verdict};
use scenario::Scenario;

/// Number of cells in `make test`.
const SHARE: usize = 48;
/// Number of concurrent runs: they mostly wait.
const JOBS: usize = 24;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let only = match arguments() {
        Ok(only) => only,
        Err(nothing) => return nothing,
    };
    let whole = std::env::var("FAULTS").is_ok_and(|what| what == "all");
    let jobs = std::env::var("FAULTS_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(JOBS);
    let began = Instant::now();
    let wanted = only.as_deref().map(|only| only.split_once('/').map_or(only, |(scenario, _)| scenario));
    let scenarios: Vec<Scenario> =
        scenario::all().into_iter().filter(|scenario| wanted.is_none_or(|wanted| scenario.name.contains(wanted))).collect();
    if scenarios.is_empty() {
        return ExitCode::SUCCESS;
    }
    let clean: Vec<_> = stream::iter(scenarios.iter().copied().map(case::clean)).buffered(jobs).collect().await;
    let mut cells = Vec::new();
    let mut broken = Vec::new();
    for (scenario, points) in scenarios.iter().zip(clean) {
        match points {
            Ok(points) => cells.extend(Cell::of(*scenario, &points)),
            Err(why) => broken.push(format!("{}: without a fault: {why}", scenario.name)),
        }
    }
    let of_all = cells.len();
    match &only {
        Some(only) => cells.retain(|cell| cell.name().contains(only.as_str())),
        None if !whole => cells = evenly(cells, SHARE),
        None => {}
    }
    println!("{} of {of_all} cells, {} scenarios, {jobs} concurrent", cells.len(), scenarios.len());
    let results = run(cells, jobs).await;
    broken.extend(results.iter().filter_map(|result| match &result.verdict {
        Verdict::Failed(why) => {
            Some(format!("{}: {why}\n    repeat: make fault-injection ONLY='{}'", result.cell.name(), result.cell.name()))
        }
        Verdict::Passed | Verdict::NotMet => None,
    }));
    println!("{} s", began.elapsed().as_secs());
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} failed:", broken.len());
    for cell in &broken {
        println!("  {cell}");
    }
    ExitCode::FAILURE
}

/// Runs the cells, and prints the line of each scenario when its last cell completes, so that an interrupted run has partial results.
async fn run(cells: Vec<Cell>, jobs: usize) -> Vec<CellResult> {
    table::head();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in &cells {
        *left.entry(cell.scenario.name).or_default() += 1;
    }
    let mut results = Vec::new();
    let mut running = stream::iter(cells.into_iter().map(case::run)).buffer_unordered(jobs);
    while let Some(result) = running.next().await {
        let scenario = result.cell.scenario.name;
        if let Verdict::Failed(why) = &result.verdict {
            println!("failed: {}: {why}", result.cell.name());
        }
        results.push(result);
        let left = left.entry(scenario).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            table::scenario(scenario, &results);
        }
    }
    table::sum(&results);
    results
}

/// The filter: cells whose names contain the first argument that is not a flag of Rust's test programs.
fn arguments() -> Result<Option<String>, ExitCode> {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => return Err(ExitCode::SUCCESS),
            "--test-threads" | "--skip" | "--format" | "--color" => drop(arguments.next()),
            flag if flag.starts_with("--") => {}
            "" => {}
            _ => return Ok(Some(argument)),
        }
    }
    Ok(None)
}

/// This many cells at even distances, so that each scenario and each fault is included.
fn evenly(cells: Vec<Cell>, count: usize) -> Vec<Cell> {
    let all = cells.len();
    if all <= count {
        return cells;
    }
    let taken = |index: usize| index * count / all != (index + 1) * count / all;
    cells.into_iter().enumerate().filter(|(index, _)| taken(*index)).map(|(_, cell)| cell).collect()
}
