//! Runs that are requested one after another, each on its own model.

use std::cell::Cell;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tabular_operator::api::{ModelRefresh, RunState};

use crate::ends::{ends_of, time};
use crate::setup::{Bench, CONCURRENCY, SERVER, manifest};

/// The interval between two requests.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// Duration of an operation.
const TAKES: Duration = Duration::from_secs(2);

/// The runs that were requested together.
pub struct Runs {
    /// The time from the request of each run to its end in the status, without the duration of its operation, in seconds.
    pub delays: Vec<f64>,
    /// Number of operations beyond one per run.
    pub surplus: usize,
}

/// Creates the models of `count` runs.
pub async fn models(bench: &Bench, prefix: &str, count: usize) {
    bench.models(prefix, count, |_| json!({"notStartedMillis": 0, "durationMillis": TAKES.as_millis()})).await;
}

/// Requests `count` runs by creating their resources, waits until all have succeeded, and deletes the resources. Sets `done` then.
pub async fn run(bench: &Bench, api: &Api<ModelRefresh>, prefix: &str, count: usize, done: &Cell<bool>) -> Runs {
    let requesting = async {
        let (mut due, mut requested) = (tokio::time::interval(INTERVAL), Vec::new());
        for index in 0..count {
            due.tick().await;
            requested.push(Timestamp::now());
            api.create(&PostParams::default(), &manifest(prefix, index)).await.expect("failed to create a resource");
        }
        requested
    };
    let named = format!("{prefix}-");
    let (requested, ends) = tokio::join!(requesting, ends_of(api, &named, count));
    done.set(true);
    let mut runs = Runs { delays: Vec::new(), surplus: 0 };
    for (index, requested) in requested.into_iter().enumerate() {
        let name = format!("{prefix}-{index}");
        let end = &ends[&name];
        assert_eq!(end.state, RunState::Succeeded, "{name}");
        let operations = bench.azure().operations(SERVER, &format!("{prefix}{index}")).await;
        let operation = operations.last().expect("a run that succeeded has an operation");
        let start = time(operation.start_time.as_deref().expect("it has started"));
        let took = time(operation.end_time.as_deref().expect("it has ended")).duration_since(start);
        runs.delays.push((end.seen.duration_since(requested) - took).as_secs_f64());
        runs.surplus += operations.len() - 1;
    }
    stream::iter(ends.keys())
        .for_each_concurrent(CONCURRENCY, |name| async move {
            api.delete(name, &DeleteParams::default()).await.expect("failed to delete a resource");
        })
        .await;
    runs
}
