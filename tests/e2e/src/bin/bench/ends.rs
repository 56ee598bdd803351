//! The ends of runs as a watch shows them, and their lag behind the ends at the service.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tabular_operator::api::{ModelRefresh, RunState};

use crate::program::Program;
use crate::quantiles::Quantiles;
use crate::setup::{Bench, CONCURRENCY, LONGEST, SERVER};

/// An end, and the time at which the watch showed it.
pub struct End {
    pub state: RunState,
    pub seen: Timestamp,
}

/// Waits until `count` resources have ended.
pub async fn ends(api: &Api<ModelRefresh>, count: usize) -> HashMap<String, End> {
    ends_of(api, "", count).await
}

/// Waits until `count` resources whose names have this prefix have ended.
pub async fn ends_of(api: &Api<ModelRefresh>, prefix: &str, count: usize) -> HashMap<String, End> {
    let mut ends = HashMap::new();
    let mut changes = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    let deadline = tokio::time::Instant::now() + LONGEST;
    while ends.len() < count {
        let change = tokio::time::timeout_at(deadline, changes.try_next()).await;
        let change =
            change.unwrap_or_else(|_| panic!("{} of {count} runs have ended within {LONGEST:?}: see the operator's log", ends.len()));
        let object = change.expect("failed to watch").expect("a watch does not end");
        let Some(state) = object.status.as_ref().and_then(|status| status.run.as_ref()).map(|run| run.state).filter(|state| state.ended())
        else {
            continue;
        };
        let name = object.name_any();
        if name.starts_with(prefix) {
            ends.entry(name).or_insert_with(|| End { state, seen: Timestamp::now() });
        }
    }
    ends
}

/// The lag of observed ends.
pub struct Lag {
    /// In seconds.
    pub seconds: Quantiles,
    /// Relative to the duration of the operation, in percent.
    pub percent: Quantiles,
}

/// The lag of `count` operations of 5 to 20 s, at the default polling interval.
pub async fn lag(bench: &Bench, count: usize) -> Lag {
    let name = &format!("ends-{count}");
    let api = bench.namespace(name).await;
    bench.models(name, count, |index| json!({"notStartedMillis": 0, "durationMillis": 5_000 + 15_000 * index / count})).await;
    let _operator = bench.process(Program::Operator, name, &[]).await;
    let (ends, ()) = tokio::join!(ends(&api, count), bench.create(&api, name, count));
    let azure = bench.azure();
    let operations = stream::iter(0..count).map(|index| {
        let (azure, known) = (azure.clone(), ends[&format!("{name}-{index}")].seen);
        async move {
            let operations = azure.operations(SERVER, &format!("{name}{index}")).await;
            let operation = operations.first().expect("each resource has an operation");
            let start = time(operation.start_time.as_deref().expect("it has started"));
            let end = time(operation.end_time.as_deref().expect("it has ended"));
            let lag = known.duration_since(end).as_secs_f64();
            (lag, lag * 100.0 / end.duration_since(start).as_secs_f64())
        }
    });
    let (seconds, percent) = operations.buffer_unordered(CONCURRENCY).unzip::<_, _, Vec<_>, Vec<_>>().await;
    Lag { seconds: Quantiles::of(seconds), percent: Quantiles::of(percent) }
}

/// A timestamp of the simulator.
pub fn time(text: &str) -> Timestamp {
    text.parse().expect("the simulator returns timestamps")
}
