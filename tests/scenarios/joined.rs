//! Triggers that join a run: a request or a change that came during an attempt is handled with the next one, however that ends. One that
//! came while a submission was unresolved joins the run only if it is submitted again.

use model::script::{SubmitOutcome, World, blocked, failed, secs, unreachable};
use tabular_operator::api::{
    ADOPT, CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConflictPolicy, ModelRefreshSpec, RUN_REQUESTED_AT, Reason, RunState, TriggerType,
};
use tabular_operator::operation::{Phase, ServiceErrorKind};

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

/// A run whose submission got no response. The service shows its operation a minute later.
fn unresolved(outcome: SubmitOutcome) -> World {
    let mut world = World::new(|_| {});
    world.service.lag = secs(60);
    world.service.submit_outcomes.push_back(outcome);
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world
}

/// Requests a run, and removes the annotation after the operator has seen it.
#[track_caller]
fn request_briefly(world: &mut World) {
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(1));
    assert_eq!((world.run().state, queued(world)), (RunState::Submitting, Some((TriggerType::Request, "noon"))));
    let writes = world.writes;
    world.annotate(RUN_REQUESTED_AT, None).run_for(secs(1));
    assert_eq!(world.writes, writes);
}

#[test]
fn request_during_unresolved_submission_starts_a_run() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    request_briefly(&mut world);
    world.restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str(), world.service.submits), (2, "noon", 2));
}

#[test]
fn request_during_held_submission_starts_a_run() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    world.service.truncated = true;
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    request_briefly(&mut world);
    world.annotate(ADOPT, Some("op-0")).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str(), world.service.submits), (2, "noon", 2));
}

#[test]
fn request_is_recorded_while_calls_fail() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    world.service.truncated = true;
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.service.poll_error = Some(unreachable());
    world.annotate(ADOPT, Some("op-0"));
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(1));
    assert_eq!(queued(&world), Some((TriggerType::Request, "noon")));
    for failure in [failed(ServiceErrorKind::AccessDenied), blocked(Reason::SecretNotFound)] {
        let mut world = unresolved(SubmitOutcome::LostAfter);
        world.preparation_failure = failure;
        set_token(&mut world, "v2").run_for(secs(1));
        assert_eq!((world.run().state, queued(&world)), (RunState::Submitting, Some((TriggerType::Change, "v2"))));
    }
}

#[test]
fn reverted_change_during_unresolved_submission_starts_no_run() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    set_token(&mut world, "v2").run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!(queued(&world), Some((TriggerType::Change, "v2")));
    world.edit(|spec| spec.trigger = None).run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!((queued(&world), world.event_count(Reason::TriggerDropped)), (None, 1));
    world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (1, 1));
}

#[test]
fn request_during_lost_submission_joins_its_repetition() {
    let mut world = unresolved(SubmitOutcome::LostBefore);
    request_briefly(&mut world);
    world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.ops.len()), (2, 1));
    handled_with_the_run(&world, &["noon"]);
}

#[test]
fn request_after_a_cancelled_submission_starts_a_run() {
    let mut world = unresolved(SubmitOutcome::LostBefore);
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(1));
    request_briefly(&mut world);
    world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().trigger.value.as_str(), world.service.submits), (2, "noon", 2));
    assert_eq!((world.status().history[1].state, world.event_count(Reason::TriggerDropped)), (RunState::Cancelled, 0));
}

#[test]
fn unresolved_submission_accepts_nothing_under_forbid() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!(queued(&world), None);
    world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.event_count(Reason::TriggerDropped)), (1, 1));
}

#[test]
fn deleted_resource_accepts_nothing_while_submitting() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).delete().run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!(queued(&world), None);
}
