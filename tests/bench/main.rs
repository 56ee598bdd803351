//! The benchmark: what a run costs, measured on the real parts, as ratios taken in one go.
//!
//! 1. *Throughput*: N resources are created at once, each on a model of its own; whole runs a second, beside the same writes
//!    (the resource, the finalizer, three statuses, two events) made bare by a small concurrent client. A second ratio leaves
//!    the events out of the bare ones, so that they count against the operator.
//! 2. *Polling*: N operations that run on, looked at once a second each; CPU per poll, and the largest memory.
//! 3. *Lateness*: operations of 5 to 20 s at the default pace; how long after an end at the service the status tells it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on says so and ends")]
#![allow(clippy::cast_precision_loss, reason = "figures for a person")]

mod bare;
mod process;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Operator, OperatorSettings, Site, kubeconfig, rbac};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tabular_operator::api::{ModelRefresh, RunState};

use process::Usage;

const SERVER: &str = "asazure://westus.asazure.windows.net/bench";
const TENANT: &str = "72f988bf-0000-4000-8000-0000000000bb";
const CLIENT: &str = "11111111-0000-4000-8000-0000000000bb";
/// How many requests the bench itself has in flight.
const CONCURRENCY: usize = 64;

#[tokio::main]
async fn main() {
    let sizes: Vec<usize> = match std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<Vec<usize>, _>>() {
        Ok(sizes) if sizes.is_empty() => vec![200, 2000],
        Ok(sizes) => sizes,
        Err(error) => {
            eprintln!("error: {error}: give numbers of resources, such as 200 2000");
            std::process::exit(2);
        }
    };
    println!("starting the control plane and the local Azure");
    let bench = Bench::start().await;
    println!(
        "{:>9}  {:>10} {:>10} {:>6} {:>10}  {:>9}  {:>9} {:>9}  {:>10} {:>11}",
        "resources", "bare/s", "runs/s", "ratio", "no events", "ms CPU/run", "polls", "ms/poll", "MiB (runs)", "MiB (polls)"
    );
    for size in sizes {
        let bare = bench.bare(size, true).await;
        let eventless = bench.bare(size, false).await;
        let throughput = bench.throughput(size).await;
        let polling = bench.polling(size).await;
        println!(
            "{size:>9}  {bare:>10.1} {:>10.1} {:>6.2} {:>10.2}  {:>10.2}  {:>9} {:>9.3}  {:>10.1} {:>11.1}",
            throughput.per_second,
            throughput.per_second / bare,
            throughput.per_second / eventless,
            throughput.cpu_per_run.as_secs_f64() * 1e3,
            polling.polls,
            polling.cpu_per_poll.as_secs_f64() * 1e3,
            throughput.peak_mib,
            polling.peak_mib,
        );
    }
    bench.lateness(100).await;
}

struct Bench {
    site: &'static Site,
    client: Client,
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
}

impl Bench {
    async fn start() -> Self {
        let site = Site::get();
        let client = site.client().await;
        site.simulator.client().put_application(TENANT, CLIENT, "secret").await;
        let token = rbac::account(&client, "bench", "bench", rbac::ROLE, true).await;
        let file = site.directory().join("bench.kubeconfig");
        kubeconfig::write(&file, &site.endpoint(), &token, rbac::OPERATORS);
        let settings = OperatorSettings {
            kubeconfig: file,
            proxy: site.simulator.proxy().to_owned(),
            authority: site.simulator.authority().to_owned(),
            arguments: Vec::new(),
            environment: vec![],
            log: site.directory().join("bench.log"),
            pod: None,
        };
        Self { site, client, settings }
    }

    /// A namespace of its own for each part, with the Secret in it.
    async fn namespace(&self, name: &str) -> Api<ModelRefresh> {
        rbac::make::<Namespace>(&Api::all(self.client.clone()), json!({"metadata": {"name": name}})).await;
        let secret = json!({"metadata": {"name": "sp"}, "stringData": {"tenantId": TENANT, "clientId": CLIENT, "clientSecret": "secret"}});
        rbac::make::<k8s_openapi::api::core::v1::Secret>(&Api::namespaced(self.client.clone(), name), secret).await;
        Api::namespaced(self.client.clone(), name)
    }

