//! Argo CD's scripts, by its own runtime: their tests, and what the actions do to a resource that is really there.

use harness::world::run;
use harness::{World, judge};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tabular_operator::api::{RunState, TriggerType};

use crate::course::Courses;
use crate::states::quick;

#[tokio::test]
async fn the_scripts_pass_their_tests() {
    let said = judge::scripts().await;
    assert!(said.lines().filter(|line| line.starts_with("ok ")).count() >= 40, "{said}");
}

/// Does as Argo CD does: runs the script on the resource as it is, and sends what it changed as a merge patch.
async fn act(world: &World, action: &str) {
    let live = world.recorder.latest("orders").unwrap();
    let left = judge::after_action(action, &live.object).await;
    let patch = changes(&serde_json::to_value(&live.object).unwrap(), &left);
    let api = world.api(harness::Kind::Refresh);
    api.patch("orders", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// The merge patch from one object to another. Numbers come back from Lua as they went in, or as floats of the same value.
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
async fn the_action_cancels_what_runs() {
    let setting = harness::Setting { model: Some(json!({"durationMillis": 600_000})), ..harness::Setting::default() };
    let (world, _operator) = World::running("action-cancel", setting).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    act(&world, "cancel").await;
    let ended = world.until_state("orders", RunState::Cancelled).await;
    assert_eq!((run(&ended).number, run(&ended).reason.as_str()), (1, "CancelledOnRequest"));
    assert_eq!(world.operations().await[0].status, "cancelled");
    Courses::of(&world).await.assert("orders", &["InProgress Progressing", "Failed Degraded"]);
}

#[tokio::test]
async fn the_actions_run_suspend_and_resume() {
    let (world, _operator) = quick("actions").await;
    world.apply("orders", &json!({})).await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    act(&world, "run-now").await;
    let second = world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!(run(&second).trigger.r#type, TriggerType::Request);
    act(&world, "suspend").await;
    let suspended = world.until("orders", "suspension", |object| object.spec["suspend"] == true).await;
    assert_eq!(suspended.metadata.generation, Some(2), "the action changes nothing else");
    world.until("orders", "it to be seen", |object| harness::world::status(object).observed_generation == 2).await;
    act(&world, "resume").await;
    world.until("orders", "it to be seen", |object| harness::world::status(object).observed_generation == 3).await;
    assert_eq!(world.operations().await.len(), 2);
    Courses::of(&world).await.assert(
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
