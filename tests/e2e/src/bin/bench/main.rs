//! The benchmark: the cost of a run on the real components, as ratios measured in one process.
//!
//! 1. *Start*: the time until a process is ready after the API server responds, in an empty cluster, and in 4. with N resources.
//! 2. *Throughput*: N resources are created concurrently, each on its own model. Runs per second are compared with the bare writes (the
//!    resource, the finalizer, three statuses, two events) of a small concurrent client with the same account and the same watch. The
//!    operations end immediately and are polled immediately: the result excludes time spent elsewhere. A second ratio excludes the events
//!    from the bare writes, so that they count against the operator. A third uses operations of half a second at the default polling
//!    interval, where the first poll is after a second: in a small burst this dominates.
//! 3. *Polling*: N running operations, each polled once per second; CPU per poll, and peak memory.
//! 4. *Restart*: another process takes over those N during their runs.
//! 5. *Metrics*: scrapes of the metrics of those N, at most the 2,000 of the default, and their memory compared with a process without them.
//! 6. *Lag*: operations of 5 to 20 s at the default polling interval; the time from an end at the service to the status.
//!
//! Targets are printed next to the figures. A missed target does not fail, because other work on the machine counts too. Memory and the
//! operator's CPU are reliable on a busy machine; the other figures are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark panics on an error")]
#![allow(clippy::cast_precision_loss, reason = "figures for display")]

mod bare;
mod scrape;
mod start;
mod table;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use e2e::{Operator, OperatorSettings, TestEnvironment, Usage, kubeconfig, rbac};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tabular_operator::api::{ModelRefresh, RunState};

use table::Target::{AtLeast, AtMost, None as Untold};
use table::{head, row};

const SERVER: &str = "asazure://westus.asazure.windows.net/bench";
const TENANT: &str = "72f988bf-0000-4000-8000-0000000000bb";
const CLIENT: &str = "11111111-0000-4000-8000-0000000000bb";
/// Number of concurrent requests of the benchmark itself.
const CONCURRENCY: usize = 64;
/// Maximum duration of any step, also on a busy machine: beyond it the operator has exited.
const LONGEST: Duration = Duration::from_mins(15);
/// Number of processes started for the start-up times.
const STARTS: usize = 11;
/// Duration of the measurement of polls, and of the wait before it.
const POLLING: Duration = Duration::from_secs(15);
/// Memory limit in MiB, and the number of running resources.
const MEMORY: (f64, usize) = (32.0, 1000);
/// The default of `--resource-metrics`.
const RESOURCE_METRICS: usize = 2000;

#[tokio::main]
async fn main() {
    let sizes: Vec<usize> = match std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<Vec<usize>, _>>() {
        Ok(sizes) if sizes.is_empty() => vec![200, 2000],
        Ok(sizes) => sizes,
        Err(error) => {
            eprintln!("error: {error}: specify numbers of resources, such as 200 2000");
            std::process::exit(2);
        }
    };
    println!("starting the control plane and the local Azure");
    let bench = Bench::start().await;
    bench.starts().await;
    let mut peaks = Vec::new();
    for size in sizes {
        peaks.push((size as f64, bench.figures(size).await));
    }
    if let (Some((fewer, little)), Some((more, much))) = (peaks.first(), peaks.last())
        && fewer < more
    {
        head(&format!("from {fewer} to {more} resources"));
        row("memory of an additional running resource", (much - little) * 1024.0 / (more - fewer), table::KIB, Untold);
    }
    bench.lag(100).await;
}

struct Bench {
    environment: &'static TestEnvironment,
    client: Client,
    /// A client with the operator's account.
    account: Client,
    settings: OperatorSettings,
}

struct Throughput {
    per_second: f64,
    cpu_per_run: Duration,
    peak_mib: f64,
}

struct Polling {
    polls: u64,
    cpu_per_poll: Duration,
    peak_mib: f64,
    restarted: start::Ready,
    restarted_mib: f64,
    scrapes: scrape::Scrapes,
    without_metrics_mib: f64,
}

