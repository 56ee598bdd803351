//! `concurrencyPolicy: Forbid` drops occurrences, and a declared change is never reported as done before it has run.

use model::script::{World, model, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConditionStatus, ConditionType, ModelRefreshSpec, RUN_REQUESTED_AT, Reason, RefreshType,
    RunState, Status, TriggerType,
};
use tabular_operator::engine::EffectResult;
use tabular_operator::operation::{Phase, PollResult, ServiceErrorKind};

fn running() -> World {
    let mut world = World::new(|spec| {
        spec.concurrency_policy = ConcurrencyPolicy::Forbid;
        spec.trigger.get_or_insert_default().token = Some("v1".to_owned());
    });
    world.service.length = secs(600);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

fn token(spec: &mut ModelRefreshSpec, token: &str) {
    spec.trigger.get_or_insert_default().token = Some(token.to_owned());
}

#[track_caller]
fn not_run(world: &World) {
    let ready = world.condition(ConditionType::Ready).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, Reason::ChangeNotRun.as_str()), "{}", ready.message);
    assert!(world.holds(ConditionType::Reconciling) && !world.holds(ConditionType::Stalled), "tools wait for it");
    assert!(!world.holds(ConditionType::Finished) && !world.holds(ConditionType::Succeeded));
}

/// Whether a status claims success of a generation.
fn claims(status: &Status, generation: i64) -> bool {
    status.observed_generation == generation
        && status.conditions.iter().any(|condition| {
            matches!(condition.r#type, ConditionType::Ready | ConditionType::Succeeded) && condition.status == ConditionStatus::True
        })
}

#[test]
fn declared_change_is_not_ready_until_it_has_run() {
    let edits: [fn(&mut ModelRefreshSpec); 4] = [
        |spec| token(spec, "v2"),
        |spec| spec.refresh.as_mut().unwrap().r#type = RefreshType::Calculate,
        |spec| spec.model = model("Other"),
        |spec| {
            token(spec, "v2");
            spec.refresh.as_mut().unwrap().max_parallelism = Some(3);
        },
    ];
    for edit in edits {
        let mut world = running();
        world.edit(edit).run_for(secs(5));
        not_run(&world);
        assert_eq!(world.status().last_handled_token.as_deref(), Some("v1"), "it has not run");
        assert_eq!((world.event_count(Reason::ChangeNotRun), &world.status().queued), (1, &None));
        world.restart().run_for(secs(100));
        not_run(&world);
        world.run_until(RunState::Succeeded).run_for(secs(300));
        let begun = world.statuses.iter().position(|status| status.run.as_ref().is_some_and(|run| run.number == 2)).unwrap();
        assert!(world.statuses[..begun].iter().all(|status| !claims(status, 2)), "a success before the change has run");
        world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits, world.ready()), (2, 2, ConditionStatus::True));
        assert_eq!((world.run().trigger.r#type, world.event_count(Reason::TriggerDropped)), (TriggerType::Change, 0));
        let wanted = world.spec().trigger.as_ref().unwrap().token.clone();
        assert_eq!(world.status().last_handled_token, wanted);
        assert_eq!(world.event_count(Reason::ChangeNotRun), 1);
    }
}

#[test]
fn the_end_of_the_run_is_recorded_as_not_ready() {
    let mut world = running();
    world.edit(|spec| token(spec, "v2")).run_until(RunState::Succeeded);
    let ended = |status: &&Status| status.run.as_ref().is_some_and(|run| run.number == 1 && run.state.ended());
    let end = world.statuses.iter().find(ended).unwrap();
    let ready = end.conditions.iter().find(|condition| condition.r#type == ConditionType::Ready).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, Reason::ChangeNotRun.as_str()));
    assert_eq!(world.event_count(Reason::Succeeded), 2, "and both ends are reported");
}

#[test]
fn dropped_request_keeps_the_change() {
    let mut world = running();
    world.edit(|spec| token(spec, "v2"));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(5));
    not_run(&world);
    assert_eq!((world.event_count(Reason::TriggerDropped), world.status().last_handled_request.as_deref()), (1, Some("a")));
    assert_eq!(world.status().last_handled_token.as_deref(), Some("v1"));
    // Nor where it comes first.
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(5));
    world.run_for(secs(3_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str(), world.event_count(Reason::TriggerDropped)), (2, "v2", 2));
}

