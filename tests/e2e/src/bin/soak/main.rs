//! Endurance: the released operator, with two replicas, on the real components for minutes or hours, while users, Azure and the cluster
//! do everything that the other tests do one at a time.
//!
//! 1. *Rehearsal*: all resources are created. Users request, change, cancel, delete and create, while each fault occurs at least once,
//!    including changes of the leader.
//! 2. *Initial level*: nothing happens until each resource is ready; then memory, descriptors, tasks, series and entries of the leader.
//! 3. *Endurance*: the same users and faults, except changes of the leader, so that the same process can be compared.
//! 4. *Final level*: as in 2., with as many resources of the same kinds. Each value must have returned to its initial level.
//!
//! At the end, the ledger must balance: the service has exactly the operations that the statuses have recorded. In each part, the order of
//! all actions and faults depends only on the seed; their number and their effects depend on the timing too. Nothing is required within a
//! time, except that the whole makes progress: a busy machine takes longer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it panics on an error, which fails it")]
#![allow(clippy::cast_precision_loss, reason = "figures for display")]

mod balance;
mod churn;
mod cluster;
mod faults;
mod fleet;
mod ledger;
mod level;
mod load;
mod picture;
mod recording;
mod replicas;
mod sample;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::caught;
use model::random::Rng;

use balance::Balance;
use churn::Churn;
use cluster::Cluster;
use faults::{Faults, Part};
use fleet::Fleet;
use ledger::Ledger;
use recording::Recording;
use replicas::Replicas;

/// Runs the released operator for a long time with users, faults and failures, and checks that nothing accumulates.
#[derive(Parser)]
struct Arguments {
    /// The whole duration in hours, such as 0.17. It is longer if each fault has not occurred once, or the machine is busy.
    #[arg(long, default_value = "8", value_parser = hours)]
    hours: Duration,
    /// Number of resources.
    #[arg(long, default_value_t = 500)]
    resources: usize,
    /// The seed of the order of actions and faults. Default: the time.
    #[arg(long)]
    seed: Option<u64>,
    /// File for all samples of both replicas, as CSV.
    #[arg(long)]
    samples: Option<PathBuf>,
    /// File for a picture of them over time, as SVG.
    #[arg(long)]
    picture: Option<PathBuf>,
}

/// The share of the duration in which the leader changes.
const REHEARSAL: f64 = 0.25;
/// The time for the final level, at the end of the duration.
const FINAL: Duration = Duration::from_secs(150);
/// The minimum time between both levels.
const ENDURANCE: Duration = Duration::from_mins(1);
/// How often another process may be measured because the leader has lost its lease, which happens on a busy machine.
const MAX_LEADERS: usize = 5;

/// Everything that runs.
struct Soak {
    began: Instant,
    seed: u64,
    cluster: Arc<Cluster>,
    replicas: Arc<Replicas>,
    ledger: Arc<Ledger>,
    recording: Recording,
    churn: Churn,
    faults: Faults,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !cfg!(target_os = "linux") {
        eprintln!("error: the endurance test reads memory and file descriptors from /proc, so it needs Linux");
        return ExitCode::FAILURE;
    }
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    let seed = arguments.seed.unwrap_or(since_epoch.as_secs());
    let minutes = arguments.hours.as_secs_f64() / 60.0;
    println!("{minutes:.0} minutes, {} resources, seed {seed}; `--seed {seed}` repeats the order", arguments.resources);
    let mut soak = Soak::start(&arguments, seed).await;
    // An exceeded limit panics: the samples and the logs show why.
    let held = caught(soak.run(arguments.hours)).await.unwrap_or(false);
    if let Some(file) = &arguments.samples {
        std::fs::write(file, soak.recording.csv()).expect("failed to write the samples");
    }
    if let Some(file) = &arguments.picture {
        std::fs::write(file, picture::svg(&soak.recording)).expect("failed to write the picture");
    }
    if !held {
        println!("\nthe last lines of the operators' logs:\n{}", soak.replicas.logs().await);
    }
    let took = soak.began.elapsed().as_secs_f64();
    let percent = 100.0 * load::cpu().as_secs_f64() / took;
    println!("\nCPU: {percent:.0} % of one core on average: the operators, the API server, the local Azure and this program");
    println!("{} after {:.1} minutes, seed {seed}", if held { "ok" } else { "FAILED" }, took / 60.0);
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Parses a number of hours.
fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text.parse().map_err(|_| "expected a number, such as 8 or 0.17".to_owned())?;
    Duration::try_from_secs_f64(hours * 3_600.0).map_err(|error| error.to_string())
}

