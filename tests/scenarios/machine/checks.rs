//! Checks: when the machine performs one, and how it keeps and records the result.

use std::time::Duration;

use serde_json::json;

use super::flow::running;
use super::world::{Revision, World, at, request_names};
use tabular_operator::api::{CHECK_REQUESTED_AT, Status};
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, Finish, Rejection, View as _};
use tabular_operator::operation::Phase;

#[test]
fn check_follows_the_last_decision_and_its_result_is_kept() {
    let mut world = running();
    world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): "a"}));
    // The driver stops during the check.
    let mut machine = world.machine();
    let mut request = machine.handle(DriverResponse::Start(world.now));
    while !matches!(request, DriverRequest::RunCheck { .. }) {
        let response = world.perform(&request);
        request = machine.handle(response);
    }
    let outcome = machine.abandon(world.now);
    assert!(outcome.in_memory.check.is_none());
    world.apply(&outcome);
    // The write of the result is rejected, so the next reconciliation writes it without another check.
    let outcome = world.reconcile_with(|_, request| {
        matches!(request, DriverRequest::WriteStatus { .. }).then_some(DriverResponse::Rejected(Rejection::Temporary))
    });
    assert_eq!((request_names(&world), outcome.finish), (vec!["check", "status"], Finish::Failed));
    let outcome = world.reconcile();
    assert_eq!((request_names(&world), outcome.in_memory.check), (vec!["status"], None));
    assert_eq!(world.view().status().check.as_ref().map(|check| check.request.as_str()), Some("a"));
    let _ = world.reconcile();
    assert!(request_names(&world).is_empty(), "{:?}", world.requests);
}

#[test]
fn request_before_the_last_result_is_written_is_checked_later() {
    for (next, requeue) in [("a", None), ("b", Some(Duration::from_secs(10)))] {
        let mut world = running();
        (world.now, world.phase) = (at(120), Phase::Succeeded);
        let _ = world.reconcile();
        world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): "a"}));
        let _ = world.reconcile_with(|_, request| {
            matches!(request, DriverRequest::WriteStatus { .. }).then_some(DriverResponse::Rejected(Rejection::Temporary))
        });
        world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): next}));
        // Nothing else causes a reconciliation: the write is the operator's own.
        let outcome = world.reconcile();
        assert_eq!((request_names(&world), outcome.finish), (vec!["status"], Finish::Settled { requeue }), "{next}");
    }
}

#[test]
fn result_that_the_definition_drops_is_written_once() {
    let mut world = running();
    world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): "a"}));
    let without_field = |world: &mut World, request: &DriverRequest<Revision>| {
        let DriverRequest::WriteStatus { status, .. } = request else { return None };
        let status = Status { check: None, ..(**status).clone() };
        world.edit(|object| object["status"] = serde_json::to_value(status).unwrap());
        Some(DriverResponse::Written(world.view().clone()))
    };
    let outcome = world.reconcile_with(without_field);
    assert_eq!((request_names(&world), outcome.in_memory.check), (vec!["check", "status"], None));
    for _ in 0..3 {
        let _ = world.reconcile_with(without_field);
        assert!(request_names(&world).is_empty(), "{:?}", world.requests);
    }
    // The next request is tried once as well, and after an upgrade of the definition it has a result.
    world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): "b"}));
    let _ = world.reconcile_with(without_field);
    assert_eq!(request_names(&world), ["check", "status"]);
    world.edit(|object| object["metadata"]["annotations"] = json!({(CHECK_REQUESTED_AT): "c"}));
    let _ = world.reconcile();
    assert_eq!(world.view().status().check.as_ref().map(|check| check.request.as_str()), Some("c"));
}
