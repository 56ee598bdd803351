//! What changes nothing starts nothing, and what a status states is exact: defaults that are written out, deadlines, attempts, seconds.

use jiff::SignedDuration;

use super::world::{World, secs};
use crate::api::{CommitMode, ConcurrencyPolicy, Model, Reason, RefreshParameters, RunState, TriggerType};
use crate::operation::Phase;

type Edit = fn(&mut RefreshParameters);

/// Each default of the service, written out.
const DEFAULTS: [Edit; 5] = [
    |parameters| parameters.commit_mode = Some(CommitMode::Transactional),
    |parameters| parameters.max_parallelism = Some(10),
    |parameters| parameters.retry_count = Some(0),
    |parameters| parameters.apply_refresh_policy = Some(true),
    |parameters| parameters.attempt_timeout_seconds = Some(18_000),
];

fn on_power_bi() -> World {
    World::new(|spec| spec.model = Model::by_ids("f089354e".to_owned(), "cfafbeb1".to_owned()))
}

#[test]
fn default_that_is_written_out_starts_no_run() {
    for policy in [ConcurrencyPolicy::Queue, ConcurrencyPolicy::Replace, ConcurrencyPolicy::Forbid] {
        let mut world = on_power_bi();
        world.service.length = secs(60);
        world.edit(|spec| spec.concurrency_policy = policy).run_for(secs(30)).is(RunState::Running, Reason::Running);
        for write in DEFAULTS {
            world.edit(|spec| write(spec.refresh.as_mut().unwrap())).run_for(secs(1)).is(RunState::Running, Reason::Running);
            assert_eq!(world.status().queued, None);
        }
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        // Left out again, and in another order.
        world.edit(|spec| spec.refresh.as_mut().unwrap().retry_count = None).run_for(secs(60));
        world.edit(|spec| spec.refresh.as_mut().unwrap().commit_mode = None).restart().run_for(secs(60));
        assert_eq!((world.run().number, world.service.submits, world.ready()), (1, 1, crate::api::ConditionStatus::True), "{policy:?}");
    }
}

#[test]
fn value_other_than_the_default_starts_a_run() {
    let edits: [Edit; 5] = [
        |parameters| parameters.commit_mode = Some(CommitMode::PartialBatch),
        |parameters| parameters.max_parallelism = Some(11),
        |parameters| parameters.retry_count = Some(1),
        |parameters| parameters.apply_refresh_policy = Some(false),
        |parameters| parameters.attempt_timeout_seconds = Some(18_001),
    ];
    let mut world = on_power_bi();
    world.service.length = secs(3);
    for (runs, edit) in (2..).zip(edits) {
        world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
        world.edit(|spec| edit(spec.refresh.as_mut().unwrap())).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.run().trigger.r#type), (runs, TriggerType::Change));
    }
    // From a value to the default is a change, too.
    world.edit(|spec| spec.refresh.as_mut().unwrap().retry_count = Some(0)).run_for(secs(60));
    assert_eq!(world.run().number, 7);
}

#[test]
fn lost_submission_is_adopted_with_an_explicit_default() {
    let mut world = World::new(|_| {});
    world.service.submit_fates.push_back(super::service::SubmitFate::LostAfter);
    (world.service.length, world.service.lag) = (secs(200), secs(60));
    world.run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.edit(|spec| spec.refresh.as_mut().unwrap().retry_count = Some(0));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().number), (1, 1));
}

#[test]
fn attempt_has_no_operation_before_it_is_submitted() {
    let mut world = World::new(|spec| spec.backoff_limit = 2);
    world.service.length = secs(3);
    world.service.outcomes.extend([Phase::Failed, Phase::Failed]);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    let mut operations: Vec<(i32, &str)> = Vec::new();
    for run in world.statuses.iter().filter_map(|status| status.run.as_ref()) {
        let Some(id) = run.operation_id.as_deref() else { continue };
        if operations.last() != Some(&(run.attempt, id)) {
            operations.push((run.attempt, id));
        }
    }
    assert_eq!(operations, [(1, "op-1"), (2, "op-2"), (3, "op-3")]);
    // A run that ends before its next attempt names the last operation.
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    assert_eq!((world.run().attempt, world.run().operation_id.as_deref()), (2, None));
    world.annotate(crate::api::CANCEL_REQUESTED_AT, Some("a")).run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!(world.status().history[0].operation_id.as_deref(), Some("op-1"));
}

#[test]
fn deadline_is_not_shortened_by_a_time_in_whole_seconds() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 60);
    world.service.length = secs(1_000);
    // Submitted at the end of a second, recorded at its start.
    world.now += SignedDuration::from_millis(900);
    world.run_for(secs(59)).is(RunState::Running, Reason::Running);
    let submitted = world.now - SignedDuration::from_secs(59);
    world.restart().run_for(std::time::Duration::from_millis(900)).is(RunState::Running, Reason::Running);
    world.run_for(secs(40));
    let cancelled = world.statuses.iter().find(|status| status.run.as_ref().is_some_and(|run| run.state == RunState::Cancelling));
    assert!(cancelled.is_some() && world.now > submitted + SignedDuration::from_secs(60));

    let mut world = World::new(|spec| spec.wait_deadline_seconds = 60);
    world.now += SignedDuration::from_millis(900);
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(59)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.restart().run_for(std::time::Duration::from_millis(900)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.run_for(secs(3)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
}
