//! Tenants that share an operator: the load of one tenant neither exhausts the memory nor delays another tenant's run.

use std::time::Duration;

use e2e::rbac::{self, make};
use e2e::{Operator, TestSetup, Usage, World, within};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Number of resources of the maximum size.
const COUNT: usize = 100;
/// Memory limit of the operator, in KiB.
const MEMORY: u64 = 64 * 1024;
/// Time in which the operator must read them at startup: 40 MiB of JSON, which a busy API server has to send first.
const READS: Duration = Duration::from_secs(10);
/// The API server is slow with this much data.
const SLOWLY: Duration = Duration::from_mins(3);

/// A resource of the maximum size: 1,000 objects whose names have 64 KiB, and 256 KiB of annotations, some of them with the prefix of the
/// operator.
fn largest(world: &World, namespace: &str, number: usize) -> Value {
    let name = |object: usize, length: usize| format!("{object:04}{}", "ü".repeat((length - 4) / 2));
    let objects: Vec<Value> = (0..1_000).map(|object| json!({"table": name(object, 32), "partition": name(object, 32)})).collect();
    let mut manifest = world.manifest(&format!("heap-{number}"), &json!({"suspend": true, "refresh": {"objects": objects}}));
    manifest["metadata"]["namespace"] = namespace.into();
    let ours = (0..500).map(|n| (format!("tabular-operator.dev/x{n:04}"), Value::from("x".repeat(200))));
    let annotations = ours.chain([("heap".to_owned(), Value::from("x".repeat(120 * 1024)))]);
    manifest["metadata"]["annotations"] = Value::Object(annotations.collect());
    manifest
}

/// Waits until the operator has recorded an observation of each.
async fn all_seen(operator: &mut Operator) {
    within(SLOWLY, "an observation of each", async || {
        let metrics = operator.metrics().await;
        metrics.contains(&format!("tabular_operator_resources{{kind=\"ModelRefresh\",status=\"suspended\"}} {COUNT}\n")).then_some(())
    })
    .await;
}

/// Time from the request to the end of the other tenant's run.
async fn run_took(world: &World, number: i32) -> Duration {
    let began = Instant::now();
    world.annotate("orders", RUN_REQUESTED_AT, Some(&number.to_string())).await;
    world.until_run("orders", number, RunState::Succeeded).await;
    began.elapsed()
}

#[tokio::test]
async fn largest_resources_fit_memory_and_delay_no_other_tenant() {
    let greedy = format!("greedy-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let setup = TestSetup {
        model: Some(json!({"durationMillis": 300})),
        // A busy API server is slow with this much data, and the lease may expire.
        arguments: vec![format!("--watch-namespace={greedy}"), "--lease-duration=15s".to_owned()],
        ..TestSetup::default()
    };
    let world = World::with("tenants", setup).await;
    make::<Namespace>(&Api::all(world.client.clone()), json!({"metadata": {"name": greedy}})).await;
    let binding = json!({
        "metadata": {"name": world.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": rbac::ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": world.namespace, "namespace": rbac::OPERATORS}],
    });
    make::<RoleBinding>(&Api::namespaced(world.client.clone(), &greedy), binding).await;
    let mut operator = world.start_operator();
    operator.ready().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let alone = run_took(&world, 2).await;
    operator.terminate().await;
    operator.restart();
    let takes_over = run_took(&world, 3).await.saturating_sub(alone);

    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &greedy, &kube::api::ApiResource::erase::<tabular_operator::api::ModelRefresh>(&()));
    let heaps: Vec<Value> = (0..COUNT).map(|number| largest(&world, &greedy, number)).collect();
    let mut tasks = JoinSet::new();
    for part in heaps.chunks(COUNT / 4) {
        let (api, part) = (api.clone(), part.to_vec());
        tasks.spawn(async move {
            for manifest in part {
                let object = serde_json::from_value(manifest).unwrap();
                match api.create(&PostParams::default(), &object).await {
                    // The client repeats a request whose response is late.
                    Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                    created => drop(created.unwrap_or_else(|error| panic!("admission refused it: {error}"))),
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    all_seen(&mut operator).await;
    let memory = Usage::of(operator.pid()).peak_kib;
    assert!(memory < MEMORY, "{memory} KiB");

    // While the next operator reads all of them, the other tenant's runs continue.
    operator.terminate().await;
    operator.restart();
    let mut took = Vec::new();
    for number in 4..9 {
        took.push(run_took(&world, number).await);
    }
    all_seen(&mut operator).await;
    // The first run waits until all resources are read.
    let first = took.remove(0).saturating_sub(takes_over + alone);
    let slowest = took.iter().max().copied().unwrap_or_default();
    // A run alone takes less than a second, except on a slow machine.
    let delay = alone.max(Duration::from_secs(1));
    let figures = format!("{first:?} to read all, then runs took {took:?}, and {alone:?} without the other tenant");
    assert!(first <= READS && slowest <= alone + delay, "{figures}");
    let memory = Usage::of(operator.pid()).peak_kib;
    assert!(memory < MEMORY, "{memory} KiB after a restart");
}
