//! A real Prometheus scrapes the real operator during refreshes and syncs on both services: each query of the dashboards returns data, each
//! rule of the chart is valid, and each alert of a model fires for its model only.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use e2e::collector::hex;
use e2e::prometheus::Prometheus;
use e2e::world::{TENANT, merged};
use e2e::{Collector, Model, Tool, World, eventually, paths, semantic_model, within};
use futures::join;
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

use crate::collectors::traced;
use crate::identities::certificate;

const DASHBOARDS: [&str; 2] = ["overview.json", "freshness.json"];
const CHART: &str = "charts/tabular-operator";
/// Gauges of resources are updated every 15 s.
const SHOWN: Duration = Duration::from_secs(90);
/// How long the series of a deleted resource may remain.
const REMOVED: Duration = Duration::from_secs(30);
/// The shortest `staleAfterSeconds`.
const STALE_AFTER: u64 = 60;

/// A query of a panel, with the dashboard's variables resolved.
struct Query {
    panel: String,
    text: String,
}

/// The queries of all panels: of the operator's own namespace in the overview, and of `namespace` for the models.
fn dashboards(namespace: &str) -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, namespace) in DASHBOARDS.into_iter().zip(["tabular-system", namespace]) {
        let text = fs::read_to_string(paths::workspace().join("deploy/grafana").join(file)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let targets = panel["targets"].as_array().into_iter().flatten();
            for text in targets.map(|target| target["expr"].as_str().unwrap()) {
                let text = text.replace("$__rate_interval", "1m").replace("$namespace", namespace);
                assert!(!text.contains('$'), "an unresolved variable: {text}");
                queries.push(Query { panel: panel["title"].as_str().unwrap().to_owned(), text });
            }
        }
    }
    assert!(queries.len() > 50);
    queries
}

/// The chart's rules in the output format of the Prometheus operator, and their expressions. The alerts of models fire within seconds.
pub(crate) async fn rules(directory: &std::path::Path) -> (PathBuf, Vec<String>) {
    let arguments = ["template", CHART, "--kube-version", "1.29.0", "--set", "prometheusRule.enabled=true"];
    let rendered = Tool::named("helm").run(&[&arguments[..], &["--show-only", "templates/prometheusrule.yaml"]].concat()).await;
    let mut object: Value = serde_saphyr::from_str(&rendered).unwrap();
    let all = object["spec"]["groups"].as_array_mut().unwrap().iter_mut().flat_map(|group| group["rules"].as_array_mut().unwrap());
    for rule in all.filter(|rule| rule["alert"].as_str().unwrap().starts_with("TabularModel")) {
        if rule["for"].is_string() {
            rule["for"] = json!("1s");
        }
        rule["expr"] = json!(rule["expr"].as_str().unwrap().replace("> 900", "> 2"));
    }
    let file = directory.join("rules.yaml");
    fs::create_dir_all(directory).unwrap();
    fs::write(&file, object["spec"].to_string()).unwrap();
    let groups = object["spec"]["groups"].as_array().unwrap().iter();
    let expressions = groups.flat_map(|group| group["rules"].as_array().unwrap()).map(|rule| rule["expr"].as_str().unwrap().to_owned());
    (file, expressions.collect())
}

/// Every course of a run within a minute: on both services, both kinds, successful and failed, and one that waits indefinitely.
async fn play(world: &World) {
    let (certificate, key) = certificate(|_| {});
    world.azure.put_certificates(TENANT, &world.client_id, &[&certificate]).await;
    world
        .put_secret_keys(json!({"tenantId": TENANT, "clientId": world.client_id, "clientCertificate": format!("{key}{certificate}")}))
        .await;
    let (_, power_bi, _) = semantic_model(world, &json!({})).await;
    let failing = world.put_database("failing", &json!({"outcome": "failed"})).await;
    let long = world.put_database("long", &json!({"durationMillis": 600_000})).await;
    let run = async |name: &str, spec: Value, state| {
        world.apply(name, &spec).await;
        world.until_state(name, state).await;
    };
    let queue = async {
        run("long", long.clone(), RunState::Running).await;
        run("next", long.clone(), RunState::Waiting).await;
    };
    let suspended = json!({"suspend": true, "staleAfterSeconds": 86_400, "trigger": {"schedule": "0 5 * * *"}});
    let models = async {
        world.apply("suspended", &suspended).await;
        let stale = world.put_database("stale", &json!({"durationMillis": 500})).await;
        run("stale", merged(&stale, &json!({"staleAfterSeconds": STALE_AFTER})), RunState::Succeeded).await;
        let slow = world.put_database("slow", &json!({"durationMillis": 500})).await;
        world.apply("slow", &slow).await;
        for number in 2..=4 {
            world.until_run("slow", number - 1, RunState::Succeeded).await;
            if number == 4 {
                patch(world, "slow", json!({"durationMillis": 600_000})).await;
            }
            world.annotate("slow", RUN_REQUESTED_AT, Some(&number.to_string())).await;
        }
        world.until_run("slow", 4, RunState::Running).await;
    };
    let on_power_bi = async {
        run("power-bi", power_bi.clone(), RunState::Succeeded).await;
        run("modelsync/power-bi", power_bi.clone(), RunState::Succeeded).await;
    };
    join!(
        run("orders", json!({}), RunState::Succeeded),
        run("modelsync/orders", json!({}), RunState::Succeeded),
        run("failing", merged(&failing, &json!({"backoffLimit": 0})), RunState::Failed),
        on_power_bi,
        queue,
        models,
    );
}

