//! An operator that is about to be uninstalled: it starts no runs, and cancels running operations if requested.

use model::script::{SubmitOutcome, World, secs};
use tabular_operator::api::{DeletionPolicy, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::DrainMode;
use tabular_operator::operation::Phase;

fn running(edit: impl FnOnce(&mut tabular_operator::api::ModelRefreshSpec)) -> World {
    let mut world = World::new(edit);
    (world.service.length, world.service.cancels_after) = (secs(1_000), Some(secs(5)));
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

fn drain(world: &mut World, drain: Option<DrainMode>) -> &mut World {
    world.drain = drain;
    world.changed();
    world
}

#[test]
fn no_run_starts_before_an_uninstall() {
    let mut world = World::new(|_| {});
    drain(&mut world, Some(DrainMode::Wait)).run_for(secs(100));
    assert!(world.service.submits == 0 && world.writes == 0, "an operator that is gone would write nothing either");
    drain(&mut world, None).run_until(RunState::Succeeded);
    assert_eq!(world.service.submits, 1);
    world.annotate(RUN_REQUESTED_AT, Some("a"));
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(100));
    assert_eq!((world.service.submits, world.run().number), (1, 1));
    drain(&mut world, None).run_for(secs(300));
    assert_eq!((world.service.submits, world.run().number), (2, 2));
}

#[test]
fn waiting_run_keeps_waiting_during_an_uninstall() {
    let mut world = World::new(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.ahead = None;
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(200));
    world.is(RunState::Waiting, Reason::WaitingForTurn);
    assert_eq!(world.service.submits, 0);
    // The finalizer that is taken off before an uninstall is not put back.
    world.edit_metadata(|metadata| metadata.finalizers = None);
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(20));
    assert!(world.metadata().finalizers.is_none());
    drain(&mut world, None).run_until(RunState::Succeeded);
    assert!(world.metadata().finalizers.is_some());
}

#[test]
fn running_operation_is_cancelled_by_an_uninstall() {
    let mut world = running(|_| {});
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(30));
    world.is(RunState::Cancelled, Reason::Uninstalled);
    assert_eq!((world.service.cancels.len(), world.event_count(Reason::Uninstalled)), (1, 1));
    // It was requested once, and has been handled.
    drain(&mut world, None).run_for(secs(300)).is(RunState::Cancelled, Reason::Uninstalled);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn uncancelled_operation_continues_before_an_uninstall() {
    let mut world = running(|spec| spec.deletion_policy = DeletionPolicy::Orphan);
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(60)).is(RunState::Running, Reason::Running);
    let mut world = running(|_| {});
    drain(&mut world, Some(DrainMode::Wait)).run_for(secs(60)).is(RunState::Running, Reason::Running);
    world.run_until(RunState::Succeeded);
}

#[test]
fn uninstall_restores_a_finalizer_that_a_cancellation_needs() {
    for (policy, is_restored) in [(DeletionPolicy::Cancel, true), (DeletionPolicy::Orphan, false)] {
        let mut world = running(|spec| spec.deletion_policy = policy);
        drain(&mut world, Some(DrainMode::Wait));
        world.edit_metadata(|metadata| metadata.finalizers = None).run_for(secs(20)).is(RunState::Running, Reason::Running);
        assert_eq!(world.metadata().finalizers.is_some(), is_restored, "{policy:?}");
    }
}

#[test]
fn lost_response_is_resolved_during_an_uninstall() {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.lag) = (secs(1_000), secs(20));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(2));
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(200)).is(RunState::Cancelled, Reason::Uninstalled);
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2));
    drain(&mut world, Some(DrainMode::Cancel)).run_for(secs(300));
    assert_eq!((world.run().state, world.service.submits), (RunState::Waiting, 1));
}

#[test]
fn missed_time_is_reported_once_after_a_drain() {
    let at_hour = |world: &mut World, hour: u8| {
        world.edit(|spec| spec.trigger.get_or_insert_default().schedule = Some(format!("0 {hour} * * *")));
    };
    let mut world = World::new(|_| {});
    at_hour(&mut world, 13);
    world.run_for(secs(60));
    let submits = world.service.submits;
    drain(&mut world, Some(DrainMode::Wait)).run_for(secs(2 * 3_600));
    at_hour(&mut world, 18);
    for _ in 0..3 {
        drain(&mut world, Some(DrainMode::Wait)).run_for(secs(60));
    }
    assert_eq!(world.event_count(Reason::MissedSchedule), 0);
    drain(&mut world, None).run_for(secs(60));
    assert_eq!((world.event_count(Reason::MissedSchedule), world.service.submits), (1, submits));
}

#[test]
fn next_attempt_is_left_to_the_next_installation() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.service.length = secs(30);
    world.run_for(secs(10));
    drain(&mut world, Some(DrainMode::Wait)).run_for(secs(300));
    assert_eq!((world.run().state, world.service.submits), (RunState::Waiting, 1));
    drain(&mut world, None).run_until(RunState::Succeeded);
    assert_eq!(world.service.submits, 2);
}
