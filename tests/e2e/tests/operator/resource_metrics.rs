//! The per-resource metrics: how many there are, which operator has them, and which names they have.

use std::time::Duration;

use e2e::prometheus::Prometheus;
use e2e::{Action, Operator, TestSetup, Tool, World, within};
use serde_json::{Value, json};

use crate::prometheus::rules;

/// The operator updates them every 15 s; this leaves time for a busy machine.
const SHOWN: Duration = Duration::from_mins(1);

/// The names of the resources that have metrics.
async fn shown(operator: &mut Operator) -> Vec<String> {
    let text = operator.metrics().await;
    let infos = text.lines().filter(|line| line.starts_with("tabular_operator_resource_info{"));
    infos.map(|line| line.split_once("\",name=\"").unwrap().1.split_once('"').unwrap().0.to_owned()).collect()
}

/// Applies a resource that runs nothing.
async fn apply_suspended(world: &World, name: &str, model: &Value) {
    let mut manifest = world.manifest(name, &json!({"suspend": true}));
    manifest["spec"]["model"] = model.clone();
    let apply = kube::api::PatchParams::apply("test");
    world.api(e2e::Kind::Refresh).patch(name, &apply, &kube::api::Patch::Apply(manifest)).await.unwrap();
}

#[tokio::test]
async fn resource_beyond_the_count_is_omitted() {
    let (world, mut operator) = World::running("counted", TestSetup::with_flags(&["--resource-metrics=1"])).await;
    for name in ["b", "a"] {
        world.apply(name, &json!({"suspend": true})).await;
    }
    let directory = world.environment.directory().join("counted");
    let (rules, _) = rules(&directory).await;
    let prometheus = Prometheus::start(&directory, world.environment.guard(), &[operator.metrics_address().await], &rules).await;
    let alert = "ALERTS{alertname=\"TabularMetricsOmitted\",alertstate=\"firing\"}";
    let firing = within(SHOWN, "the alert", async || prometheus.query(alert).await.unwrap().pop()).await;
    assert_eq!(firing["metric"]["namespace"], "tabular-system");
    assert_eq!(shown(&mut operator).await, ["a"]);
    assert!(operator.metrics().await.contains("tabular_operator_resource_metrics_omitted{} 1\n"));
    world.delete("a").await;
    within(SHOWN, "the alert to clear", async || prometheus.query(alert).await.unwrap().is_empty().then_some(())).await;
    assert_eq!(shown(&mut operator).await, ["b"]);
}

#[tokio::test]
async fn only_the_leader_has_series_of_resources() {
    let (world, mut leader) = World::running("leading", TestSetup::default()).await;
    world.apply("orders", &json!({"suspend": true})).await;
    let (_proxy, mut other) = world.start_second_operator().await;
    other.ready().await;
    within(SHOWN, "the leader to show it", async || (shown(&mut leader).await == ["orders"]).then_some(())).await;
    let standby = other.metrics().await;
    assert!(!standby.contains("tabular_operator_resource_") && !standby.contains("orders"), "{standby}");
    assert_eq!(leader.terminate().await.code(), Some(0));
    within(SHOWN, "the next leader to show it", async || (shown(&mut other).await == ["orders"]).then_some(())).await;
}

#[tokio::test]
async fn series_of_a_lost_leader_end_before_those_of_the_next() {
    // A fifth of the Lease separates the end of a leader from the next one: long enough for this test to look in between.
    let setup = TestSetup { api_proxy: true, ..TestSetup::with_flags(&["--lease-duration=20s"]) };
    let (world, mut leader) = World::running("lease-lost", setup).await;
    world.apply("orders", &json!({"suspend": true})).await;
    let (_proxy, mut other) = world.start_second_operator().await;
    other.ready().await;
    within(SHOWN, "the leader to show it", async || (shown(&mut leader).await == ["orders"]).then_some(())).await;
    let _cut = world.proxy().inject_times(0, usize::MAX, Action::Respond(503), |request| request.resource == "leases");
    assert_eq!(leader.end(SHOWN).await.code(), Some(1), "its series end with its process");
    assert_eq!(shown(&mut other).await, Vec::<String>::new(), "the next one leads after the lease has expired");
    within(SHOWN, "the next leader to show it", async || (shown(&mut other).await == ["orders"]).then_some(())).await;
}

#[tokio::test]
async fn unusual_names_are_valid_metrics() {
    let (world, mut operator) = World::running("unusual", TestSetup::default()).await;
    let database = |name: &str| json!({"analysisServices": {"server": world.server, "database": name}});
    let dataset = json!({"powerBI": {"workspace": "a \\ \"b\"", "dataset": "\\n{}=,# é".repeat(20)}});
    let longest = "n".repeat(253);
    apply_suspended(&world, "quoted", &database("Sales \"EU\" {x}")).await;
    apply_suspended(&world, "backslashed", &dataset).await;
    apply_suspended(&world, &longest, &database("d")).await;
    within(SHOWN, "all resources", async || (shown(&mut operator).await.len() == 3).then_some(())).await;
    assert_eq!(shown(&mut operator).await, ["backslashed", longest.as_str(), "quoted"]);
    let text = operator.metrics_as("text/plain").await;
    assert!(text.contains(r#"Sales \"EU\" {x}"#) && text.contains(r#"model="a \\ \"b\"/\\n{}=,# é"#), "{text}");
    let checked = Tool::named("promtool").run_with(&["check", "metrics"], &text).await;
    assert!(checked.status.success(), "{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
}