/// Changes another model on the server.
async fn patch(world: &World, database: &str, changes: Value) {
    world.azure.patch(&Model::analysis_services(&world.server, database), changes).await;
}

/// The firing alerts, each with its namespace and, if it is for one resource, the name of it.
async fn firing(prometheus: &Prometheus) -> BTreeSet<(String, String, String)> {
    let series = prometheus.query("ALERTS{alertstate=\"firing\"}").await.unwrap();
    let of = |series: &Value, label: &str| series["metric"][label].as_str().unwrap_or_default().to_owned();
    series.iter().map(|series| (of(series, "alertname"), of(series, "namespace"), of(series, "name"))).collect()
}

/// The names of the operator's metrics in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("tabular_operator_"))
}

#[tokio::test]
async fn every_panel_and_alert_has_data() {
    let collector = Collector::start().await;
    let (world, mut operator) = traced("prometheus", &collector, None).await;
    let directory = world.environment.directory().join("prometheus");
    let (rules, alerts) = rules(&directory).await;
    let target = operator.metrics_address().await;
    let prometheus = Prometheus::start(&directory, world.environment.guard(), &[target], &rules).await;
    let shows = async |query: &str| prometheus.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    // Counters must be scraped from their initial value.
    eventually("a first scrape", async || (!shows("tabular_operator_is_leader == 1").await.is_empty()).then_some(())).await;
    Box::pin(play(&world)).await;

    let mut silent: Vec<Query> = dashboards(&world.namespace);
    within(SHOWN, "data for each query of the dashboards", async || {
        let mut still = Vec::new();
        for query in silent.drain(..) {
            if shows(&query.text).await.is_empty() {
                still.push(query);
            }
        }
        silent = still;
        for query in &silent {
            eprintln!("no data yet in {}: {}", query.panel, query.text);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        silent.is_empty().then_some(())
    })
    .await;

    let known = prometheus.get("label/__name__/values", &[]).await.unwrap();
    let known: BTreeSet<&str> = known.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let texts: Vec<String> = dashboards(&world.namespace).into_iter().map(|query| query.text).chain(alerts.iter().cloned()).collect();
    let missing: Vec<&str> = texts.iter().flat_map(|text| names(text)).filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "no panel or alert uses {missing:?}");

    for alert in &alerts {
        shows(alert).await;
    }
    let groups = prometheus.get("rules", &[]).await.unwrap();
    let loaded: Vec<&Value> = groups["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(loaded.len(), alerts.len());
    for rule in loaded {
        assert_eq!((&rule["health"], rule["lastError"].as_str()), (&json!("ok"), None), "{rule:#}");
    }
    // Each alert of a model fires with the namespace of the model, and the failed refresh fires one of the operator.
    let alert = |alert: &str, namespace: &str, name: &str| (alert.to_owned(), namespace.to_owned(), name.to_owned());
    let of_models = [("TabularModelStale", "stale"), ("TabularModelNeedsAction", "failing"), ("TabularModelSlow", "slow")];
    let mut expected: BTreeSet<_> = of_models.map(|(name, model)| alert(name, &world.namespace, model)).into();
    expected.insert(alert("TabularRunsFailing", "tabular-system", ""));
    within(SHOWN, "the alerts of the models", async || (firing(&prometheus).await.len() >= expected.len()).then_some(())).await;
    assert_eq!(firing(&prometheus).await, expected);

    // A success clears each of them.
    patch(&world, "failing", json!({"outcome": "succeeded"})).await;
    for model in ["failing", "stale"] {
        world.annotate(model, RUN_REQUESTED_AT, Some("clear")).await;
    }
    let slow = world.operations_on("slow").await.pop().unwrap();
    world.azure.end(&slow.operation_id, "succeeded").await;
    within(SHOWN, "the alerts of the models to clear", async || {
        firing(&prometheus).await.iter().all(|(name, ..)| !name.starts_with("TabularModel")).then_some(())
    })
    .await;

    world.delete("suspended").await;
    within(REMOVED, "the series of the deleted resource to end", async || {
        shows("{__name__=~\"tabular_operator_resource_.*\",name=\"suspended\"}").await.is_empty().then_some(())
    })
    .await;

    // They are only in OpenMetrics, which Prometheus requests; each exemplar refers to the trace of a run.
    let now = jiff::Timestamp::now();
    let window = [(now - Duration::from_mins(10)).to_string(), (now + Duration::from_mins(1)).to_string()];
    let asked = [("query", "tabular_operator_run_duration_seconds_bucket"), ("start", &window[0]), ("end", &window[1])];
    let examples = prometheus.get("query_exemplars", &asked).await.unwrap();
    let traces: BTreeSet<String> = collector.spans().iter().map(|span| hex(&span.trace_id)).collect();
    let examples: Vec<&Value> = examples.as_array().unwrap().iter().flat_map(|series| series["exemplars"].as_array().unwrap()).collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        assert!(traces.contains(example["labels"]["trace_id"].as_str().unwrap_or_default()), "{example} refers to no trace");
    }
}