    async fn operator(&self, namespace: &str, arguments: &[&str]) -> Operator {
        let mut settings = self.settings.clone();
        settings.arguments = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={}", rbac::OPERATORS),
            format!("--lease-name={namespace}"),
        ];
        settings.arguments.extend(["--metrics-address=127.0.0.1:0".to_owned()]);
        settings.arguments.extend(arguments.iter().map(ToString::to_string));
        let mut operator = Operator::start_as_is(&settings, self.site.guard());
        operator.ready().await;
        operator
    }

    /// Models of their own for `count` resources.
    async fn models(&self, prefix: &str, count: usize, settings: impl Fn(usize) -> Value) {
        let azure = self.site.simulator.client();
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

    /// The same writes, made bare: whole runs a second.
    async fn bare(&self, count: usize, with_events: bool) -> f64 {
        let name = format!("bare-{count}{}", if with_events { "" } else { "-eventless" });
        let api = self.namespace(&name).await;
        let events: Option<Api<Event>> = with_events.then(|| Api::namespaced(self.client.clone(), &name));
        let began = Instant::now();
        bare::runs(&api, events.as_ref(), &name, count, CONCURRENCY).await;
        count as f64 / began.elapsed().as_secs_f64()
    }

    async fn throughput(&self, count: usize) -> Throughput {
        let name = format!("runs-{count}");
        let api = self.namespace(&name).await;
        self.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": 500})).await;
        let operator = self.operator(&name, &[]).await;
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
            peak_mib: after.peak_mib,
        }
    }

    async fn polling(&self, count: usize) -> Polling {
        let name = format!("polls-{count}");
        let api = self.namespace(&name).await;
        self.models(&name, count, |_| json!({"notStartedMillis": 0, "durationMillis": 3_600_000})).await;
        let operator = self.operator(&name, &["--poll-min=1s", "--poll-max=1s"]).await;
        self.create(&api, &name, count).await;
        let azure = self.site.simulator.client();
        harness::eventually("all operations to run", async || (azure.count("POST", "refreshes").await >= count as u64).then_some(())).await;
        // The first progress is written at once for all; after that only polls are left for a while.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (before, polled) = (Usage::of(operator.pid()), azure.count("GET", "refresh").await);
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (after, polls) = (Usage::of(operator.pid()), azure.count("GET", "refresh").await - polled);
        Polling {
            polls,
            cpu_per_poll: after.cpu.saturating_sub(before.cpu) / u32::try_from(polls.max(1)).unwrap(),
            peak_mib: after.peak_mib,
        }
    }

    /// How late an end is known, at the default pace.
    async fn lateness(&self, count: usize) {
        let name = "ends";
        let api = self.namespace(name).await;
        self.models(name, count, |index| json!({"notStartedMillis": 0, "durationMillis": 5_000 + 150 * index})).await;
        let _operator = self.operator(name, &[]).await;
        let (ends, ()) = tokio::join!(ends(&api, count), self.create(&api, name, count));
        let azure = self.site.simulator.client();
        let mut late: Vec<(f64, f64)> = Vec::new();
        for index in 0..count {
            let operations = azure.operations(SERVER, &format!("{name}{index}")).await;
            let operation = operations.first().expect("each resource has run");
            let (start, end) =
                (time(operation.start_time.as_deref().expect("it has begun")), time(operation.end_time.as_deref().expect("it has ended")));
            let known = ends[&format!("{name}-{index}")].seen;
            let lateness = known.duration_since(end).as_secs_f64();
            late.push((lateness, lateness / end.duration_since(start).as_secs_f64()));
        }
        late.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (p50, p99) = (late[count / 2].0, late[count * 99 / 100].0);
        let mut parts: Vec<f64> = late.iter().map(|(_, part)| *part).collect();
        parts.sort_by(f64::total_cmp);
        println!(
            "ends of {count} operations of 5 to 20 s, known after: p50 {p50:.2} s, p99 {p99:.2} s; as a part of the run: p50 {:.1} %, p99 {:.1} %",
            parts[count / 2] * 100.0,
            parts[count * 99 / 100] * 100.0
        );
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("the simulator gives times")
}

fn manifest(prefix: &str, index: usize) -> ModelRefresh {
    let spec = json!({
        "model": {"analysisServices": {"server": SERVER, "database": format!("{prefix}{index}")}},
        "credentials": {"servicePrincipalRef": {"name": "sp"}},
        "refresh": {"type": "full"},
    });
    ModelRefresh::new(&format!("{prefix}-{index}"), serde_json::from_value(spec).expect("the manifest fits"))
}

/// An end, and when the watch showed it.
struct End {
    state: RunState,
    seen: Timestamp,
}

/// Waits until `count` resources have ended.
async fn ends(api: &Api<ModelRefresh>, count: usize) -> HashMap<String, End> {
    let mut ends = HashMap::new();
    let mut changes = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while ends.len() < count {
        let object = changes.try_next().await.expect("failed to watch").expect("a watch does not end");
        let Some(state) = object.status.as_ref().and_then(|status| status.run.as_ref()).map(|run| run.state).filter(|state| state.ended())
        else {
            continue;
        };
        ends.entry(object.name_any()).or_insert_with(|| End { state, seen: Timestamp::now() });
    }
    ends
}
