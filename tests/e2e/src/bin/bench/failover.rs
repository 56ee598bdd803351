//! Failovers: two replicas with the default settings of the Lease, of which the leader fails.
//!
//! N operations are running, each polled once per second. The leader is killed, frozen, disconnected from the API server, or drained. The
//! figures are the time in which no operation is polled, next to what the settings of the Lease allow, and the number of runs with two
//! operations. Runs are requested before and during each failure, so that a failure interrupts submissions at different points. The
//! failures are spread evenly over the interval between two renewals of the Lease. Each replica has its own connection to the API server,
//! and a name at the local Azure, whose ledger has the time and the sender of each poll.
//!
//! The last part replaces both replicas like a rolling update of the Deployment ([`update`]).

mod failure;
mod replicas;
mod runs;
mod update;

use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use e2e::{Row, SimulatorClient};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use tabular_operator::api::ModelRefresh;
use tabular_operator::controller::lease::LeaseSettings;

use crate::ends::time;
use crate::quantiles::Quantiles;
use crate::setup::{Bench, CONCURRENCY, LONGEST, SERVER};
use crate::table::Target::{AtMost, None as Untold};
use crate::table::{self, head, row};
use failure::Failure;
use replicas::Replicas;
use runs::Runs;

/// The namespace of the resources, the name of the Lease, and the prefix of the operations that are running all the time.
const NAMESPACE: &str = "failover";
/// How much longer than the settings allow a failover may take: for the requests of the next leader, on a busy machine.
const ALLOWANCE: Duration = Duration::from_secs(2);
/// Number of runs that are requested around a failure.
const RUNS: usize = 20;
/// How long before the failure the first of them is requested.
const LEAD: Duration = Duration::from_secs(1);
/// How long the ends of these runs and the start of the next replica take, for the printed estimate.
const SETTLE: Duration = Duration::from_secs(5);

/// The figures of one failover.
struct Failover {
    /// Seconds in which no operation was polled.
    gap: f64,
    /// Seconds from the failure until all operations were polled again.
    all_polled: f64,
    runs: Runs,
    /// Requests of the former leader after the next one has polled all operations.
    late_requests: usize,
    /// Processes that exited for another reason.
    exits: usize,
}

/// Measures `repetitions` failures of each kind, with this number of running operations.
pub async fn measure(bench: &Bench, operations: usize, repetitions: u32) {
    let began = Instant::now();
    let api = bench.namespace(NAMESPACE).await;
    bench.models(NAMESPACE, operations, |_| json!({"notStartedMillis": 0, "durationMillis": 24 * 3_600_000})).await;
    let mut replicas = Replicas::start(bench).await;
    bench.create(&api, NAMESPACE, operations).await;
    let azure = bench.azure();
    let all = async || (azure.count("POST", "refreshes").await >= operations as u64).then_some(());
    e2e::within(LONGEST, "all operations to run", all).await;
    let lease = replicas.lease_settings().await;
    println!(
        "the Lease: {:?}, renewed every {:?}; its holder stops {:?} after the last renewal, and a standby reads it every {:?}",
        lease.duration,
        lease.renew_interval(),
        lease.renew_deadline(),
        lease.retry_period()
    );
    let updates = repetitions.div_ceil(4);
    let minutes = (estimate(&lease, repetitions) + update::DURATION * updates).as_secs().div_ceil(60);
    println!("{repetitions} failures of each kind and {updates} updates take about {minutes} minutes");

    for failure in Failure::ALL {
        let mut failovers = Vec::new();
        for number in 0..repetitions {
            let failover = failover(bench, &api, &mut replicas, &lease, (failure, number, repetitions), operations).await;
            println!("{} {} of {repetitions}: no poll for {:.2} s", failure.name(), number + 1, failover.gap);
            failovers.push(failover);
        }
        print(failure, &lease, &failovers, submitted_again(bench, operations).await);
    }
    let mut runs_of_updates = Vec::new();
    for number in 0..updates {
        runs_of_updates.push(update::update(bench, &api, &mut replicas, number).await);
        println!("updated {} of {updates}", number + 1);
    }
    update::print(&runs_of_updates, lease.duration, submitted_again(bench, operations).await);
    println!("\nmeasured in {} minutes", began.elapsed().as_secs().div_ceil(60));
}

/// The expected duration of the failures.
fn estimate(lease: &LeaseSettings, repetitions: u32) -> Duration {
    let each = |failure: Failure| LEAD + lease.renew_interval() / 2 + failure.takes(lease) + SETTLE;
    Failure::ALL.into_iter().map(each).sum::<Duration>() * repetitions
}

