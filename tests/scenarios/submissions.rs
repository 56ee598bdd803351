//! Intent, submission, outcome: a crash or a lost response at any point leads to one operation in the end.

use model::script::{CallOutcome, Ended, SubmitOutcome, World, blocked, failed, model, secs, service_error, unreachable};
use tabular_operator::api::{RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{ClaimedOperations, Effect, EffectResult};
use tabular_operator::operation::{Listing, OperationKind, Phase, ServiceErrorKind};

/// The operator is killed at any step: one operation runs in the end.
pub(super) fn crashes_leave_one_operation(new: impl Fn() -> World) {
    for step in 0..24 {
        let mut world = new();
        world.crash_in = Some(step);
        world.run_for(secs(2));
        world.crash_in = None;
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.ops.len(), world.run().number, world.run().attempt), (1, 1, 1), "crash at step {step}");
    }
}

#[test]
fn crash_at_any_step_leaves_one_operation() {
    crashes_leave_one_operation(|| World::new(|_| {}));
}

#[test]
fn lost_submit_response_is_adopted_from_list() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((world.event_count(Reason::Adopted), world.run().operation_id.as_deref()), (1, Some("op-0")));
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn unlisted_submission_is_retried_after_visibility_timeout() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(149)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!(world.service.submits, 1);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().attempt), (2, 1));
}

#[test]
fn late_submission_is_adopted_from_lagging_list() {
    let mut world = World::new(|_| {});
    (world.service.lag, world.service.length) = (secs(119), secs(3));
    world.service.submit_outcomes.push_back(SubmitOutcome::Late(secs(29)));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.ops.len()), (1, 1));
}

#[test]
fn lost_submissions_end_at_the_wait_deadline() {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 1_000);
    world.service.submit_outcomes.extend((0..100).map(|_| SubmitOutcome::LostBefore));
    world.run_for(secs(10_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    assert!(world.service.submits < 10);
}

#[test]
fn unreadable_list_blocks_submission_and_is_reported_once() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.service.call_outcomes.extend((0..50).map(|_| CallOutcome::Failed(unreachable())));
    world.run_for(secs(5));
    let writes = world.writes;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::Retrying);
    assert_eq!((world.service.submits, world.writes), (1, writes));
    world.service.call_outcomes.clear();
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn unprepared_call_records_no_intent() {
    let mut world = World::new(|_| {});
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(600)).is(RunState::Waiting, Reason::SecretNotFound);
    assert_eq!((world.writes, world.run().submitted_time), (3, None), "the finalizer, why it waits, and that it stalls");
    world.preparation_failure = None;
    world.run_until(RunState::Running).is(RunState::Running, Reason::Running);
    assert_eq!((world.run().number, world.service.submits), (1, 1));
}

#[test]
fn stale_view_submits_and_ends_nothing() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(10));
    let (submits, writes) = (world.service.submits, world.writes);
    for age in 1..world.versions() {
        let ended = world.reconcile_once(Some(age));
        assert!(ended == Ended::Stale || world.writes == writes, "{age} versions back");
    }
    assert_eq!((world.service.submits, world.writes), (submits, writes));
}

#[test]
fn edit_during_unresolved_submission_does_not_affect_it() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(5));
    world.edit(|spec| spec.model = model("Other")).run_for(secs(100)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!((&world.run().model, world.status().observed_generation), (&model("Sales"), 2));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((&world.run().model, world.service.submits, world.run().number), (&model("Other"), 2, 1));
}

#[test]
fn suspension_blocks_retry_of_unlisted_submission() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(5));
    world.edit(|spec| spec.suspend = true).run_for(secs(600)).is(RunState::Waiting, Reason::Suspended);
    assert_eq!((world.service.submits, world.due()), (1, None));
    world.edit(|spec| spec.suspend = false).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().number), (2, 1));
}

#[test]
fn each_kind_of_refusal_is_reported_once() {
    let mut world = World::new(|_| ());
    let refusals = [
        ServiceErrorKind::Throttled,
        ServiceErrorKind::Throttled,
        ServiceErrorKind::Unreachable,
        ServiceErrorKind::Paused,
        ServiceErrorKind::Paused,
    ];
    world.service.submit_outcomes.extend(refusals.map(|kind| SubmitOutcome::Refused(service_error(kind))));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, refusals.len() + 1);
    assert_eq!((world.event_count(Reason::Retrying), world.event_count(Reason::ServerPaused)), (1, 1));
    assert_eq!((world.event_count(Reason::Running), world.event_count(Reason::Succeeded)), (1, 1));
    // Another run's is another.
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::Paused)));
    world.annotate(RUN_REQUESTED_AT, Some("again")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.event_count(Reason::ServerPaused), 2);
}

/// A permit, a token or the Lease was missing: nothing was sent, so there is nothing to learn from a list.
#[test]
fn deferred_submission_needs_no_list() {
    for kind in [ServiceErrorKind::Throttled, ServiceErrorKind::Unreachable, ServiceErrorKind::CredentialsRefused] {
        let mut world = World::new(|spec| spec.backoff_limit = 1);
        world.service.outcomes.push_back(Phase::Failed);
        world.preparation_failure = failed(kind);
        world.run_for(secs(20));
        world.preparation_failure = None;
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().attempt, world.service.submits, world.service.lists), (2, 2, 0), "{kind:?}");
    }
}

#[test]
fn deferred_second_attempt_needs_no_list() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_for(secs(10)).run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    world.preparation_failure = failed(ServiceErrorKind::Throttled);
    world.run_for(secs(20)).is(RunState::Waiting, Reason::Retrying);
    world.preparation_failure = None;
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.lists), (2, 0));
}

/// The lease was about to run out, the operator to be uninstalled, or the intent too old.
#[test]
fn submission_held_back_after_its_intent_needs_no_list() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.extend([SubmitOutcome::Deferred, SubmitOutcome::Deferred]);
    world.run_for(secs(2)).is(RunState::Waiting, Reason::Retrying);
    assert_eq!(world.run().submitted_time, None);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.ops.len(), world.service.lists, world.event_count(Reason::Retrying)), (1, 0, 1));
    // A refusal of the service is another matter: the list costs no write.
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(unreachable()));
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.ops.len(), world.service.lists), (1, 1));
}

#[test]
fn submission_held_back_ends_with_its_deletion() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.extend([SubmitOutcome::Deferred, SubmitOutcome::Deferred, SubmitOutcome::Deferred]);
    world.run_for(secs(1)).delete().run_for(secs(10));
    assert!(world.gone() && world.service.ops.is_empty() && world.service.lists == 0);
}

#[test]
fn list_of_the_previous_run_submits_nothing() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    world.annotate(RUN_REQUESTED_AT, Some("a"));
    let (kind, result) = (OperationKind::Refresh, Ok(Listing::default()));
    let decision = world.decide_at(world.now(), EffectResult::Listed { kind, result, claimed: ClaimedOperations::default() });
    assert_eq!((decision.effect, decision.requeue_after), (Effect::None, Some(secs(0))));
}

#[test]
fn trigger_is_recorded_before_the_list_is_read() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(10)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.annotate(RUN_REQUESTED_AT, Some("a"));
    let decision = world.decide_at(world.now() + secs(60), EffectResult::None);
    assert!(matches!(decision.effect, Effect::List(..)) && decision.status.queued.is_some(), "{decision:?}");
}
