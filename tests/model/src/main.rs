//! `prove`: explores the small worlds, plays random schedules of large ones, and shows what the promise does not cover.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, Subcommand};
use model::catalogue::{self, Size};
use model::explore::explore;
use model::scenario::Scenario;
use model::world::coverage;
use model::{large, story, walk};

/// Proves on the real decision that what is asked for runs exactly once.
#[derive(Debug, Parser)]
struct Cli {
    /// How many threads [default: one for each processor]
    #[arg(long, global = true)]
    threads: Option<usize>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Look into every state of the small worlds
    Explore {
        /// With more of everything that goes wrong: half an hour instead of a minute
        #[arg(long)]
        full: bool,
        /// Give up, in red, a scenario that is to be exhausted and is not after so many states
        #[arg(long, default_value_t = usize::MAX)]
        most: usize,
        /// The scenarios [default: all]
        names: Vec<String>,
    },
    /// See that a law is broken where the promise does not cover it, or where a rule that it rests on is left out
    Gaps {
        /// Tell each story
        #[arg(long)]
        tell: bool,
        /// The gaps [default: all]
        names: Vec<String>,
    },
    /// Play random schedules of large worlds
    Walk {
        /// How many [default: 3000, or the one schedule of a seed]
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
    let proven = match cli.what {
        What::Explore { full, most, names } => explore_all(if full { Size::Full } else { Size::Share }, &names, threads, most),
        What::Gaps { tell, names } => show_gaps(&names, threads, tell),
        What::Walk { count, seed } => walk_all(count, seed, threads),
    };
    if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_asked(names: &[String], scenario: &Scenario) -> bool {
    names.is_empty() || names.iter().any(|name| name == scenario.name)
}

/// A number with its thousands apart.
fn counted(count: usize) -> String {
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

fn explore_all(size: Size, names: &[String], threads: usize, most: usize) -> bool {
    let began = Instant::now();
    let (mut exhausted, mut bounded, mut steps, mut fine) = ((0, 0), (0, 0), 0, true);
    println!("{:<16} {:>12} {:>13} {:>6} {:>12} {:>7}  verdict", "scenario", "states", "steps", "depth", "quiet", "s");
    for mut scenario in catalogue::scenarios(size).into_iter().filter(|scenario| is_asked(names, scenario)) {
        let declared = scenario.bound;
        scenario.bound = Some(declared.unwrap_or(most));
        let (scenario, clock) = (Arc::new(scenario), Instant::now());
        let found = explore(&scenario, threads);
        let of = match (&found.broken, found.exhausted) {
            (Some(_), _) => None,
            (None, true) => Some(&mut exhausted),
            (None, false) => declared.map(|_| &mut bounded),
        };
        let verdict = match (&found.broken, found.exhausted, declared) {
            (Some((_, broken)), _, _) => format!("BROKEN: {}", broken.law),
            (None, true, _) => "every state, every law holds".to_owned(),
            (None, false, Some(bound)) => format!("bounded at {}: as far as that, every law holds", counted(bound)),
            (None, false, None) => format!("NOT EXHAUSTED: there are more than {} states", counted(most)),
        };
        println!(
            "{:<16} {:>12} {:>13} {:>6} {:>12} {:>7.1}  {verdict}",
            scenario.name,
            counted(found.states),
            counted(found.steps),
            found.depth,
            counted(found.calm),
            clock.elapsed().as_secs_f64()
        );
        fine &= of.is_some();
        if let Some((scenarios, states)) = of {
            (*scenarios, *states) = (*scenarios + 1, *states + found.states);
        }
        steps += found.steps;
        if let Some((actions, broken)) = &found.broken {
            println!("\n{}", story::tell(&scenario, actions, broken));
            return false;
        }
    }
    println!(
        "{} scenarios exhausted ({} states), {} bounded ({} states); {} steps, {:.0} s",
        exhausted.0,
        counted(exhausted.1),
        bounded.0,
        counted(bounded.1),
        counted(steps),
        began.elapsed().as_secs_f64()
    );
    let is_covered = covers_all();
    fine && exhausted.0 + bounded.0 > 0 && (is_covered || !names.is_empty())
}

/// Whether the machine has received each response at each stage that it may.
fn covers_all() -> bool {
    let (pairs, missing) = coverage::missing();
    println!("{} of {pairs} pairs of a stage of the machine and a response covered", pairs - missing.len());
    if !missing.is_empty() {
        println!("not covered: {}", missing.join(", "));
    }
    missing.is_empty()
}

fn show_gaps(names: &[String], threads: usize, tell: bool) -> bool {
    let mut as_known = true;
    for (scenario, law) in catalogue::gaps().into_iter().filter(|(scenario, _)| is_asked(names, scenario)) {
        let scenario = Arc::new(scenario);
        let found = explore(&scenario, threads);
        let said = match &found.broken {
            Some((_, broken)) if broken.law == law => format!("breaks, as it must: {law}"),
            Some((_, broken)) => format!("breaks another law than \"{law}\": {broken}"),
            None => format!("does not break \"{law}\", after {} states", counted(found.states)),
        };
        println!("{:<18} {said}", scenario.name);
        as_known &= found.broken.as_ref().is_some_and(|(_, broken)| broken.law == law);
        if let Some((actions, broken)) = found.broken.as_ref().filter(|(_, broken)| tell || broken.law != law) {
            println!("\n{}", story::tell(&scenario, actions, broken));
        }
    }
    as_known
}

fn walk_all(count: Option<u64>, seed: Option<u64>, threads: usize) -> bool {
    let clock = Instant::now();
    let (first, count) = (seed.unwrap_or(1), count.unwrap_or(if seed.is_some() { 1 } else { 3_000 }));
    let walked = walk::walk_many(&large::large, first, count, threads);
    println!(
        "{} random schedules, {} steps, {:.0} s",
        counted(usize::try_from(walked.schedules).unwrap_or(usize::MAX)),
        counted(walked.steps),
        clock.elapsed().as_secs_f64()
    );
    covers_all();
    let Some(broken) = walked.broken else { return true };
    let walk = walk::walk(&large::large, broken);
    if let Err(law) = &walk.outcome {
        println!("\n{}\nIt is seed {broken}: make model-check SEED={broken}", story::tell(&walk.scenario, &walk.actions, law));
    }
    false
}