impl Bench {
    async fn start() -> Self {
        let environment = TestEnvironment::get();
        let client = environment.client().await;
        environment.simulator.client().put_application(TENANT, CLIENT, "secret").await;
        let token = rbac::account(&client, "bench", "bench", rbac::ROLE, true).await;
        let file = environment.directory().join("bench.kubeconfig");
        kubeconfig::write(&file, &environment.endpoint(), &token, rbac::OPERATORS);
        let account = kubeconfig::client(&file).await;
        let settings = OperatorSettings {
            kubeconfig: file,
            proxy: environment.simulator.proxy().to_owned(),
            authority: environment.simulator.authority().to_owned(),
            arguments: Vec::new(),
            environment: vec![],
            log: environment.directory().join("bench.log"),
            pod: None,
        };
        Self { environment, client, account, settings }
    }

    /// Creates a namespace for each part, with the Secret.
    async fn namespace(&self, name: &str) -> Api<ModelRefresh> {
        rbac::make::<Namespace>(&Api::all(self.client.clone()), json!({"metadata": {"name": name}})).await;
        let secret = json!({"metadata": {"name": "sp"}, "stringData": {"tenantId": TENANT, "clientId": CLIENT, "clientSecret": "secret"}});
        rbac::make::<k8s_openapi::api::core::v1::Secret>(&Api::namespaced(self.client.clone(), name), secret).await;
        Api::namespaced(self.client.clone(), name)
    }