impl Soak {
    async fn start(arguments: &Arguments, seed: u64) -> Self {
        let began = Instant::now();
        let cluster = Arc::new(Cluster::start().await);
        let fleet = Fleet::new(arguments.resources);
        fleet.put_models(&cluster).await;
        let ledger = Arc::new(Ledger::start(&cluster));
        let replicas = Arc::new(Replicas::start(&cluster).await);
        let recording = Recording::start(began, Arc::clone(&replicas));
        let churn = Churn::new(fleet, Arc::clone(&cluster), Arc::clone(&ledger));
        let (models, gate) = (churn.fleet().models(), churn.gate());
        let faults = Faults::new((began, models), Arc::clone(&cluster), Arc::clone(&replicas), gate);
        Self { began, seed, cluster, replicas, ledger, recording, churn, faults }
    }

    /// Runs all parts, and returns whether all checks hold.
    async fn run(&mut self, whole: Duration) -> bool {
        self.say("create the resources");
        self.churn.create_all().await;
        self.act(Part::Rehearsal, self.began + whole.mul_f64(REHEARSAL)).await;
        let mut until = self.began + whole.saturating_sub(FINAL);
        for _ in 0..MAX_LEADERS {
            let quiet = self.settle().await;
            let leader = self.replicas.leader().await;
            let Some(initial) = self.recording.initial_level(leader, quiet).await else { continue };
            self.say(&format!("initial level of process {}", leader.pid));
            until = until.max(Instant::now() + ENDURANCE);
            let began = Instant::now();
            self.act(Part::Endurance, until).await;
            let (took, quiet) = (began.elapsed(), self.settle().await);
            if let Some(checks) = self.recording.final_level((leader, self.churn.fleet().len()), quiet, &initial).await {
                let balance = self.balance().await;
                return self.report(&checks, &balance, took);
            }
            self.say("the leader has changed; measuring the next one");
        }
        println!("no process led long enough to be measured");
        false
    }

    /// Users and faults until this time, or until each fault of a rehearsal has occurred.
    async fn act(&mut self, part: Part, until: Instant) {
        let Self { seed, churn, faults, .. } = self;
        let (of_faults, of_users) = (part.rng(!*seed), part.rng(*seed));
        let stop = AtomicBool::new(false);
        let disturb = async {
            faults.run((part, of_faults), until).await;
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(disturb, churn.run(of_users, &stop));
    }

    /// Waits until nothing happens any more and each resource is ready. Returns since when.
    async fn settle(&mut self) -> Instant {
        self.say("wait until all resources are ready");
        self.churn.settle().await;
        self.cluster.discard_records();
        self.replicas.discard_requests();
        self.say(&format!("all resources are ready; so far {}", self.churn.counts()));
        Instant::now()
    }

    async fn balance(&self) -> Balance {
        Balance::of(&self.cluster.azure, self.churn.fleet(), &self.ledger).await
    }

    fn report(&self, checks: &[level::Check], balance: &Balance, took: Duration) -> bool {
        let exits = self.replicas.unexpected_exits();
        println!("\nusers: {}\nfaults: {}", self.churn.counts(), self.faults.counts());
        level::head(self.churn.fleet().len(), took);
        let mut held = true;
        for check in checks {
            held &= check.print();
        }
        held &= balance.print();
        for exit in &exits {
            println!("unexpected exit: {exit}");
        }
        held && exits.is_empty()
    }

    fn say(&self, what: &str) {
        println!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64());
    }
}

/// A random index below `count`.
fn index_below(rng: &mut Rng, count: usize) -> usize {
    let number = rng.below(u64::try_from(count).expect("it is small"));
    usize::try_from(number).expect("it is small")
}
