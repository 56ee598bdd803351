//! A status that a newer version has written: its operation is still tracked, and its resource can be deleted and released.

use serde_json::{Value, json};

use model::script::{World, secs};
use tabular_operator::api::{ConditionStatus, ConditionType, RELEASE, RUN_REQUESTED_AT, Reason, RunState, Status};

/// A resource whose operation runs, with a status that a newer version has changed, after a downgrade.
fn downgraded(length: u64, changes: &[(&str, Value)]) -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(length);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    rewrite(&mut world, |status| {
        for (place, value) in changes {
            let (parent, key) = place.rsplit_once('/').unwrap();
            status.pointer_mut(parent).unwrap()[key] = value.clone();
        }
    });
    world
}

/// A newer version writes the status; then this one starts.
fn rewrite(world: &mut World, change: impl FnOnce(&mut Value)) {
    let mut status = shown(world);
    change(&mut status);
    world.edit_status(|it| *it = serde_json::from_value::<Status>(status).unwrap()).restart();
}

fn shown(world: &World) -> Value {
    serde_json::to_value(world.status()).unwrap()
}

fn changes() -> Vec<Vec<(&'static str, Value)>> {
    vec![
        vec![("/run/state", json!("Hibernated"))],
        vec![("/run/state", json!("Hibernated")), ("/run/reason", json!("Hibernating"))],
        vec![("/run/trigger/type", json!("Webhook"))],
        vec![("/conditions/0/type", json!("Degraded")), ("/conditions/1/status", json!("Partly"))],
    ]
}

#[test]
fn operation_is_polled_by_its_id_to_its_end() {
    for changes in changes() {
        let mut world = downgraded(60, &changes);
        world.run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.ready()), (1, ConditionStatus::True), "{changes:?}");
        assert_eq!(world.run().trigger.r#type, world.status().history[0].trigger.r#type);
    }
}

#[test]
fn accepted_trigger_of_a_newer_version_runs_once() {
    let mut world = downgraded(60, &[("/queued", json!({"type": "Webhook", "value": "w"}))]);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (2, 2));
    assert_eq!(shown(&world)["run"]["trigger"], json!({"type": "Webhook", "value": "w"}));
}

#[test]
fn resource_can_be_deleted_and_released() {
    for changes in changes() {
        let mut world = downgraded(1_000, &changes);
        world.delete().run_for(secs(60));
        assert!(world.gone() && world.service.cancels.len() == 1, "{changes:?}");
        let mut world = downgraded(1_000, &changes);
        world.annotate(RELEASE, Some("true")).delete().run_for(secs(1));
        assert!(world.gone() && world.event_count(Reason::Released) == 1, "{changes:?}");
    }
}

#[test]
fn cancellation_for_an_unknown_cause_is_completed() {
    for state in ["Cancelling", "Hibernating"] {
        let mut world = downgraded(1_000, &[("/run/state", json!(state)), ("/run/cancelCause", json!("Preemption"))]);
        world.run_for(secs(60)).is(RunState::Cancelled, Reason::Cancelled);
        assert!(world.run().message.contains("by a newer version of the operator (Preemption)"), "{}", world.run().message);
        assert_eq!(world.service.cancels.len(), 1);
    }
}

#[test]
fn submission_without_id_is_resolved_before_a_retry() {
    let changes = [("/run/state", json!("Negotiating")), ("/run/operationId", Value::Null)];
    let mut world = downgraded(600, &changes);
    world.run_for(secs(300)).is(RunState::Running, Reason::Running);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn unknown_end_is_kept_and_is_not_a_success() {
    let mut world = World::new(|_| {});
    world.service.length = secs(5);
    world.run_for(secs(30)).is(RunState::Succeeded, Reason::Succeeded);
    rewrite(&mut world, |status| {
        for place in ["/run/state", "/run/reason", "/history/0/state"] {
            *status.pointer_mut(place).unwrap() = json!("PartlySucceeded");
        }
    });
    world.run_for(secs(60));
    let after = shown(&world);
    assert_eq!((&after["run"]["state"], &after["history"][0]["state"]), (&json!("PartlySucceeded"), &json!("PartlySucceeded")));
    assert_eq!((world.service.submits, world.ready()), (1, ConditionStatus::False));
    assert!(world.holds(ConditionType::Finished) && !world.holds(ConditionType::Succeeded));
    // The next run is this version's own.
    world.annotate(RUN_REQUESTED_AT, Some("again")).run_for(secs(30)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(shown(&world)["history"][1]["state"], "PartlySucceeded");
    world.delete().run_for(secs(5));
    assert!(world.gone());
}

#[test]
fn conditions_of_a_newer_version_are_kept() {
    let mut world = downgraded(30, &[]);
    let mut condition = shown(&world)["conditions"][0].clone();
    condition["type"] = json!("Degraded");
    rewrite(&mut world, |status| status["conditions"].as_array_mut().unwrap().push(condition.clone()));
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert!(shown(&world)["conditions"].as_array().unwrap().contains(&condition));
}
