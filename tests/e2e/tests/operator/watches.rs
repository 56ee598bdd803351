//! Refused watches: the operator serves the other namespaces, reports the missing one, and adds it when it becomes readable.

use std::time::Duration;

use e2e::rbac::{self, make};
use e2e::{TestSetup, World, eventually};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

/// A refused watch is retried at least every 30 s.
const JOINS: Duration = Duration::from_mins(1);
/// An open watch lasts up to a minute, and only the next one is refused.
const NOTICED: Duration = Duration::from_mins(2);

async fn namespace(client: &Client, name: &str) {
    make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": name}})).await;
}

/// Grants a world's operator the permissions of its own namespace in this namespace.
async fn grant(world: &World, namespace: &str) {
    let binding = json!({
        "metadata": {"name": world.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": rbac::ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": world.namespace, "namespace": rbac::OPERATORS}],
    });
    make::<RoleBinding>(&Api::namespaced(world.client.clone(), namespace), binding).await;
}

fn times(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// A world whose operator also serves a second namespace, without permission to read it.
async fn two_namespaces(name: &str) -> (World, String) {
    let other = format!("{name}-b-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let setup = TestSetup {
        model: Some(json!({"durationMillis": 300})),
        arguments: vec![format!("--watch-namespace={other}")],
        ..TestSetup::default()
    };
    let world = World::with(name, setup).await;
    namespace(&world.client, &other).await;
    (world, other)
}

/// Applies the world's default manifest in another namespace, with its own model.
async fn apply_in(world: &World, namespace: &str, name: &str, spec: &Value) {
    let mut manifest = world.manifest(name, spec);
    manifest["metadata"]["namespace"] = namespace.into();
    let applied = world.environment.control_plane.kubectl_with(&["apply", "-f", "-"], &manifest.to_string()).await;
    assert!(applied.status.success(), "{applied:?}");
}

/// The reason of the condition `Ready` of a resource in another namespace.
async fn reason(world: &World, namespace: &str, name: &str) -> String {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}";
    world.environment.control_plane.kubectl(&["get", "mref", name, "--namespace", namespace, "--output", path]).await
}

#[tokio::test]
async fn unreadable_namespace_stops_no_other_and_joins_later() {
    let (world, other) = two_namespaces("unread").await;
    apply_in(&world, &other, "beyond", &json!({})).await;
    let mut operator = world.start_operator();
    operator.ready().await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;

    let (status, body) = operator.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    for kind in ["ModelRefresh", "ModelSync"] {
        assert!(body.contains(&format!("{kind} in namespace {other} (the Kubernetes API returned 403")), "{body}");
    }
    let metrics = operator.metrics().await;
    for (namespace, value) in [(&other, 0), (&world.namespace, 1)] {
        let line = format!("tabular_operator_watch_healthy{{kind=\"ModelRefresh\",watched_namespace=\"{namespace}\"}} {value}");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    // Each watch reports it once, despite repeated attempts.
    let log = operator.log();
    assert_eq!(times(&log, "failed to watch the resources"), 2, "{log}");
    assert!(!log.contains("ErrorResponse") && !log.contains("Status {"), "{log}");

    grant(&world, &other).await;
    let joined = async || {
        let (_, body) = operator.get("/readyz").await;
        (body.trim() == "ok").then_some(())
    };
    e2e::within(JOINS, "the namespace to be watched", joined).await;
    // Its Secret does not exist.
    e2e::within(JOINS, "the observation of its resource", async || {
        (reason(&world, &other, "beyond").await == "SecretNotFound").then_some(())
    })
    .await;
}

#[tokio::test]
async fn operation_of_unreadable_namespace_is_left_alone() {
    let (world, other) = two_namespaces("unclaimed").await;
    let mut operator = world.start_operator();
    operator.ready().await;
    // The operation may belong to a resource in the unreadable namespace.
    let foreign = world.start_for_other_client(&json!({"type": "full", "durationMillis": 3_600_000})).await;
    world.apply("orders", &json!({"conflictPolicy": "Replace"})).await;
    world.until_reason("orders", "Reconciling", "ModelBusy").await;
    eventually("a list request", async || {
        let lists = world.ledger().await.into_iter().filter(|row| row.method == "GET" && row.route == "refreshes").count();
        (lists >= 2).then_some(())
    })
    .await;
    assert!(world.ledger().await.iter().all(|row| row.method != "DELETE"));
    world.azure.end(&foreign, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;

    // A response is lost: the operation in the list may belong to this resource or to one in the unreadable namespace.
    world.patch_model(&json!({"durationMillis": 3_600_000})).await;
    world.fault("POST", "refreshes", &json!({"times": 1, "action": {"dropAfter": {}}})).await;
    world.annotate("orders", tabular_operator::api::RUN_REQUESTED_AT, Some("1")).await;
    let held = |object: &e2e::AnyObject| {
        let run = object.status.as_ref().and_then(|status| status.run.as_ref());
        run.is_some_and(|run| {
            run.number == 2 && run.state == RunState::Submitting && run.message.contains("may belong to this run or to another resource")
        })
    };
    world.until("orders", "the wait for the other namespace", held).await;
    let operations = world.operations().await;
    assert_eq!(operations.len(), 3, "{operations:#?}");
    grant(&world, &other).await;
    let running = |object: &e2e::AnyObject| e2e::world::run_state(object) == Some(RunState::Running);
    let adopted = world.until_within(NOTICED, "orders", "the adoption of its operation", running).await;
    assert_eq!(e2e::world::run(&adopted).operation_id.as_ref(), Some(&operations[2].operation_id));
    assert_eq!(world.operations().await.len(), 3);
    drop(operator);
}

#[tokio::test]
async fn removed_permissions_are_reported() {
    let setup = TestSetup::with_flags(&["--lease-duration=15s"]);
    let (world, mut operator) = World::running("revoked", setup).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
    bindings.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let unready = async || {
        let (status, body) = operator.get("/readyz").await;
        (status == 500 && body.contains("all watches fail") && body.contains("403")).then_some(())
    };
    e2e::within(NOTICED, "the error in /readyz", unready).await;
    assert!(operator.metrics().await.contains(&format!("watched_namespace=\"{}\"}} 0", world.namespace)));
    grant(&world, &world.namespace).await;
    e2e::within(JOINS, "the operator to be ready again", async || (operator.get("/readyz").await.0 == 200).then_some(())).await;
    world.annotate("orders", tabular_operator::api::RUN_REQUESTED_AT, Some("1")).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
}
