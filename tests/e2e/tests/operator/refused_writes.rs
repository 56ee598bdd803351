//! An API server that refuses the operator's writes because of their content: an event, a metric and the log report it, and nothing else
//! is blocked.

use std::time::Duration;

use e2e::rbac::make;
use e2e::world::first_lasts;
use e2e::{Operator, TestSetup, World, eventually, within};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};
use tokio::time::Instant;

/// The start of the policies' message. The rest differs from version to version of a resource, like the message of a webhook that has the
/// id of the request.
const POLICY_MESSAGE: &str = "this namespace is read-only on Fridays";
/// The maximum backoff of a resource with refused writes, plus its reconciliation.
const TRIED_AGAIN: Duration = Duration::from_secs(90);

/// Makes the API server refuse requests of the world's operator for `resources` that match the CEL expression `only`, in its namespace
/// only.
async fn refuse(world: &World, group: &str, resources: &[&str], only: &str) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(world.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.client.clone());
    let rule = json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": resources});
    // An object without a version gets the plain message.
    let message = format!("'{POLICY_MESSAGE}: version ' + string(object.metadata.resourceVersion)");
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "ours", "expression": format!("request.userInfo.username == '{}' && ({only})", world.user())}],
        "validations": [{"expression": "false", "message": POLICY_MESSAGE, "messageExpression": message}],
    });
    make(&policies, json!({"metadata": {"name": world.namespace}, "spec": spec})).await;
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}});
    let spec = json!({"policyName": world.namespace, "validationActions": ["Deny"], "matchResources": here});
    make(&bindings, json!({"metadata": {"name": world.namespace}, "spec": spec})).await;
}

async fn allow(world: &World) {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.client.clone());
    bindings.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
}

async fn counted(operator: &mut Operator, write: &str) -> u64 {
    let start = format!("tabular_operator_kubernetes_writes_total{{write=\"{write}\",result=\"refused\"}} ");
    let metrics = operator.metrics().await;
    metrics.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or_else(|| panic!("no {start} in\n{metrics}"))
}

/// The events of a resource about refused writes.
async fn refusal_events(world: &World, name: &str) -> Vec<String> {
    world.events(name).await.into_iter().filter(|event| event.starts_with("WriteRefused: ")).collect()
}

/// A policy takes effect seconds after its creation: until then each attempt uses its own resource, which is not checked.
async fn until_refused(world: &World, operator: &mut Operator, write: &str) -> String {
    let mut number = 0;
    eventually("the policy to be in force", async || {
        number += 1;
        let name = format!("orders-{number}");
        world.apply(&name, &json!({})).await;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(8) {
            if counted(operator, write).await > 0 {
                return Some(name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    })
    .await
}

/// Waits for the events about the refusal.
async fn until_reported(world: &World, name: &str) -> Vec<String> {
    eventually("the event", async || {
        let refusal_events = refusal_events(world, name).await;
        (!refusal_events.is_empty()).then_some(refusal_events)
    })
    .await
}

#[tokio::test]
async fn refused_status_write_is_reported_and_blocks_no_other() {
    let (world, mut operator) = World::running("no-status", TestSetup::default()).await;
    refuse(&world, "tabular-operator.dev", &["modelrefreshes/status"], "true").await;
    let name = until_refused(&world, &mut operator, "status").await;
    let events = until_reported(&world, &name).await;
    assert!(events[0].contains("write of the status") && events[0].contains(POLICY_MESSAGE), "{events:?}");
    // It is retried with increasing backoff, and reported once.
    let began = Instant::now();
    eventually("further attempts", async || (counted(&mut operator, "status").await >= 4).then_some(())).await;
    let (tries, spent) = (counted(&mut operator, "status").await, began.elapsed().as_secs());
    assert!(tries <= 12, "{tries} attempts, the last of them within {spent} s");
    assert_eq!(refusal_events(&world, &name).await.len(), 1);
    allow(&world).await;
    world.until_state_within(TRIED_AGAIN, &name, RunState::Succeeded).await;
}

#[tokio::test]
async fn refused_finalizer_write_is_reported() {
    let (world, mut operator) = World::running("no-finalizer", TestSetup::default()).await;
    refuse(&world, "tabular-operator.dev", &["modelrefreshes"], "true").await;
    let name = until_refused(&world, &mut operator, "finalizer").await;
    let events = until_reported(&world, &name).await;
    assert!(events[0].contains("write of the finalizer") && events[0].contains(POLICY_MESSAGE), "{events:?}");
    assert_eq!(world.operations_on("AdventureWorks").await.len(), world.posts().await);
    allow(&world).await;
    world.until_state_within(TRIED_AGAIN, &name, RunState::Succeeded).await;
}

#[tokio::test]
async fn refusals_with_varying_text_are_reported_once_per_write() {
    let (world, mut operator) = World::running("no-writes", TestSetup::with_model(first_lasts())).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let began = Instant::now();
    refuse(&world, "tabular-operator.dev", &["modelrefreshes", "modelrefreshes/status"], "true").await;
    eventually("the policy to be in force", async || {
        // Until then the operator removes the annotation, because it is empty.
        world.annotate("orders", RUN_REQUESTED_AT, Some("")).await;
        (counted(&mut operator, "annotation").await > 0).then_some(())
    })
    .await;
    // Now the status must change too. Each edit leads to another attempt, with another message.
    world.annotate("orders", CANCEL_REQUESTED_AT, Some("1")).await;
    let mut edits = 0_u32;
    eventually("several attempts of each write", async || {
        edits += 1;
        world.edit("orders", &json!({"metadata": {"labels": {"edit": edits.to_string()}}})).await;
        (counted(&mut operator, "annotation").await >= 3 && counted(&mut operator, "status").await >= 6).then_some(())
    })
    .await;
    let events = eventually("an event about each write", async || {
        let events = refusal_events(&world, "orders").await;
        (events.len() >= 2).then_some(events)
    })
    .await;
    // After a minute each may be reported again.
    let (log, most) = (operator.log(), 1 + usize::try_from(began.elapsed().as_secs() / 60).unwrap());
    for write in ["the write of an annotation", "the write of the status"] {
        let is_about = |text: &str| text.contains(write) && text.contains(&format!("{POLICY_MESSAGE}: version "));
        let reported = events.iter().filter(|event| is_about(event)).count();
        let logged = log.lines().filter(|line| is_about(line)).count();
        assert!((1..=most).contains(&reported) && (1..=most).contains(&logged), "{write}: {logged} lines, {events:#?}");
    }
    let repeated: Vec<&str> = log.lines().filter(|line| line.contains("reconciliation failed") && line.contains(POLICY_MESSAGE)).collect();
    assert!(repeated.is_empty(), "{repeated:#?}");
}

#[tokio::test]
async fn refused_events_are_logged_and_counted() {
    let (world, mut operator) = World::running("no-events", TestSetup::default()).await;
    refuse(&world, "events.k8s.io", &["events"], "true").await;
    let name = until_refused(&world, &mut operator, "event").await;
    // Refused events block nothing.
    world.until_state(&name, RunState::Succeeded).await;
    within(TRIED_AGAIN, "the message in the log", async || {
        let log = operator.log();
        log.lines().any(|line| line.contains("the Kubernetes API refused an event") && line.contains(POLICY_MESSAGE)).then_some(())
    })
    .await;
}
