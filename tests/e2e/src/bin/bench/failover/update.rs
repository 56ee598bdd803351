//! Rolling updates while runs are requested.
//!
//! The Deployment of the chart has the default strategy of Kubernetes. With two replicas, one more pod is started, and an old pod ends when
//! the new one is ready. The pods have no preStop hook: SIGTERM ends them.

use std::cell::Cell;
use std::time::Duration;

use kube::Api;
use tabular_operator::api::ModelRefresh;

use super::LEAD;
use super::replicas::Replicas;
use super::runs::{self, Runs};
use crate::quantiles::Quantiles;
use crate::setup::{Bench, LONGEST};
use crate::table::Target::{AtMost, None as Untold};
use crate::table::{self, head, row};

/// Number of runs that are requested during an update.
const RUNS: usize = 100;
/// The expected duration of an update with its runs.
pub const DURATION: Duration = Duration::from_secs(15);

/// Replaces both replicas, the leader first, so that another old one may lead next.
pub async fn update(bench: &Bench, api: &Api<ModelRefresh>, replicas: &mut Replicas, number: u32) -> Runs {
    let prefix = format!("updated-{number}-run");
    runs::models(bench, &prefix, RUNS).await;
    let done = Cell::new(false);
    let rolling = async {
        tokio::time::sleep(LEAD).await;
        let leader = replicas.leader().await;
        let mut ending = Vec::new();
        for index in [leader, 1 - leader] {
            let old = replicas.replace(bench, index).await;
            old.operator.signal("TERM");
            ending.push(old);
        }
        for mut old in ending {
            assert_eq!(old.operator.end(LONGEST).await.code(), Some(0), "{}", old.operator.log());
        }
        replicas.keep_running_until(&done).await;
    };
    let ((), runs) = tokio::join!(rolling, runs::run(bench, api, &prefix, RUNS, &done));
    runs
}

/// Prints the figures of all updates. No run may be delayed by more than the duration of the Lease.
pub fn print(updates: &[Runs], lease: Duration, submitted_again: usize) {
    let delays: Vec<f64> = updates.iter().flat_map(|runs| runs.delays.iter().copied()).collect();
    let surplus = updates.iter().map(|runs| runs.surplus).sum::<usize>() + submitted_again;
    head(&format!("both replicas are updated, {} times", updates.len()));
    row("runs requested during the updates", delays.len() as f64, table::COUNT, Untold);
    let delay = Quantiles::of(delays);
    row("a run, without its operation, takes: p50", delay.p50, table::SECONDS, Untold);
    row("… the longest", delay.max, table::SECONDS, AtMost(lease.as_secs_f64()));
    row("operations beyond one per run", surplus as f64, table::COUNT, AtMost(0.0));
}
