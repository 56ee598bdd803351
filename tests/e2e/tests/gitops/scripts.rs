//! Argo CD's scripts in its own runtime: their tests, and the effect of the actions on an existing resource.

use e2e::world::run;
use e2e::{World, gitops_health};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tabular_operator::api::{RunState, TriggerType};

use crate::history::Histories;
use crate::states::quick;

#[tokio::test]
async fn argocd_scripts_pass_their_tests() {
    let results = gitops_health::scripts().await;
    assert!(results.lines().filter(|line| line.starts_with("ok ")).count() >= 40, "{results}");
}

/// Acts like Argo CD: runs the script on the live resource, and sends its changes as a merge patch.
async fn act(world: &World, action: &str) {
    let live = world.recorder.latest("orders").unwrap();
    let left = gitops_health::after_action(action, &live.object).await;
    let patch = changes(&serde_json::to_value(&live.object).unwrap(), &left);
    let api = world.api(e2e::Kind::Refresh);
    api.patch("orders", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// The merge patch from one object to another. Lua returns numbers unchanged or as floats of the same value.
fn changes(from: &Value, to: &Value) -> Value {
    let (Some(from), Some(to)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let differs =
        |name: &String| from.get(name).is_none_or(|old| old != &to[name] && old.as_f64().is_none_or(|old| to[name].as_f64() != Some(old)));
    let changed = to.keys().filter(|name| differs(name));
    let set = changed.map(|name| (name.clone(), from.get(name).map_or_else(|| to[name].clone(), |old| changes(old, &to[name]))));
    let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    Value::Object(set.chain(gone).collect())
}

#[tokio::test]
async fn cancel_action_cancels_running_operation() {
    let setup = e2e::TestSetup { model: Some(json!({"durationMillis": 600_000})), ..e2e::TestSetup::default() };
    let (world, _operator) = World::running("action-cancel", setup).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    act(&world, "cancel").await;
    let ended = world.until_state("orders", RunState::Cancelled).await;
    assert_eq!((run(&ended).number, run(&ended).reason.as_str()), (1, "CancelledOnRequest"));
    assert_eq!(world.operations().await[0].status, "cancelled");
    Histories::of(&world).await.assert("orders", &["InProgress Progressing", "Failed Degraded"]);
}

#[tokio::test]
async fn actions_run_suspend_and_resume() {
    let (world, _operator) = quick("actions").await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    act(&world, "run-now").await;
    let second = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!(run(&second).trigger.r#type, TriggerType::Request);
    act(&world, "suspend").await;
    let suspended = world.until("orders", "suspension", |object| object.spec["suspend"] == true).await;
    assert_eq!(suspended.metadata.generation, Some(2), "the action must change nothing else");
    world.until("orders", "the observation", |object| e2e::world::status(object).observed_generation == 2).await;
    act(&world, "resume").await;
    world.until("orders", "the observation", |object| e2e::world::status(object).observed_generation == 3).await;
    assert_eq!(world.operations().await.len(), 2);
    Histories::of(&world).await.assert(
        "orders",
        &[
            "InProgress Progressing",
            "Current Healthy",
            "Current Progressing",
            "InProgress Progressing",
            "Current Healthy",
            "InProgress Progressing",
            "Current Suspended",
            "InProgress Progressing",
            "Current Healthy",
        ],
    );
}