/// One failure of the leader, until the replica has restarted.
async fn failover(
    bench: &Bench,
    api: &Api<ModelRefresh>,
    replicas: &mut Replicas,
    lease: &LeaseSettings,
    (failure, number, repetitions): (Failure, u32, u32),
    operations: usize,
) -> Failover {
    let prefix = format!("{}-{number}-run", failure.name());
    runs::models(bench, &prefix, RUNS).await;
    let part = f64::from(number) / f64::from(repetitions);
    replicas.until_after_renewal(lease.renew_interval(), lease.renew_interval().mul_f64(part), LEAD).await;
    let mut requests = Requests::from_now(bench).await;
    let done = Cell::new(false);
    let failing = async {
        let (leader, standby) = replicas.by_role().await;
        // A run is at another point at each failure.
        tokio::time::sleep(LEAD + runs::INTERVAL.mul_f64(part)).await;
        let failed = Timestamp::now();
        failure.begin(leader);
        e2e::within(LONGEST, "the other replica to poll all operations", async || {
            standby.keep_running();
            requests.read().await;
            let polled: HashSet<&str> = requests.polls(&standby.name).filter_map(|row| row.database.as_deref()).collect();
            (polled.len() == operations).then_some(())
        })
        .await;
        let last = requests.polls(&leader.name).last().map_or(failed, |row| time(&row.time));
        let first = requests.polls(&standby.name).next().map_or(last, |row| time(&row.time));
        let all_polled = Timestamp::now().duration_since(failed).as_secs_f64();
        let (seen, written) = (requests.last(), leader.writes());
        failure.end(leader).await;
        requests.read().await;
        let late = requests.rows.iter().filter(|row| row.sequence > seen && row.proxy_user.as_ref() == Some(&leader.name));
        let late_requests = late.count() + leader.writes() - written;
        leader.restart().await;
        replicas.keep_running_until(&done).await;
        (first.duration_since(last).as_secs_f64().max(0.0), all_polled, late_requests)
    };
    let ((gap, all_polled, late_requests), runs) = tokio::join!(failing, runs::run(bench, api, &prefix, RUNS, &done));
    Failover { gap, all_polled, runs, late_requests, exits: replicas.take_exits() }
}

/// The requests to the local Azure since a time.
struct Requests {
    azure: SimulatorClient,
    rows: Vec<Row>,
}

impl Requests {
    async fn from_now(bench: &Bench) -> Self {
        let azure = bench.azure();
        azure.clear_ledger().await;
        Self { azure, rows: Vec::new() }
    }

    /// Reads those that have arrived meanwhile.
    async fn read(&mut self) {
        self.rows.extend(self.azure.ledger_after(self.last()).await);
    }

    /// The number of the last one.
    fn last(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.sequence)
    }

    /// The polls of the running operations by a replica.
    fn polls<'a>(&'a self, replica: &'a str) -> impl Iterator<Item = &'a Row> {
        let running = |row: &&Row| row.route == "refresh" && row.database.as_ref().is_some_and(|database| database.starts_with(NAMESPACE));
        self.rows.iter().filter(running).filter(move |row| row.proxy_user.as_deref() == Some(replica))
    }
}

/// How many of the running operations were submitted again.
async fn submitted_again(bench: &Bench, operations: usize) -> usize {
    let each = stream::iter(0..operations).map(|index| {
        let azure = bench.azure();
        async move { azure.operations(SERVER, &format!("{NAMESPACE}{index}")).await.len() - 1 }
    });
    each.buffer_unordered(CONCURRENCY).fold(0, |sum, more| async move { sum + more }).await
}

fn print(failure: Failure, lease: &LeaseSettings, failovers: &[Failover], submitted_again: usize) {
    let each = |figure: fn(&Failover) -> f64| Quantiles::of(failovers.iter().map(figure).collect());
    let sum = |figure: fn(&Failover) -> usize| failovers.iter().map(figure).sum::<usize>() as f64;
    let (gap, all_polled, allowed) = (each(|of| of.gap), each(|of| of.all_polled), failure.allowed(lease));
    head(&format!("the leader is {}, {} times", failure.name(), failovers.len()));
    row("no operation is polled for: p50", gap.p50, table::SECONDS, Untold);
    row("… the longest", gap.max, table::SECONDS, AtMost((allowed + ALLOWANCE).as_secs_f64()));
    row("… allowed by the settings of the Lease and of the polls", allowed.as_secs_f64(), table::SECONDS, Untold);
    row("all operations polled again after the failure: p50", all_polled.p50, table::SECONDS, Untold);
    row("… the longest", all_polled.max, table::SECONDS, Untold);
    row("runs requested around the failures", sum(|of| of.runs.delays.len()), table::COUNT, Untold);
    row("operations beyond one per run", sum(|of| of.runs.surplus) + submitted_again as f64, table::COUNT, AtMost(0.0));
    row("requests of the former leader after the failover", sum(|of| of.late_requests), table::COUNT, AtMost(0.0));
    row("processes that exited for another reason", sum(|of| of.exits), table::COUNT, AtMost(0.0));
    println!();
}
