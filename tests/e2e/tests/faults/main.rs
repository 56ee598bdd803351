//! The fault matrix: each request of a run, to the API server or to Azure, with each possible fault, in each scenario; and the invariants
//! that must hold afterwards.
//!
//! The requests are recorded in a run of the scenario without faults. Each case has its own operator, namespace and model. `make fault-injection`
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

use case::{Case, CaseResult, CaseStatus};
use scenario::Scenario;

/// Number of cases in `make test`.
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
    let mut cases = Vec::new();
    let mut broken = Vec::new();
    for (scenario, points) in scenarios.iter().zip(clean) {
        match points {
            Ok(points) => cases.extend(Case::of(*scenario, &points)),
            Err(why) => broken.push(format!("{}: without a fault: {why}", scenario.name)),
        }
    }
    let of_all = cases.len();
    match &only {
        Some(only) => cases.retain(|case| case.name().contains(only.as_str())),
        None if !whole => cases = evenly(cases, SHARE),
        None => {}
    }
    println!("{} of {of_all} cases, {} scenarios, {jobs} concurrent", cases.len(), scenarios.len());
    let results = run(cases, jobs).await;
    broken.extend(results.iter().filter_map(|result| match &result.status {
        CaseStatus::Failed(why) => {
            Some(format!("{}: {why}\n    repeat: make fault-injection ONLY='{}'", result.case.name(), result.case.name()))
        }
        CaseStatus::Passed | CaseStatus::NotReached => None,
    }));
    println!("{} s", began.elapsed().as_secs());
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} failed:", broken.len());
    for case in &broken {
        println!("  {case}");
    }
    ExitCode::FAILURE
}

/// Runs the cases, and prints the line of each scenario when its last case completes, so that an interrupted run has partial results.
async fn run(cases: Vec<Case>, jobs: usize) -> Vec<CaseResult> {
    table::head();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *left.entry(case.scenario.name).or_default() += 1;
    }
    let mut results = Vec::new();
    let mut running = stream::iter(cases.into_iter().map(case::run)).buffer_unordered(jobs);
    while let Some(result) = running.next().await {
        let scenario = result.case.scenario.name;
        if let CaseStatus::Failed(why) = &result.status {
            println!("failed: {}: {why}", result.case.name());
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

/// The filter: cases whose names contain the first argument that is not a flag of Rust's test programs.
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

/// This many cases at even distances, so that each scenario and each fault is included.
fn evenly(cases: Vec<Case>, count: usize) -> Vec<Case> {
    let all = cases.len();
    if all <= count {
        return cases;
    }
    let taken = |index: usize| index * count / all != (index + 1) * count / all;
    cases.into_iter().enumerate().filter(|(index, _)| taken(*index)).map(|(_, case)| case).collect()
}
