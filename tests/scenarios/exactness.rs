//! An edit that does not change the request starts no run; deadlines, attempts and times in the status are exact.

use jiff::SignedDuration;

use model::script::{World, secs};
use tabular_operator::api::{CommitMode, ConcurrencyPolicy, Model, Reason, RefreshParameters, RunState, Status, TriggerType};
use tabular_operator::engine::{EffectResult, Turn};
use tabular_operator::operation::Phase;

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
        assert_eq!(
            (world.run().number, world.service.submits, world.ready()),
            (1, 1, tabular_operator::api::ConditionStatus::True),
            "{policy:?}"
        );
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
    world.service.submit_outcomes.push_back(model::script::SubmitOutcome::LostAfter);
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
    assert_eq!(operations, [(1, "op-0"), (2, "op-1"), (3, "op-2")]);
    // A run that ends before its next attempt names the last operation.
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    assert_eq!((world.run().attempt, world.run().operation_id.as_deref()), (2, None));
    world
        .annotate(tabular_operator::api::CANCEL_REQUESTED_AT, Some("a"))
        .run_for(secs(60))
        .is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!(world.status().history[0].operation_id.as_deref(), Some("op-0"));
}

#[test]
fn deadline_is_not_shortened_by_a_time_in_whole_seconds() {
    let mut world = World::new(|spec| (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60));
    world.service.length = secs(1_000);
    // Requested and submitted at the end of the second in which they are recorded, so 60 s later is in the second after that.
    let at = |world: &World, millis, effect_result| world.decide_at(world.now() + SignedDuration::from_millis(millis), effect_result);
    let behind = EffectResult::Turn(Turn::Behind("bi/other".to_owned()));
    let start = world.now();
    world.ahead = Some("bi/other".to_owned());
    world.reconcile_once(None);
    assert_eq!((world.run().state, world.run().requested_time.timestamp()), (RunState::Waiting, start));
    assert_eq!(at(&world, 60_900, behind.clone()).status.run.unwrap().state, RunState::Waiting);
    assert_eq!(at(&world, 61_000, behind).status.run.unwrap().reason, Reason::WaitDeadlineExceeded.as_str());
    world.ahead = None;
    world.changed().reconcile_once(None);
    assert_eq!((world.run().state, world.run().submitted_time.unwrap().timestamp()), (RunState::Running, start));
    assert_eq!(at(&world, 60_900, EffectResult::None).status.run.unwrap().state, RunState::Running);
    assert_eq!(at(&world, 61_000, EffectResult::None).status.run.unwrap().state, RunState::Cancelling);
}

#[test]
fn empty_status_is_read_as_unobserved() {
    assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
    assert_eq!(Status::default().observed_generation, -1);
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    let text = serde_json::to_string(world.status()).unwrap();
    assert!(!text.contains("null"), "{text}");
}
