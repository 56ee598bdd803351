//! Triggers that join a run: a request or a change that came during an attempt is handled with the next one, however that ends.

use model::script::{World, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConflictPolicy, ModelRefreshSpec, RUN_REQUESTED_AT, Reason, RunState, TriggerType,
};
use tabular_operator::operation::Phase;

fn queued(world: &World) -> Option<(TriggerType, &str)> {
    world.status().queued.as_ref().map(|trigger| (trigger.r#type, trigger.value.as_str()))
}

fn set_token<'a>(world: &'a mut World, token: &str) -> &'a mut World {
    world.edit(|spec| spec.trigger.get_or_insert_default().token = Some(token.to_owned()))
}

/// A refresh that waits for its second attempt. During the first one, a request was accepted.
fn waiting_with_queued_request(edit: impl FnOnce(&mut ModelRefreshSpec)) -> World {
    let mut world = World::new(|spec| {
        spec.backoff_limit = 1;
        edit(spec);
    });
    world.service.outcomes.push_back(Phase::Failed);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2));
    world.annotate(RUN_REQUESTED_AT, None).run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    assert_eq!(queued(&world), Some((TriggerType::Request, "noon")));
    world
}

/// Asserts that an event reports the dropped request, besides [`handled_with_the_run`].
#[track_caller]
fn dropped_with_the_run(world: &World, values: &[&str]) {
    handled_with_the_run(world, values);
    assert_eq!(world.event_count(Reason::TriggerDropped), 1);
}

/// Asserts that the run is the only one, that nothing is queued, and that `lastHandledRequest` had these values.
#[track_caller]
fn handled_with_the_run(world: &World, values: &[&str]) {
    assert_eq!((world.run().number, queued(world), world.status().history.len()), (1, None, 1));
    assert_eq!(handled_requests(world), values);
}

/// The values of `lastHandledRequest`, in their order.
fn handled_requests(world: &World) -> Vec<&str> {
    let mut handled: Vec<&str> = world.statuses.iter().filter_map(|status| status.last_handled_request.as_deref()).collect();
    handled.dedup();
    handled
}

#[test]
fn queued_request_joins_the_next_attempt() {
    let mut world = waiting_with_queued_request(|_| {});
    world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.run().attempt, 2);
    handled_with_the_run(&world, &["noon"]);
}

#[test]
fn queued_request_ends_with_a_cancelled_attempt() {
    for later in [None, Some("one")] {
        let mut world = waiting_with_queued_request(|_| {});
        world.annotate(RUN_REQUESTED_AT, later);
        world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(1_000)).is(RunState::Cancelled, Reason::CancelledOnRequest);
        dropped_with_the_run(&world, &[later.unwrap_or("noon")]);
        // Both values were handled, and start nothing after a drift correction.
        world.annotate(RUN_REQUESTED_AT, later).restart().run_for(secs(1_000));
        dropped_with_the_run(&world, &[later.unwrap_or("noon")]);
    }
}

#[test]
fn queued_request_ends_with_an_attempt_that_waits_too_long() {
    let mut world = waiting_with_queued_request(|spec| spec.wait_deadline_seconds = 60);
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(1_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    dropped_with_the_run(&world, &["noon"]);
}

#[test]
fn queued_request_ends_with_an_attempt_that_conflicts() {
    let mut world = waiting_with_queued_request(|spec| spec.conflict_policy = ConflictPolicy::Fail);
    world.start_other_refresh(10_000, "full");
    world.run_for(secs(1_000)).is(RunState::Failed, Reason::Conflict);
    handled_with_the_run(&world, &["noon"]);
}

#[test]
fn change_that_came_during_an_attempt_ends_with_the_next_one() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    set_token(&mut world, "v1").run_for(secs(10)).is(RunState::Running, Reason::Running);
    set_token(&mut world, "v2").run_until(RunState::Waiting);
    assert_eq!(queued(&world), Some((TriggerType::Change, "v2")));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(1_000)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.run().number, queued(&world), world.status().last_handled_token.as_deref()), (1, None, Some("v2")));
    assert_eq!(world.event_count(Reason::TriggerDropped), 1);
}

#[test]
fn request_dropped_after_a_queued_one_stays_the_last_handled() {
    let mut world = World::new(|_| {});
    world.service.length = secs(600);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2));
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid);
    world.annotate(RUN_REQUESTED_AT, Some("one")).run_for(secs(2));
    assert_eq!((queued(&world), world.event_count(Reason::TriggerDropped)), (Some((TriggerType::Request, "noon")), 1));
    world.ahead = Some("bi/other".to_owned());
    world.run_until(RunState::Waiting).run_for(secs(60));
    assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "noon"));
    world.ahead = None;
    world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, handled_requests(&world)), (2, vec!["one"]));
}
