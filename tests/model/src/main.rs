//! `model`: explores small environments, runs random schedules of large ones, and checks that the known gaps violate their invariants.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, Subcommand};
use model::catalogue::{self, Size};
use model::explore::explore;
use model::scenario::Scenario;
use model::world::coverage;
use model::{large, random, trace};

/// Model checker of the operator: each requested run executes exactly once.
#[derive(Debug, Parser)]
struct Cli {
    /// Number of threads [default: one for each processor]
    #[arg(long, global = true)]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explore all states of the small scenarios
    Explore {
        /// Allow more faults and user actions: takes half an hour instead of minutes
        #[arg(long)]
        full: bool,
        /// Fail a scenario that is not exhausted after this number of states
        #[arg(long, default_value_t = usize::MAX)]
        max_states: usize,
        /// The scenarios [default: all]
        names: Vec<String>,
    },
    /// Check that each known gap violates its invariant
    KnownGaps {
        /// Print the trace of each violation
        #[arg(long)]
        trace: bool,
        /// The gaps [default: all]
        names: Vec<String>,
    },
    /// Run random schedules of large environments
    Random {
        /// Number of schedules [default: 3000, or one if a seed is given]
        #[arg(long)]
        count: Option<u64>,
        /// The first seed [default: 1]
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let threads = cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let passed = match cli.command {
        Command::Explore { full, max_states, names } => {
            explore_all(if full { Size::Full } else { Size::Share }, &names, threads, max_states)
        }
        Command::KnownGaps { trace, names } => check_known_gaps(&names, threads, trace),
        Command::Random { count, seed } => run_random(count, seed, threads),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_selected(names: &[String], scenario: &Scenario) -> bool {
    names.is_empty() || names.iter().any(|name| name == scenario.name)
}

/// Whether there is a scenario of each of these names; otherwise prints those that exist.
fn are_known(names: &[String], scenarios: &[&str]) -> bool {
    let unknown = names.iter().find(|name| !scenarios.contains(&name.as_str()));
    if let Some(unknown) = unknown {
        eprintln!("error: unknown scenario {unknown}; use one of: {}", scenarios.join(", "));
    }
    unknown.is_none()
}

/// A number with a comma between thousands.
fn with_commas(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn explore_all(size: Size, names: &[String], threads: usize, max_states: usize) -> bool {
    let scenarios = catalogue::scenarios(size);
    if !are_known(names, &scenarios.iter().map(|scenario| scenario.name).collect::<Vec<_>>()) {
        return false;
    }
    let start = Instant::now();
    let (mut exhausted, mut bounded, mut steps, mut passed) = ((0, 0), (0, 0), 0, true);
    println!("{:<16} {:>12} {:>13} {:>6} {:>12} {:>7}  result", "scenario", "states", "steps", "depth", "quiescent", "s");
    for mut scenario in scenarios.into_iter().filter(|scenario| is_selected(names, scenario)) {
        let declared = scenario.max_states;
        scenario.max_states = Some(declared.unwrap_or(max_states));
        let (scenario, clock) = (Arc::new(scenario), Instant::now());
        let found = explore(&scenario, threads);
        let total = match (&found.violation, found.exhausted) {
            (Some(_), _) => None,
            (None, true) => Some(&mut exhausted),
            (None, false) => declared.map(|_| &mut bounded),
        };
        let result = match (&found.violation, found.exhausted, declared) {
            (Some((_, violation)), _, _) => format!("VIOLATED: {}", violation.invariant),
            (None, true, _) => "exhausted, all invariants hold".to_owned(),
            (None, false, Some(bound)) => format!("bounded at {}, all invariants hold up to there", with_commas(bound)),
            (None, false, None) => format!("NOT EXHAUSTED: more than {} states", with_commas(max_states)),
        };
        println!(
            "{:<16} {:>12} {:>13} {:>6} {:>12} {:>7.1}  {result}",
            scenario.name,
            with_commas(found.states),
            with_commas(found.steps),
            found.depth,
            with_commas(found.quiescent_states),
            clock.elapsed().as_secs_f64()
        );
        passed &= total.is_some();
        if let Some((scenarios, states)) = total {
            (*scenarios, *states) = (*scenarios + 1, *states + found.states);
        }
        steps += found.steps;
        if let Some((actions, violation)) = &found.violation {
            println!("\n{}", trace::render(&scenario, actions, violation));
            return false;
        }
    }
    println!(
        "{} scenarios exhausted ({} states), {} bounded ({} states); {} steps, {:.0} s",
        exhausted.0,
        with_commas(exhausted.1),
        bounded.0,
        with_commas(bounded.1),
        with_commas(steps),
        start.elapsed().as_secs_f64()
    );
    let is_covered = print_coverage();
    passed && (is_covered || !names.is_empty())
}

/// Prints which pairs of a stage and a response are not covered. Returns whether all are.
fn print_coverage() -> bool {
    let (pairs, missing) = coverage::missing();
    println!("{} of {pairs} pairs of a stage of the machine and a response covered", pairs - missing.len());
    if !missing.is_empty() {
        println!("not covered: {}", missing.join(", "));
    }
    missing.is_empty()
}

fn check_known_gaps(names: &[String], threads: usize, with_trace: bool) -> bool {
    let known_gaps = catalogue::known_gaps();
    if !are_known(names, &known_gaps.iter().map(|(scenario, _)| scenario.name).collect::<Vec<_>>()) {
        return false;
    }
    let mut passed = true;
    for (scenario, invariant) in known_gaps.into_iter().filter(|(scenario, _)| is_selected(names, scenario)) {
        let scenario = Arc::new(scenario);
        let found = explore(&scenario, threads);
        let is_expected = found.violation.as_ref().is_some_and(|(_, violation)| violation.invariant == invariant);
        let result = match &found.violation {
            Some(_) if is_expected => format!("violates, as expected: {invariant}"),
            Some((_, violation)) => format!("violates another invariant than \"{invariant}\": {violation}"),
            None => format!("does not violate \"{invariant}\" within {} states", with_commas(found.states)),
        };
        println!("{:<18} {result}", scenario.name);
        passed &= is_expected;
        if let Some((actions, violation)) = found.violation.as_ref().filter(|_| with_trace || !is_expected) {
            println!("\n{}", trace::render(&scenario, actions, violation));
        }
    }
    passed
}

fn run_random(count: Option<u64>, seed: Option<u64>, threads: usize) -> bool {
    let clock = Instant::now();
    let (first, count) = (seed.unwrap_or(1), count.unwrap_or(if seed.is_some() { 1 } else { 3_000 }));
    let summary = random::run_many(&large::large, first, count, threads);
    println!(
        "{} random schedules, {} steps, {:.0} s",
        with_commas(usize::try_from(summary.schedules).unwrap_or(usize::MAX)),
        with_commas(summary.steps),
        clock.elapsed().as_secs_f64()
    );
    print_coverage();
    let Some(seed) = summary.violation else { return true };
    let schedule = random::run(&large::large, seed);
    if let Err(violation) = &schedule.outcome {
        println!(
            "\n{}\nRun this schedule again: make model-check SEED={seed}",
            trace::render(&schedule.scenario, &schedule.actions, violation)
        );
    }
    false
}
