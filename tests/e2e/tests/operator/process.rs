//! The process: startup, exit, leader election, and the effect of one invalid object on the others.

use std::process::Stdio;

use e2e::world::{LASTING_MILLIS, run};
use e2e::{TestSetup, World, operator, rbac};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tabular_operator::api::RunState;

async fn holder(world: &World) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), rbac::OPERATORS);
    let holder = leases.get(&world.namespace).await.unwrap().spec.and_then(|spec| spec.holder_identity);
    holder.filter(|holder| !holder.is_empty())
}

#[tokio::test]
async fn sigterm_exits_with_0_and_next_operator_leads() {
    let (world, mut operator) = World::running("sigterm", TestSetup::with_model(json!({"durationMillis": LASTING_MILLIS}))).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    assert!(holder(&world).await.is_some());
    assert_eq!(operator.terminate().await.code(), Some(0), "{}", operator.log());
    assert_eq!(holder(&world).await, None);
    operator.restart();
    operator.ready().await;
    world.azure.end_running(&world.model()).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
}

#[tokio::test]
async fn candidate_is_ready_and_takes_over() {
    let (world, mut leader) = World::running("standby", TestSetup::with_model(json!({"durationMillis": 600_000}))).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let before = holder(&world).await;
    let mut standby = world.start_operator();
    standby.ready().await;
    assert_eq!(holder(&world).await, before);
    leader.kill();
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_ne!(holder(&world).await, before);
    assert_eq!(world.posts().await, 1);
    assert_eq!(standby.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn invalid_flags_exit_with_2_and_message() {
    let world = World::new("flags").await;
    for (flag, message) in [
        ("--poll-min=fast", "--poll-min"),
        ("--cloud=mars", "--cloud"),
        ("--no-such-flag", "--no-such-flag"),
        ("--extra-ca-file=/nowhere", "/nowhere"),
    ] {
        let mut settings = world.operator_settings().clone();
        if let Some(file) = flag.strip_prefix("--extra-ca-file=") {
            settings.authority = file.into();
        } else {
            settings.arguments.push(flag.to_owned());
        }
        let output = tokio::process::Command::from(operator::command(&settings))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}: {errors}");
        assert!(errors.contains(message), "{flag}: {errors}");
    }
}

#[tokio::test]
async fn metrics_without_resources_contain_no_names() {
    let (world, mut operator) = World::running("metrics", TestSetup::with_flags(&["--resource-metrics=0"])).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let metrics = operator.metrics().await;
    assert!(metrics.contains("tabular_operator_"), "{metrics}");
    assert!(!metrics.contains("orders"), "a label contains an object's name:\n{metrics}");
    // The watched namespaces may appear; the objects in them may not.
    let named =
        metrics.lines().filter(|line| line.contains(&world.namespace)).all(|line| line.starts_with("tabular_operator_watch_healthy{"));
    assert!(named, "a label contains a namespace:\n{metrics}");
}

#[tokio::test]
async fn unparsable_time_blocks_nothing() {
    let (world, mut operator) = World::running("unparsable", TestSetup::default()).await;
    world.apply("odd", &json!({"suspend": true})).await;
    world.until("odd", "an observation", |object| object.status.as_ref().is_some_and(|status| status.observed_generation > 0)).await;
    // The API server accepts this as a time, but no other parser does.
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("tabular-operator.dev", "v1alpha1", "ModelRefresh"), "modelrefreshes");
    let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let status = json!({"status": {"lastSuccessfulTime": "2026-11-21T05:00:00+99:99"}});
    api.patch_status("odd", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert!(world.recorder.latest("odd").is_some());
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    // It does not prevent the start of the next process either, which finds it in its first list.
    assert_eq!(operator.terminate().await.code(), Some(0));
    operator.restart();
    operator.ready().await;
    world.apply("after", &json!({})).await;
    world.until_state("after", RunState::Succeeded).await;
    // Its own runs continue.
    world.edit("odd", &json!({"spec": {"suspend": false}})).await;
    let done = world.until_state("odd", RunState::Succeeded).await;
    assert_eq!(run(&done).number, 1);
}