    fn settings(&self, namespace: &str, arguments: &[&str]) -> OperatorSettings {
        let mut settings = self.settings.clone();
        settings.arguments = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={}", rbac::OPERATORS),
            format!("--lease-name={namespace}"),
        ];
        settings.arguments.extend(arguments.iter().map(ToString::to_string));
        settings
    }

    async fn operator(&self, namespace: &str, arguments: &[&str]) -> Operator {
        start::ready(&self.settings(namespace, arguments), self.environment).await.0
    }

    /// Creates a model for each of `count` resources.
    async fn models(&self, prefix: &str, count: usize, settings: impl Fn(usize) -> Value) {
        let azure = self.environment.simulator.client();
        stream::iter(0..count)
            .for_each_concurrent(CONCURRENCY, |index| {
                let mut model = settings(index);
                model["server"] = json!(SERVER);
                model["database"] = json!(format!("{prefix}{index}"));
                let azure = azure.clone();
                async move { azure.put_model(model).await }
            })
            .await;
    }

    async fn create(&self, api: &Api<ModelRefresh>, prefix: &str, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(CONCURRENCY, |index| async move {
                api.create(&PostParams::default(), &manifest(prefix, index)).await.expect("failed to create a resource");
            })
            .await;
    }

    /// The figures that do not depend on the number of resources.
    async fn starts(&self) {
        self.namespace("starts").await;
        let (mut of_start, mut of_response) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let (mut operator, ready) = start::ready(&self.settings("starts", &[]), self.environment).await;
            of_start.push(milliseconds(ready.since_start));
            of_response.push(milliseconds(ready.since_response));
            operator.terminate().await;
        }
        of_start.sort_by(f64::total_cmp);
        of_response.sort_by(f64::total_cmp);
        let binary = e2e::paths::operator().metadata().expect("the binary exists").len();
        head("the program");
        row("size", binary as f64 / 1e6, table::MB, AtMost(15.0));
        row("ready after the API server's first response: p50", of_response[STARTS / 2], table::MILLISECONDS, AtMost(100.0));
        row("… the longest", of_response[STARTS - 1], table::MILLISECONDS, Untold);
        row("ready after the start of the program: p50", of_start[STARTS / 2], table::MILLISECONDS, Untold);
        row("… the longest", of_start[STARTS - 1], table::MILLISECONDS, Untold);
    }

    /// All figures for `count` resources; returns the peak memory in MiB while all of them run.
    async fn figures(&self, count: usize) -> f64 {
        let bare = self.bare(count, true).await;
        let throughput = self.throughput("runs", count, 0, &["--poll-min=10ms"]).await;
        let eventless = self.bare(count, false).await;
        let paced = self.throughput("paced", count, 500, &[]).await;
        let polling = self.polling(count).await;
        let memory = if count <= MEMORY.1 { AtMost(MEMORY.0) } else { Untold };
        head(&format!("{count} resources"));
        row("whole runs", throughput.per_second, table::PER_SECOND, Untold);
        row("… relative to the bare writes", throughput.per_second / bare, table::RATIO, AtLeast(0.8));
        row("… relative to the bare writes without events", throughput.per_second / eventless, table::RATIO, Untold);
        row("… at the default polling interval, first poll after 1 s", paced.per_second / bare, table::RATIO, Untold);
        row("CPU of the operator per run", milliseconds(throughput.cpu_per_run), table::CPU, Untold);
        row("CPU of the operator per poll", milliseconds(polling.cpu_per_poll), table::CPU, AtMost(0.15));
        row(&format!("polls per second, of {count} due"), polling.polls as f64 / POLLING.as_secs_f64(), table::PER_SECOND, Untold);
        row("peak memory while all of them run once", throughput.peak_mib, table::MIB, memory);
        row("peak memory while all of them are running", polling.peak_mib, table::MIB, memory);
        let restarted = milliseconds(polling.restarted.since_response);
        row("another process, ready after the API server's first response", restarted, table::MILLISECONDS, Untold);
        row("… and its peak memory", polling.restarted_mib, table::MIB, memory);
        row("a scrape of its metrics: the longest", milliseconds(polling.scrapes.longest), table::MILLISECONDS, AtMost(100.0));
        row("… its size", polling.scrapes.bytes as f64 / 1e6, table::MB, Untold);
        let metrics_mib = polling.scrapes.resident_mib - polling.without_metrics_mib;
        row("memory of the metrics of single resources", metrics_mib, table::MIB, AtMost(1.5));
        polling.peak_mib
    }

    /// Runs per second of the bare writes.
    async fn bare(&self, count: usize, with_events: bool) -> f64 {
        let name = format!("{}-{count}", if with_events { "bare" } else { "eventless" });
        let api = self.namespace(&name).await;
        let writers = bare::Writers {
            resources: api.clone(),
            records: Api::namespaced(self.account.clone(), &name),
            events: with_events.then(|| Api::namespaced(self.account.clone(), &name)),
        };
        let began = Instant::now();
        // Watched like the operator's resources: a watch costs the API server time with each write.
        tokio::join!(ends(&api, count), bare::runs(&writers, &name, count, CONCURRENCY));
        count as f64 / began.elapsed().as_secs_f64()
    }

    /// Runs with operations of this duration in milliseconds.
    async fn throughput(&self, prefix: &str, count: usize, takes_millis: u64, arguments: &[&str]) -> Throughput {
        let name = format!("{prefix}-{count}");
        let api = self.namespace(&name).await;
        self.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": takes_millis})).await;
        let operator = self.operator(&name, arguments).await;
        let before = Usage::of(operator.pid());
        let began = Instant::now();
        let (ends, ()) = tokio::join!(ends(&api, count), self.create(&api, &name, count));
        let took = began.elapsed();
        let wrong = ends.values().filter(|end| end.state != RunState::Succeeded).count();
        assert_eq!(wrong, 0, "runs that did not succeed");
        let after = Usage::of(operator.pid());
        Throughput {
            per_second: count as f64 / took.as_secs_f64(),
            cpu_per_run: after.cpu.saturating_sub(before.cpu) / u32::try_from(count).unwrap(),
            peak_mib: mib(after),
        }
    }

    async fn polling(&self, count: usize) -> Polling {
        let name = format!("polls-{count}");
        let api = self.namespace(&name).await;
        self.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": 3_600_000})).await;
        let every_second = ["--poll-min=1s", "--poll-max=1s"];
        let mut operator = self.operator(&name, &every_second).await;
        let azure = self.environment.simulator.client();
        let all = azure.count("POST", "refreshes").await + count as u64;
        self.create(&api, &name, count).await;
        e2e::within(LONGEST, "all operations to run", async || (azure.count("POST", "refreshes").await >= all).then_some(())).await;
        // The first progress is written immediately for all; afterwards only polls remain for a while.
        tokio::time::sleep(POLLING).await;
        let (before, polled) = (Usage::of(operator.pid()), azure.count("GET", "refresh").await);
        tokio::time::sleep(POLLING).await;
        let (after, polls) = (Usage::of(operator.pid()), azure.count("GET", "refresh").await - polled);
        operator.terminate().await;
        let (mut operator, restarted) = start::ready(&self.settings(&name, &every_second), self.environment).await;
        tokio::time::sleep(POLLING).await;
        let restarted_mib = mib(Usage::of(operator.pid()));
        let scrapes = scrape::scrapes(&mut operator, count.min(RESOURCE_METRICS)).await;
        operator.terminate().await;
        let mut without = self.operator(&name, &[&every_second[..], &["--resource-metrics=0"]].concat()).await;
        tokio::time::sleep(POLLING).await;
        Polling {
            polls,
            cpu_per_poll: after.cpu.saturating_sub(before.cpu) / u32::try_from(polls.max(1)).unwrap(),
            peak_mib: mib(after),
            restarted,
            restarted_mib,
            scrapes,
            without_metrics_mib: scrape::scrapes(&mut without, 0).await.resident_mib,
        }
    }

    /// The lag of observed ends, at the default polling interval.
    async fn lag(&self, count: usize) {
        let name = "ends";
        let api = self.namespace(name).await;
        self.models(name, count, |index| json!({"notStartedMillis": 0, "durationMillis": 5_000 + 150 * index})).await;
        let _operator = self.operator(name, &[]).await;
        let (ends, ()) = tokio::join!(ends(&api, count), self.create(&api, name, count));
        let azure = self.environment.simulator.client();
        let mut late: Vec<(f64, f64)> = Vec::new();
        for index in 0..count {
            let operations = azure.operations(SERVER, &format!("{name}{index}")).await;
            let operation = operations.first().expect("each resource has an operation");
            let (start, end) = (
                time(operation.start_time.as_deref().expect("it has started")),
                time(operation.end_time.as_deref().expect("it has ended")),
            );
            let known = ends[&format!("{name}-{index}")].seen;
            let lag = known.duration_since(end).as_secs_f64();
            late.push((lag, lag / end.duration_since(start).as_secs_f64()));
        }
        late.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (p50, p99) = (late[count / 2].0, late[count * 99 / 100].0);
        let mut parts: Vec<f64> = late.iter().map(|(_, part)| *part).collect();
        parts.sort_by(f64::total_cmp);
        head(&format!("lag of {count} operations of 5 to 20 s, at the default polling interval"));
        row("known after: p50", p50, table::SECONDS, Untold);
        row("… p99", p99, table::SECONDS, Untold);
        row("… relative to the operation: p50", parts[count / 2] * 100.0, table::PERCENT, Untold);
        row("… p99", parts[count * 99 / 100] * 100.0, table::PERCENT, Untold);
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn mib(usage: Usage) -> f64 {
    usage.peak_kib as f64 / 1024.0
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("the simulator returns timestamps")
}

fn manifest(prefix: &str, index: usize) -> ModelRefresh {
    let spec = json!({
        "model": {"analysisServices": {"server": SERVER, "database": format!("{prefix}{index}")}},
        "credentials": {"servicePrincipalRef": {"name": "sp"}},
        "refresh": {"type": "full"},
    });
    ModelRefresh::new(&format!("{prefix}-{index}"), serde_json::from_value(spec).expect("the manifest is valid"))
}

/// An end, and the time at which the watch showed it.
struct End {
    state: RunState,
    seen: Timestamp,
}

/// Waits until `count` resources have ended.
async fn ends(api: &Api<ModelRefresh>, count: usize) -> HashMap<String, End> {
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
        ends.entry(object.name_any()).or_insert_with(|| End { state, seen: Timestamp::now() });
    }
    ends
}
