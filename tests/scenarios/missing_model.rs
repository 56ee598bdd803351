//! The service reports the model as not found while an operation on it may be running: it was deleted, or the identity lost its access.

use model::script::{SubmitOutcome, World, secs, service_error};
use tabular_operator::api::{RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{DecisionMemory, Effect, EffectResult};
use tabular_operator::operation::{ModelExistence, OperationKind, PollResult, ServiceErrorKind};

/// What runs on a deleted model ends with it.
fn delete_model(world: &mut World) {
    world.service.unknown = Some(ModelExistence::Absent);
    for op in &mut world.service.ops {
        op.lost = true;
    }
}

/// A run whose operation the service has shown for a while.
fn running(kind: OperationKind) -> World {
    let mut world = if kind == OperationKind::Sync { World::sync(|_| {}) } else { World::new(|_| {}) };
    world.service.length = secs(100_000);
    world.run_for(secs(300)).is(RunState::Running, Reason::Running);
    world
}

#[test]
fn deleted_model_ends_its_run_after_the_list_lag() {
    for kind in [OperationKind::Refresh, OperationKind::Sync] {
        let mut world = running(kind);
        delete_model(&mut world);
        world.run_for(secs(100)).is(RunState::Running, Reason::ModelNotFound);
        assert!(world.run().message.contains("the run ends at 2026-01-01T12:"), "{}", world.run().message);
        world.run_for(secs(60)).is(RunState::Failed, Reason::OperationLost);
        assert!(world.run().message.contains("the model was deleted"), "{}", world.run().message);
        let calls = (world.service.polls, world.service.lists, world.service.finds);
        assert!(world.service.finds <= 4, "{calls:?}");
        world.run_for(secs(10_000));
        assert_eq!((world.service.polls, world.service.lists, world.service.finds), calls, "it is over");
    }
}

#[test]
fn lost_access_ends_no_run_and_is_checked_once_a_minute() {
    for existence in [
        ModelExistence::Failed(service_error(ServiceErrorKind::NotFound)),
        ModelExistence::Failed(service_error(ServiceErrorKind::AccessDenied)),
    ] {
        let mut world = running(OperationKind::Refresh);
        world.service.unknown = Some(existence);
        world.run_for(secs(36_000));
        assert_eq!(world.run().state, RunState::Running);
        assert!((300..=800).contains(&world.service.finds), "{} in ten hours", world.service.finds);
        world.service.unknown = None;
        world.run_for(secs(300)).is(RunState::Running, Reason::Running);
    }
}

#[test]
fn restored_model_keeps_its_run() {
    let mut world = running(OperationKind::Refresh);
    world.service.unknown = Some(ModelExistence::Absent);
    world.run_for(secs(100)).is(RunState::Running, Reason::ModelNotFound);
    world.service.unknown = None;
    world.run_for(secs(100)).is(RunState::Running, Reason::Running);
    // The count starts again.
    delete_model(&mut world);
    world.run_for(secs(100)).is(RunState::Running, Reason::ModelNotFound);
}

#[test]
fn contradiction_ends_no_run() {
    let mut world = running(OperationKind::Refresh);
    world.service.unknown = Some(ModelExistence::Exists);
    world.run_for(secs(3_600)).is(RunState::Running, Reason::Retrying);
    assert!(world.run().message.contains("the service lists the model"), "{}", world.run().message);
}

/// The status of query scale-out is that of the model, so a 404 does not concern the sync.
#[test]
fn sync_whose_status_is_missing_once_continues() {
    let mut world = running(OperationKind::Sync);
    let missing = EffectResult::Polled(PollResult::Failed(service_error(ServiceErrorKind::NotFound)));
    let check = world.decide(world.status(), &DecisionMemory::default(), missing);
    assert_eq!(check.effect, Effect::FindModel);
    let found = EffectResult::ModelChecked(ModelExistence::Exists);
    let status = world.decide(&check.status, &DecisionMemory::default(), found).status;
    assert_eq!(status.run.as_ref().unwrap().state, RunState::Running);
    world.edit_status(|recorded| *recorded = status).run_for(secs(300)).is(RunState::Running, Reason::Running);
}

#[test]
fn deletion_releases_only_if_the_model_is_gone() {
    let mut world = running(OperationKind::Refresh);
    world.service.unknown = Some(ModelExistence::Failed(service_error(ServiceErrorKind::NotFound)));
    world.delete().run_for(secs(3_600));
    assert!(!world.gone(), "the operation may still be running");
    delete_model(&mut world);
    world.run_for(secs(200));
    assert!(world.gone());
}

#[test]
fn unresolved_submission_ends_with_its_model() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.lag = secs(1_000);
    world.run_for(secs(10));
    delete_model(&mut world);
    world.run_for(secs(400)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!((world.service.submits, world.due()), (1, None));
    // A new trigger names the current value.
    (world.service.unknown, world.service.lag) = (None, secs(0));
    world.annotate(RUN_REQUESTED_AT, Some("again")).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn any_response_to_a_poll_of_a_lost_operation_ends_its_run() {
    for kind in [ServiceErrorKind::Rejected, ServiceErrorKind::ServerError, ServiceErrorKind::NotFound] {
        for deleted in [false, true] {
            let mut world = running(OperationKind::Refresh);
            world.service.cancels_after = None;
            (world.service.poll_error, world.service.ops[0].lost) = (Some(service_error(kind)), true);
            if deleted {
                world.delete().run_for(secs(1_800));
                assert!(world.gone(), "{kind:?}");
            } else {
                world.run_for(secs(1_800)).is(RunState::Failed, Reason::OperationLost);
            }
        }
        // The list shows that it is running.
        let mut world = running(OperationKind::Refresh);
        world.service.poll_error = Some(service_error(kind));
        let lists = world.service.lists;
        world.run_for(secs(3_600));
        assert_eq!(world.run().state, RunState::Running, "{kind:?}");
        assert!((1..=80).contains(&(world.service.lists - lists)), "{kind:?}: {}", world.service.lists - lists);
    }
}