#[test]
fn a_change_that_is_taken_back_starts_nothing() {
    let mut world = running();
    world.edit(|spec| token(spec, "v2")).run_for(secs(5));
    world.edit(|spec| token(spec, "v1")).run_for(secs(5));
    assert_eq!(world.ready(), ConditionStatus::Unknown);
    world.run_for(secs(3_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.ready()), (1, ConditionStatus::True), "the run was for this very spec");
}

#[test]
fn occurrences_behind_a_change_are_dropped_too() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid).dependent();
    world.edit(|spec| spec.trigger.as_mut().unwrap().on_change = Some(true));
    world.service.length = secs(600);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.edit(|spec| token(spec, "v2")).run_for(secs(5));
    world.upstream_ends(RunState::Succeeded, 20);
    world.run_for(secs(5));
    assert_eq!((world.event_count(Reason::TriggerDropped), world.status().last_upstream_run.as_ref().unwrap().number), (1, 1));
    not_run(&world);
    world.run_for(secs(3_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "v2"));
}

#[test]
fn a_change_that_cannot_run_yet_stays_not_ready() {
    let mut world = running();
    world.edit(|spec| {
        token(spec, "v2");
        spec.suspend = true;
    });
    world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.ready(), ConditionStatus::False);
    assert_eq!(world.status().last_handled_token.as_deref(), Some("v1"));
    world.edit(|spec| spec.suspend = false).run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.ready()), (2, ConditionStatus::True));
}

#[test]
fn a_stalled_run_is_reported_before_the_change() {
    let mut world = running();
    world.edit(|spec| token(spec, "v2")).run_for(secs(5));
    not_run(&world);
    let error = model::script::service_error(ServiceErrorKind::AccessDenied);
    world.preparation_failure = Some(EffectResult::Polled(PollResult::Failed(error)));
    world.run_for(secs(100));
    let ready = world.condition(ConditionType::Ready).unwrap();
    assert_eq!(ready.reason, Reason::AccessDenied.as_str());
    assert!(world.holds(ConditionType::Stalled));
    world.preparation_failure = None;
    world.run_for(secs(100));
    not_run(&world);
}

#[test]
fn the_change_runs_however_the_run_ends() {
    for (outcome, backoff) in [(Phase::Failed, 0), (Phase::Failed, 1), (Phase::Cancelled, 0)] {
        let mut world = World::new(|spec| {
            spec.concurrency_policy = ConcurrencyPolicy::Forbid;
            spec.backoff_limit = backoff;
        });
        world.service.outcomes.push_back(outcome);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        world.edit(|spec| token(spec, "v2")).run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
        // A fresh attempt is for the change already.
        assert_eq!((world.run().number, world.service.submits), (2 - backoff, 2));
        assert_eq!(world.status().last_handled_token.as_deref(), Some("v2"));
    }
    let mut world = running();
    world.edit(|spec| token(spec, "v2")).run_for(secs(5));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.status().history[1].state), (2, RunState::Cancelled));
}

#[test]
fn what_another_policy_accepted_runs() {
    let mut world = running();
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Queue);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(5));
    assert!(world.status().queued.is_some());
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid).run_for(secs(5));
    assert_eq!((world.event_count(Reason::TriggerDropped), &world.status().last_handled_request), (0, &None));
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(3_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str(), world.event_count(Reason::TriggerDropped)), (2, "a", 1));
}

#[test]
fn token_that_is_removed_during_the_run_is_forgotten() {
    let mut world = running();
    world.edit(|spec| spec.trigger.get_or_insert_default().token = None).run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!(world.status().last_handled_token, None);
}
