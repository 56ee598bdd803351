//! Defaults of the service: an edit that writes one out requests nothing else, so it starts no run.

use model::script::{World, secs};
use tabular_operator::api::{CommitMode, ConcurrencyPolicy, Model, Reason, RefreshParameters, RunState, TriggerType};

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
