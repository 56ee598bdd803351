//! kubectl in scripts and pipelines: waiting, and replacing instead of applying.

use e2e::world::{run, status};
use e2e::{TestSetup, World};
use serde_json::json;
use tabular_operator::api::{FINALIZER, RunState};

use crate::history::Histories;
use crate::states::quick;

#[tokio::test]
async fn kubectl_waits_for_conditions_and_fields() {
    let (world, _operator) = quick("wait").await;
    let wait = async |what: &str| {
        let what = format!("--for={what}");
        world.environment.control_plane.kubectl(&["wait", &what, "mref/orders", "--timeout=40s", "--namespace", &world.namespace]).await
    };
    world.apply("orders", &json!({})).await;
    wait("condition=Finished").await;
    wait("condition=Succeeded").await;
    wait("condition=Ready").await;
    let edited = world.edit("orders", &json!({"spec": {"trigger": {"token": "two"}}})).await;
    // As in a pipeline after a change: waits for the new generation first, to skip the end of the previous run.
    wait(&format!("jsonpath={{.status.observedGeneration}}={}", edited.metadata.generation.unwrap())).await;
    wait("condition=Finished").await;
    wait("jsonpath={.status.lastHandledToken}=two").await;
    wait("jsonpath={.status.run.state}=Succeeded").await;
    let ended = world.recorder.latest("orders").unwrap().decode().unwrap();
    assert_eq!((run(&ended).number, world.posts().await), (2, 2));
    world.delete("orders").await;
    wait("delete").await;
}

/// Replaces the resource with the manifest, including annotations and finalizers, as with Argo CD's `Replace=true`.
async fn replace(world: &World, flags: &[&str]) {
    let manifest = world.manifest("orders", &json!({"historyLimit": 7})).to_string();
    let output = world.environment.control_plane.kubectl_with(&[&["replace", "-f", "-"], flags].concat(), &manifest).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn in_mid_run(name: &str) -> (World, e2e::Operator, String) {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 500}));
    let (world, operator) = World::running(name, setup).await;
    world.apply("orders", &json!({})).await;
    let running = world.until_state("orders", RunState::Running).await;
    let id = run(&running).operation_id.clone().unwrap();
    (world, operator, id)
}

#[tokio::test]
async fn replace_during_run_keeps_run_and_finalizer() {
    let (world, _operator, id) = in_mid_run("replace").await;
    replace(&world, &[]).await;
    let guarded = world.until("orders", "its finalizer", |object| {
        object.spec["historyLimit"] == 7 && object.metadata.finalizers.as_ref().is_some_and(|all| all.iter().any(|one| one == FINALIZER))
    });
    assert_eq!(run(&guarded.await).operation_id.as_ref(), Some(&id));
    world.azure.end(&id, "succeeded").await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((run(&done).number, status(&done).history.len(), world.posts().await), (1, 1, 1));
    Histories::of(&world).await.assert("orders", &["InProgress Progressing", "Current Healthy"]);
}

#[tokio::test]
async fn forced_replace_creates_new_resource_with_own_run() {
    let (world, _operator, id) = in_mid_run("force").await;
    replace(&world, &["--force"]).await;
    let again = world.until("orders", "a second run", |object| {
        object
            .status
            .as_ref()
            .and_then(|status| status.run.as_ref())
            .is_some_and(|run| run.state == RunState::Running && run.operation_id.as_ref().is_some_and(|other| other != &id))
    });
    assert_eq!(run(&again.await).number, 1);
    let operations = world.operations().await;
    assert_eq!(
        (operations.len(), operations[0].status.as_str()),
        (2, "cancelled"),
        "the first was cancelled and ended before its deletion"
    );
}
