//! What starts a run, and what does not.

use model::script::{World, model, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT, ConditionStatus, ConditionType, ModelRefreshSpec, RUN_REQUESTED_AT, Reason, RefreshType,
    RunState, TriggerType, value_digest,
};

fn on_change(spec: &mut ModelRefreshSpec, value: bool) {
    spec.trigger.get_or_insert_default().on_change = Some(value);
}

fn token(spec: &mut ModelRefreshSpec, token: Option<&str>) {
    spec.trigger.get_or_insert_default().token = token.map(str::to_owned);
}

fn runs(world: &World) -> i32 {
    world.status().run.as_ref().map_or(0, |run| run.number)
}

#[test]
fn plain_run_costs_four_writes_and_one_submission() {
    let mut world = World::new(|_| {});
    world.service.length = secs(5);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.writes, world.service.submits), (4, 1), "finalizer, intent, running, end");
    assert_eq!(world.run().trigger.r#type, TriggerType::Creation);
    assert_eq!(world.ready(), ConditionStatus::True);
    assert!(world.holds(ConditionType::Succeeded) && world.holds(ConditionType::Finished));
    assert!(!world.holds(ConditionType::Reconciling) && !world.holds(ConditionType::Stalled));
    assert_eq!(world.events.len(), 2, "{:?}", world.events);
    assert_eq!((world.status().history.len(), world.due()), (1, None));
}

#[test]
fn unchanged_apply_starts_no_run() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    let writes = world.writes;
    for _ in 0..50 {
        world.restart().run_for(secs(10));
    }
    assert_eq!((runs(&world), world.writes), (1, writes));
}

#[test]
fn creation_starts_no_run_without_on_change() {
    let mut world = World::new(|spec| {
        on_change(spec, false);
        token(spec, Some("v1"));
    });
    world.run_for(secs(60));
    assert_eq!((runs(&world), world.service.submits, world.ready()), (0, 0, ConditionStatus::True));
    assert_eq!(world.writes, 1, "only that it was seen");
    world.edit(|spec| spec.model = model("Other")).run_for(secs(60));
    world.edit(|spec| on_change(spec, true)).run_for(secs(60));
    assert_eq!(runs(&world), 0, "what changed while onChange was false has been handled");
}

#[test]
fn only_a_change_of_the_work_starts_a_run() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    world.edit(|spec| spec.active_deadline_seconds = 60).run_for(secs(60));
    world.edit(|spec| spec.history_limit = 3).run_for(secs(60));
    assert_eq!((runs(&world), world.status().observed_generation), (1, 3));
    world.edit(|spec| spec.refresh.as_mut().unwrap().r#type = RefreshType::Calculate).run_for(secs(300));
    assert_eq!((runs(&world), world.run().trigger.r#type), (2, TriggerType::Change));
    world.is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.status().observed_generation, 4);
}

#[test]
fn edit_is_never_finished_before_its_run() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    let seen = world.statuses.len();
    world.edit(|spec| token(spec, Some("v2"))).run_for(secs(300));
    let first = &world.statuses[seen];
    assert_eq!((first.observed_generation, first.run.as_ref().unwrap().number), (2, 2));
}

#[test]
fn new_token_starts_a_run_and_its_removal_none() {
    let mut world = World::new(|spec| on_change(spec, false));
    world.run_for(secs(60));
    world.edit(|spec| token(spec, Some("v1"))).run_for(secs(300));
    assert_eq!((runs(&world), world.run().trigger.value.as_str()), (1, "v1"));
    world.edit(|spec| token(spec, None)).run_for(secs(300));
    assert_eq!(runs(&world), 1);
    world.edit(|spec| token(spec, Some("v2"))).run_for(secs(300));
    assert_eq!(runs(&world), 2);
}

#[test]
fn only_a_new_run_request_starts_a_run() {
    let mut world = World::new(|spec| on_change(spec, false));
    world.run_for(secs(60));
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(300));
    assert_eq!((runs(&world), world.run().trigger.r#type), (1, TriggerType::Request));
    // A drift correction takes it off and puts it back.
    world.annotate(RUN_REQUESTED_AT, None).run_for(secs(300));
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(300));
    assert_eq!(runs(&world), 1);
    world.annotate(RUN_REQUESTED_AT, Some("one")).run_for(secs(300));
    assert_eq!(runs(&world), 2);
}

#[test]
fn simultaneous_triggers_start_one_run() {
    let mut world = World::new(|spec| token(spec, Some("v1")));
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(300));
    assert_eq!((runs(&world), world.run().trigger.r#type), (1, TriggerType::Request));
    world.edit(|spec| {
        token(spec, Some("v2"));
        spec.model = model("Other");
    });
    world.annotate(RUN_REQUESTED_AT, Some("one")).run_for(secs(600));
    assert_eq!(runs(&world), 2);
}

#[test]
fn triggers_during_suspension_start_one_run() {
    let mut world = World::new(|spec| spec.suspend = true);
    world.run_for(secs(60));
    assert_eq!((runs(&world), world.ready(), world.due()), (0, ConditionStatus::False, None));
    assert!(!world.holds(ConditionType::Stalled) && !world.holds(ConditionType::Reconciling));
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(60));
    world.edit(|spec| token(spec, Some("v2"))).run_for(secs(60));
    world.edit(|spec| spec.suspend = false).run_for(secs(600));
    assert_eq!((runs(&world), world.service.submits), (1, 1));
}

#[test]
fn suspension_does_not_stop_a_running_operation() {
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    world.edit(|spec| spec.suspend = true).run_for(secs(2));
    assert_eq!(world.status().observed_generation, 2);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.ready(), ConditionStatus::True);
}

#[test]
fn finalizer_precedes_the_first_submission() {
    let mut world = World::new(|_| {});
    world.crash_in = Some(0);
    for crash in 0..6 {
        world.crash_in = Some(crash);
        world.reconcile_once(None);
        let protected = world.metadata().finalizers.as_ref().is_some_and(|all| !all.is_empty());
        assert!(protected || world.service.submits == 0);
    }
    // A client replaces the whole object, and the finalizer with it.
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    world.edit_metadata(|metadata| metadata.finalizers = None);
    world.edit(|spec| spec.history_limit = 5).run_for(secs(5));
    assert!(world.metadata().finalizers.as_ref().is_some_and(|all| all.len() == 1));
}

#[test]
fn removed_request_of_a_waiting_run_runs_once() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    world.ahead = Some("bi/other".to_owned());
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(60)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.annotate(RUN_REQUESTED_AT, None).run_for(secs(60));
    world.ahead = None;
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(300));
    assert_eq!((runs(&world), world.service.submits), (2, 2));
}

#[test]
fn digest_that_an_earlier_build_recorded_counts_as_the_value() {
    let value = "a=1&".repeat(50);
    let mut world = World::new(|spec| spec.trigger.get_or_insert_default().token = Some(value.clone()));
    for annotation in [RUN_REQUESTED_AT, CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT] {
        world.annotate(annotation, Some(&value));
    }
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    let checks = world.checks;
    world.edit_status(|status| {
        let digest = || value_digest(&value);
        (status.last_handled_token, status.last_handled_request) = (Some(digest()), Some(digest()));
        status.last_handled_cancel_request = Some(digest());
        status.check.as_mut().unwrap().request = digest();
    });
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits, world.checks), (1, 1, checks));
    assert_eq!((checks, world.event_count(Reason::NotCancelled)), (1, 0));
}
