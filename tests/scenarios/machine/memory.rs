//! What a resource keeps in memory between its reconciliations.

use std::sync::Arc;

use serde_json::json;

use super::flow::running;
use super::world::{Revision, World, at, refresh, request_names};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState, Status};
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, InMemoryState, Rejection};
use tabular_operator::operation::Phase;

#[test]
fn refused_removal_repeats_no_event() {
    let mut world = running();
    world.edit(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z"));
    let _ = world.reconcile();
    let (events, mut removals, mut now) = (world.events, 0, 180);
    // Another end is another event.
    for (phase, published) in [(Phase::Cancelled, 1), (Phase::Failed, 2)] {
        world.phase = phase;
        for _ in 0..6 {
            (world.now, now) = (at(now), now + 60);
            let _ = world.reconcile_with(|_, request| {
                let is_removal = matches!(request, DriverRequest::RemoveFinalizer { .. });
                is_removal.then_some(DriverResponse::Rejected(Rejection::Permanent))
            });
            removals += usize::from(request_names(&world).contains(&"removal"));
        }
        assert_eq!(world.events - events, published, "{phase:?}");
    }
    assert!(removals >= 5, "{removals}");
}

#[test]
fn cancel_request_that_is_not_kept_is_handled_once() {
    let mut world = running();
    world.edit(|object| object["metadata"]["annotations"] = json!({(CANCEL_REQUESTED_AT): "a"}));
    let without_field = |world: &mut World, request: &DriverRequest<Revision>| {
        let DriverRequest::WriteStatus { status, .. } = request else { return None };
        let status = Status { last_handled_cancel_request: None, ..(**status).clone() };
        world.edit(|object| object["status"] = serde_json::to_value(status).unwrap());
        Some(DriverResponse::Written(world.view().clone()))
    };
    let _ = world.reconcile_with(without_field);
    assert_eq!((request_names(&world), world.run().state), (vec!["status", "cancel"], RunState::Cancelling));
    let outcome = world.reconcile_with(without_field);
    assert!(request_names(&world).is_empty(), "{:?}", world.requests);
    assert!(outcome.requeue().is_some_and(|delay| !delay.is_zero()));
    // After a restart it is written once more.
    world.in_memory = InMemoryState::default();
    for requests in [vec!["status"], vec!["cancel"]] {
        let _ = world.reconcile_with(without_field);
        assert_eq!(request_names(&world), requests);
    }
    (world.now, world.phase) = (at(120), Phase::Cancelled);
    let _ = world.reconcile_with(without_field);
    assert_eq!((request_names(&world), world.run().state), (vec!["poll", "status"], RunState::Cancelled));
    // The next run is another one.
    world.edit(|object| object["metadata"]["annotations"][RUN_REQUESTED_AT] = json!("1"));
    world.phase = Phase::InProgress;
    for _ in 0..3 {
        let _ = world.reconcile_with(without_field);
    }
    assert_eq!((world.run().number, world.run().state), (2, RunState::Running));
    world.edit(|object| object["metadata"]["annotations"][CANCEL_REQUESTED_AT] = json!("b"));
    let _ = world.reconcile_with(without_field);
    assert_eq!((request_names(&world), world.run().state), (vec!["status", "cancel"], RunState::Cancelling));
}

#[test]
fn delay_between_removals_of_an_annotation_doubles() {
    let mut world = World::new(refresh(|object| object["spec"]["suspend"] = json!(true)));
    let delays = [0; 8].map(|_| {
        world.edit(|object| object["metadata"]["annotations"] = json!({(RUN_REQUESTED_AT): ""}));
        let delay = world.reconcile().requeue().unwrap_or_default();
        assert!(request_names(&world).contains(&"annotation"), "{:?}", world.requests);
        world.now += delay;
        delay.as_millis()
    });
    assert_eq!(delays, [0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000]);
}

#[test]
fn digests_of_a_pending_change_are_kept_between_decisions() {
    let mut world = running();
    assert_eq!(world.in_memory.memory.equivalents, None);
    world.edit(|object| object["spec"]["refresh"]["type"] = json!("calculate"));
    let mut reconcile = || {
        let _ = world.reconcile();
        world.in_memory.memory.equivalents.clone()
    };
    let (first, second) = (reconcile().unwrap(), reconcile().unwrap());
    assert!(Arc::ptr_eq(&first, &second), "computed once");
    world.edit(|object| object["spec"]["refresh"]["type"] = json!("full"));
    let _ = world.reconcile();
    assert_eq!(world.in_memory.memory.equivalents, None);
}
