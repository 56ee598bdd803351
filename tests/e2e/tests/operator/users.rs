//! Actions of users and their tools with `kubectl`, on resources and the cluster around them, and the expected results.

mod accepted;
mod credentials;
mod decisions;
mod deletions;
mod denied;
mod edited;
mod storms;

use e2e::{AnyObject, Operator, TestSetup, World, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tabular_operator::api::{ConditionStatus, ConditionType, RunState};

use e2e::world::{condition, run_state, status};

/// The current version.
async fn orders(world: &World) -> AnyObject {
    world.until("orders", "any version", |_| true).await
}

/// A world with one operation that runs until the test ends or cancels it. Later submissions are short.
async fn in_mid_run(name: &str, spec: &Value, more: TestSetup) -> (World, Operator) {
    let model = json!({"notStartedMillis": 0, "durationMillis": 3_600_000, "cancelMillis": 200});
    let (world, operator) = World::running(name, TestSetup { model: Some(model), ..more }).await;
    world.apply("orders", spec).await;
    world.until_state("orders", RunState::Running).await;
    world.patch_model(&json!({"durationMillis": 300})).await;
    (world, operator)
}

/// Ends the first operation with success.
async fn end_first(world: &World) {
    world.azure.end(&world.operations().await[0].operation_id, "succeeded").await;
}

/// The status of each operation at the service, in the order of their submission.
async fn outcomes(world: &World) -> Vec<String> {
    world.operations().await.into_iter().map(|operation| operation.status).collect()
}

/// Runs kubectl in the world's namespace, with an object as its input. Panics if it fails.
async fn kubectl(world: &World, arguments: &[&str], input: &Value) -> String {
    let input = if input.is_null() { String::new() } else { input.to_string() };
    let output = world.environment.control_plane.kubectl_with(&[&["--namespace", &world.namespace], arguments].concat(), &input).await;
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server-side apply of only a spec, as one of several managers.
async fn apply_as(world: &World, manager: &str, spec: &Value) -> AnyObject {
    let object = json!({"apiVersion": e2e::Kind::api_version(), "kind": "ModelRefresh", "metadata": {"name": "orders"}, "spec": spec});
    let api = world.api(e2e::Kind::Refresh);
    let applied = api.patch("orders", &PatchParams::apply(manager).force(), &Patch::Apply(&object)).await;
    applied.unwrap_or_else(|error| panic!("failed to apply as {manager}: {error}"))
}

/// Waits until everything is completed: the latest run has succeeded for the latest generation, and no trigger is queued.
async fn settled(world: &World) -> AnyObject {
    let done = |object: &AnyObject| {
        let status = status(object);
        status.observed_generation == object.metadata.generation.unwrap_or_default()
            && status.queued.is_none()
            && run_state(object) == Some(RunState::Succeeded)
            && condition(object, ConditionType::Ready) == Some(ConditionStatus::True)
    };
    world.until("orders", "its latest generation to have run", |object| object.status.is_some() && done(object)).await
}

/// Waits for an event of this reason whose note contains these words, and returns the note.
async fn event(world: &World, named: &str, reason: &str, words: &[&str]) -> String {
    let fits = |event: &String| event.starts_with(&format!("{reason}: ")) && words.iter().all(|word| event.contains(word));
    eventually(&format!("the event {reason} of {named} with {words:?}"), async || world.events(named).await.into_iter().find(fits)).await
}
