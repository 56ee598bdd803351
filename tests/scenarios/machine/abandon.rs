//! A driver that stops at any point: no turn is left without a record behind it, and what may run is tracked.

use serde_json::json;

use super::flow::running;
use super::world::{Revision, UID, World, accepted, at, key, name, refresh, settings};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, Finish, QueueUpdate, Reconciliation, Tracking, View as _};
use tabular_operator::engine::{QueueState, queue_state};
use tabular_operator::operation::Phase;

/// Abandons a copy of the machine after each request, before and after the request is performed.
fn abandoned_at_each_request(mut world: World, mut check: impl FnMut(&World, &str, Reconciliation<Revision>)) -> Vec<String> {
    let mut machine = world.machine();
    let mut requests = Vec::new();
    let mut request = machine.handle(DriverResponse::Start(world.now));
    while !matches!(request, DriverRequest::Done(_)) {
        let what = name(&request);
        check(&world, &what, machine.clone());
        let response = world.perform(&request);
        check(&world, &format!("{what}, performed"), machine.clone());
        request = machine.handle(response);
        requests.push(what);
    }
    requests
}

fn fresh() -> World {
    World::new(refresh(|object| {
        object["metadata"]["finalizers"] = json!(null);
        object["metadata"]["annotations"] = json!({(RUN_REQUESTED_AT): ""});
    }))
}

fn ended() -> World {
    let mut world = running();
    (world.now, world.phase) = (at(120), Phase::Succeeded);
    world
}

/// Its operation is cancelled by now.
fn deleted() -> World {
    let mut world = running();
    world.edit(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:30Z"));
    let _ = world.reconcile();
    (world.now, world.phase) = (at(180), Phase::Cancelled);
    world
}

#[test]
fn abandoned_reconciliation_leaves_no_turn_without_a_record() {
    for (world, wanted) in [(fresh as fn() -> World, "submit"), (ended, "poll"), (deleted, "removal")] {
        let requests = abandoned_at_each_request(world(), |world_now, what, mut machine| {
            let mut queue = world_now.queue.clone();
            let outcome = machine.abandon(world_now.now);
            assert_eq!(outcome.finish, Finish::Failed, "{what}");
            match &outcome.queue {
                QueueUpdate::Set { model, state } => drop(queue.set(model, UID, &key(), *state)),
                QueueUpdate::Remove => drop(queue.remove(UID)),
                QueueUpdate::Keep => assert!(outcome.in_memory.reread, "{what}: kept without a read that ends it"),
            }
            let shows = |view: &Revision| queue_state(view.status(), world_now.now, &settings()) == QueueState::Holding;
            let backed = outcome.in_memory.reread || shows(&outcome.view);
            assert!(backed || !queue.holds(UID), "{what}: it holds a turn that no record shows");
            // And it never gives up one that is recorded, or may be.
            assert!(queue.holds(UID) || !world_now.server.as_ref().is_some_and(shows), "{what}: it has lost its turn");
        });
        assert!(requests.contains(&wanted.to_owned()), "{requests:?}");
    }
}

#[test]
fn turn_ends_with_its_submission_while_the_driver_waits() {
    let mut world = running();
    world.edit(|object| {
        let run = &mut object["status"]["run"];
        (run["state"], run["reason"], run["operationId"]) = (json!("Submitting"), json!("SecretNotFound"), json!(null));
        run["submittedTime"] = json!("2026-01-01T12:00:00Z");
    });
    let mut machine = world.machine();
    let _ = machine.handle(DriverResponse::Start(at(10)));
    let queue = |now| machine.clone().abandon(now).queue;
    assert!(matches!(queue(at(10)), QueueUpdate::Set { state: QueueState::Holding, .. }));
    assert_eq!(queue(at(3_600)), QueueUpdate::Remove, "the submission can no longer arrive");
}

#[test]
fn abandoned_reconciliation_tracks_what_may_run() {
    for world in [fresh, ended, deleted] {
        let _ = abandoned_at_each_request(world(), |world_now, what, mut machine| {
            let (view, sent) = (machine.view().clone(), what.starts_with("removal"));
            let run = view.status().run.as_ref().map(|run| run.state);
            let may_run = matches!(run, Some(RunState::Submitting | RunState::Running | RunState::Cancelling));
            let tracking = if may_run && !sent { Tracking::Track } else { Tracking::Untrack };
            assert_eq!(machine.abandon(world_now.now).tracking, tracking, "{what}");
        });
    }
}

#[test]
fn accepted_operation_is_remembered_wherever_the_driver_stops() {
    let mut known = Vec::new();
    let _ = abandoned_at_each_request(fresh(), |world, what, mut machine| {
        let on_record = world.server.as_ref().unwrap().0.status.as_ref().and_then(|status| status.run.as_ref()?.operation_id.clone());
        let accepted_before = known.last().is_some_and(|(_, is_known): &(String, bool)| *is_known);
        let outcome = machine.abandon(world.now);
        let is_known = outcome.in_memory.accepted_for(outcome.view.status()).map(|known| known.submission.clone());
        assert!(is_known.is_none() || is_known == Some(accepted()));
        assert!(!accepted_before || is_known.is_some() || on_record.is_some(), "{what}: the id is forgotten");
        known.push((what.to_owned(), is_known.is_some()));
    });
    assert!(known.iter().any(|(what, is_known)| what == "status" && *is_known), "{known:?}");
}

#[test]
fn machine_that_was_never_started_changes_nothing() {
    let world = running();
    let before = world.machine();
    let outcome = before.clone().abandon(world.now);
    assert_eq!((outcome.queue, outcome.tracking, &outcome.in_memory), (QueueUpdate::Keep, Tracking::Keep, before.in_memory()));
}

#[test]
fn finalizer_that_another_client_removed_keeps_what_was_tracked() {
    let mut world = running();
    world.edit(|object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:30Z");
        object["metadata"]["finalizers"] = json!(["acme.io/hold"]);
    });
    let outcome = world.reconcile();
    assert_eq!(outcome.tracking, Tracking::Keep);
    assert!(matches!(outcome.queue, QueueUpdate::Set { state: QueueState::None, .. }));
}
