//! The annotation `cancel-requested-at`: it ends only the run that is in progress when it is set, and once.

use model::script::{CallOutcome, SubmitOutcome, World, blocked, failed, secs, service_error, unreachable};
use tabular_operator::api::{
    ADOPT, CANCEL_REQUESTED_AT, CancelCause, ConcurrencyPolicy, ConditionStatus, RESUBMIT, RUN_REQUESTED_AT, Reason, RunState, TriggerType,
};
use tabular_operator::engine::reconcile::PlannedCall;
use tabular_operator::operation::{CancelResult, Phase, ServiceError, ServiceErrorKind};

fn cancel(world: &mut World, value: &str) {
    world.annotate(CANCEL_REQUESTED_AT, Some(value));
}

/// One that runs for long, and would be attempted again if it failed.
fn running() -> World {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.length = secs(1_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

/// A run whose submission got no response.
fn unresolved(outcome: SubmitOutcome) -> World {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    (world.service.length, world.service.lag) = (secs(1_000), secs(60));
    world.service.submit_outcomes.push_back(outcome);
    world.run_for(secs(2)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world
}

fn handled(world: &World) -> Option<&str> {
    world.status().last_handled_cancel_request.as_deref()
}

#[test]
fn requested_cancellation_waits_for_the_end() {
    let mut world = running();
    world.service.cancels_after = Some(secs(20));
    cancel(&mut world, "a");
    world.run_for(secs(15)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!((world.run().cancel_cause, handled(&world)), (Some(CancelCause::Request), Some("a")));
    assert_eq!(world.ready(), ConditionStatus::Unknown);
    world.run_for(secs(600)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.service.submits, world.service.cancels.len(), world.run().attempt), (1, 1, 1), "it is not tried again");
    assert_eq!((world.event_count(Reason::CancelledOnRequest), world.status().history.len()), (1, 1));
}

#[test]
fn cancel_request_acts_once() {
    let mut world = running();
    cancel(&mut world, "a");
    world.run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    world.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.annotate(CANCEL_REQUESTED_AT, None).run_for(secs(10)).is(RunState::Running, Reason::Running);
    cancel(&mut world, "a");
    world.restart().run_for(secs(10)).is(RunState::Running, Reason::Running);
    cancel(&mut world, "b");
    world.run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.run().number, world.service.cancels.len()), (2, 2));
}

#[test]
fn cancel_request_on_new_resource_is_ignored_silently() {
    let mut world = World::new(|_| {});
    cancel(&mut world, "of a backup");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((handled(&world), world.event_count(Reason::NotCancelled)), (Some("of a backup"), 0));
}

#[test]
fn cancel_request_without_run_cancels_no_later_run() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    cancel(&mut world, "a");
    world.run_for(secs(10)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((handled(&world), world.event_count(Reason::NotCancelled)), (Some("a"), 1));
    world.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.event_count(Reason::NotCancelled)), (2, 1));
    // Both at once: the value was there before the run was.
    cancel(&mut world, "b");
    world.annotate(RUN_REQUESTED_AT, Some("2")).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits, world.event_count(Reason::NotCancelled)), (3, 3, 2));
    // A run that has to wait does not repeat the report.
    world.ahead = Some("another".to_owned());
    cancel(&mut world, "c");
    world.annotate(RUN_REQUESTED_AT, Some("3")).run_for(secs(10)).is(RunState::Waiting, Reason::WaitingForTurn);
    assert_eq!((handled(&world), world.event_count(Reason::NotCancelled)), (Some("c"), 3));
}

#[test]
fn run_that_ends_during_cancellation_keeps_its_end() {
    for (outcome, state, reason) in
        [(Phase::Succeeded, RunState::Succeeded, Reason::Succeeded), (Phase::Failed, RunState::Failed, Reason::RefreshFailed)]
    {
        let mut world = World::new(|spec| spec.backoff_limit = 3);
        (world.service.length, world.service.cancels_after) = (secs(30), Some(secs(60)));
        world.service.outcomes.push_back(outcome);
        world.run_for(secs(28)).is(RunState::Running, Reason::Running);
        cancel(&mut world, "a");
        world.run_for(secs(600)).is(state, reason);
        assert_eq!(
            (world.service.submits, world.service.cancels.len()),
            (1, 1),
            "what failed was to be cancelled, so it is not tried again"
        );
    }
}

#[test]
fn run_that_ended_before_cancel_request_keeps_its_end() {
    let mut world = running();
    world.advance(secs(1_000));
    cancel(&mut world, "a");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn cancelled_waiting_run_ends_with_joined_triggers() {
    let mut world = World::new(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.annotate(RUN_REQUESTED_AT, Some("1"));
    world.edit(|spec| spec.trigger.get_or_insert_default().token = Some("one".to_owned()));
    cancel(&mut world, "a");
    world.run_for(secs(1)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    world.ahead = None;
    world.restart().run_for(secs(600)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.run().number, world.service.submits, &world.status().queued), (1, 0, &None));
    assert_eq!(world.status().last_handled_request.as_deref(), Some("1"));
}

#[test]
fn cancelled_run_ends_whatever_it_waits_for() {
    let mut stalled = World::new(|_| {});
    stalled.preparation_failure = blocked(Reason::SecretNotFound);
    stalled.run_for(secs(20)).is(RunState::Waiting, Reason::SecretNotFound);
    let mut suspended = World::new(|_| {});
    suspended.ahead = Some("another".to_owned());
    suspended.run_for(secs(5)).edit(|spec| spec.suspend = true).run_for(secs(5)).is(RunState::Waiting, Reason::Suspended);
    let mut busy = World::new(|_| {});
    busy.start_other_refresh(10_000, "full");
    busy.run_for(secs(20)).is(RunState::Waiting, Reason::ModelBusy);
    let mut pausing = World::new(|spec| spec.backoff_limit = 3);
    pausing.service.outcomes.push_back(Phase::Failed);
    pausing.run_for(secs(10)).run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    let ends = |mut world: World, submits, what: &str| {
        cancel(&mut world, "a");
        world.run_for(secs(600)).is(RunState::Cancelled, Reason::CancelledOnRequest);
        assert_eq!((world.service.submits, world.service.cancels.len()), (submits, 0), "{}", world.run().message);
        assert_eq!(world.run().message, format!("{what} submitted: the run was cancelled by the annotation cancel-requested-at"));
    };
    ends(stalled, 0, "nothing was");
    ends(suspended, 0, "nothing was");
    ends(busy, 1, "nothing was");
    ends(pausing, 1, "attempt 2 was not");
}

#[test]
fn trigger_during_cancelled_run_starts_a_run() {
    for policy in [ConcurrencyPolicy::Queue, ConcurrencyPolicy::Forbid] {
        let mut world = World::new(|spec| spec.concurrency_policy = policy);
        world.service.length = secs(100);
        world.run_for(secs(10));
        world.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(2));
        cancel(&mut world, "a");
        world.run_for(secs(1_000));
        let follows = policy == ConcurrencyPolicy::Queue;
        assert_eq!(world.status().history.len(), if follows { 2 } else { 1 });
        assert_eq!(world.status().history.last().unwrap().state, RunState::Cancelled);
        if follows {
            world.is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.run().trigger.r#type, TriggerType::Request);
        }
        assert_eq!(world.event_count(Reason::CancelledOnRequest), 1);
    }
}

#[test]
fn cancelling_run_ends_for_the_first_cause() {
    let mut world = running();
    world.service.cancels_after = Some(secs(20));
    world.edit(|spec| spec.active_deadline_seconds = 1).run_for(secs(2)).is(RunState::Cancelling, Reason::Cancelling);
    cancel(&mut world, "a");
    world.run_for(secs(2)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!(handled(&world), Some("a"));
    world.run_for(secs(60)).is(RunState::TimedOut, Reason::DeadlineExceeded);
}

#[test]
fn cancel_request_resolves_submission_first() {
    let mut world = unresolved(SubmitOutcome::LostAfter);
    cancel(&mut world, "a");
    world.run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!((world.run().cancel_cause, handled(&world)), (Some(CancelCause::Request), Some("a")));
    // The request is recorded: neither a restart nor a tool that removes the annotation undoes it.
    world.annotate(CANCEL_REQUESTED_AT, None).restart().run_for(secs(300)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.service.submits, world.service.cancels.len()), (1, 1));

    let mut world = unresolved(SubmitOutcome::LostBefore);
    cancel(&mut world, "a");
    world.run_for(secs(140)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.run_for(secs(600)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!((world.service.submits, world.service.cancels.len(), world.event_count(Reason::Resubmitted)), (1, 0, 0));
}

#[test]
fn cancelled_held_submission_ends_by_user_decision() {
    // A user's decision counts, even if it is wrong.
    for (outcome, key, value, cancels) in [
        (SubmitOutcome::LostAfter, ADOPT, "op-0", 1),
        (SubmitOutcome::LostBefore, RESUBMIT, "run-1-attempt-1", 0),
        (SubmitOutcome::LostAfter, RESUBMIT, "run-1-attempt-1", 0),
    ] {
        let mut world = World::new(|_| {});
        (world.service.length, world.service.lag) = (secs(10_000), secs(60));
        world.service.submit_outcomes.push_back(outcome);
        world.service.truncated = true;
        world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
        cancel(&mut world, "a");
        world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
        world.annotate(key, Some(value)).run_for(secs(300)).is(RunState::Cancelled, Reason::CancelledOnRequest);
        assert_eq!((world.service.submits, world.service.cancels.len()), (1, cancels));
    }
}

#[test]
fn failed_cancellation_is_repeated_until_the_end() {
    let mut world = running();
    world.service.call_outcomes.extend([CallOutcome::Failed(unreachable()), CallOutcome::Failed(unreachable())]);
    cancel(&mut world, "a");
    world.run_for(secs(300)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    let mut world = running();
    world.service.cancel_answer = Some(CancelResult::Failed(service_error(ServiceErrorKind::Rejected)));
    world.service.cancels_after = None;
    cancel(&mut world, "a");
    world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn poll_that_was_not_made_is_no_failed_cancellation() {
    let mut world = running();
    world.service.cancels_after = None;
    cancel(&mut world, "a");
    world.run_for(secs(1)).is(RunState::Cancelling, Reason::Cancelling);
    world.preparation_failure = failed(ServiceErrorKind::AccessDenied);
    world.fails_preparation_of = |call| matches!(call, PlannedCall::Poll(..));
    // The next cancellation is due after 30 seconds.
    for (time, cancels) in [(25, 1), (20, 2)] {
        world.run_for(secs(time)).is(RunState::Cancelling, Reason::AccessDenied);
        assert!(world.run().message.contains("is still running but cannot be polled"), "{}", world.run().message);
        assert_eq!(world.service.cancels.len(), cancels);
    }
}

#[test]
fn accepted_cancellation_ends_the_report_of_refused_ones() {
    let mut world = running();
    world.service.cancel_answer = Some(CancelResult::Failed(service_error(ServiceErrorKind::Rejected)));
    world.service.cancels_after = None;
    cancel(&mut world, "a");
    world.run_for(secs(20)).is(RunState::Cancelling, Reason::Retrying);
    let refused = world.service.cancels.len();
    world.service.cancel_answer = None;
    world.run_for(secs(40)).is(RunState::Cancelling, Reason::Cancelling);
    // It counts as the first one, so the next one follows after 30 seconds.
    world.run_for(secs(25)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!(world.service.cancels.len(), refused + 2);
}

#[test]
fn crash_at_any_step_of_a_cancel_request_cancels_once() {
    for step in 0..16 {
        let mut world = running();
        world.crash_in = Some(step);
        cancel(&mut world, "a");
        world.run_for(secs(1));
        world.crash_in = None;
        world.run_for(secs(300)).is(RunState::Cancelled, Reason::CancelledOnRequest);
        let now = world.now();
        assert!(!world.service.ops[0].live(now) && world.service.submits == 1, "crash at step {step}");
    }
}

#[test]
fn running_sync_is_not_cancelled_and_reported_once() {
    let mut world = World::sync(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    cancel(&mut world, "a");
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((handled(&world), world.run().cancel_cause, world.event_count(Reason::NotCancelled)), (Some("a"), None, 1));
    world.restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.event_count(Reason::NotCancelled), world.run().attempt), (1, 2), "and it is tried again like any other");
}

#[test]
fn sync_is_cancelled_before_its_submission() {
    let mut world = World::sync(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    cancel(&mut world, "a");
    world.run_for(secs(1)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    for (outcome, state) in [(SubmitOutcome::LostBefore, RunState::Cancelled), (SubmitOutcome::LostAfter, RunState::Succeeded)] {
        let mut world = World::sync(|_| {});
        world.service.lag = secs(30);
        world.service.submit_outcomes.push_back(outcome);
        world.run_for(secs(2));
        assert_eq!(world.run().state, RunState::Submitting);
        cancel(&mut world, "a");
        world.run_for(secs(600));
        assert_eq!((world.run().state, world.service.submits), (state, 1));
        assert_eq!(world.event_count(Reason::NotCancelled), usize::from(state == RunState::Succeeded));
    }
}

#[test]
fn deadline_ends_a_run_despite_a_requested_backoff() {
    let hour = Some(secs(3_600));
    for mut world in [World::new(|_| {}), World::sync(|_| {})] {
        world.edit(|spec| spec.active_deadline_seconds = 60);
        (world.service.length, world.service.retry_after) = (secs(86_400), hour);
        world.run_for(secs(61));
        assert!(world.service.polls <= 1, "Retry-After holds for polls");
        world.run_for(secs(140)).is(RunState::TimedOut, Reason::DeadlineExceeded);
    }
}

#[test]
fn long_retry_after_of_a_failed_call_is_limited() {
    for kind in [ServiceErrorKind::ServerError, ServiceErrorKind::CapacityExceeded, ServiceErrorKind::Throttled, ServiceErrorKind::Paused] {
        let away = CallOutcome::Failed(ServiceError { retry_after: Some(secs(3_600)), ..service_error(kind) });
        let mut world = World::new(|spec| spec.active_deadline_seconds = 60);
        world.service.length = secs(86_400);
        world.service.call_outcomes.push_back(away.clone());
        world.run_until(RunState::Cancelling);
        // Neither the next poll nor the next DELETE is delayed as long as the response requests.
        world.service.call_outcomes.push_back(away);
        world.run_for(secs(240)).is(RunState::TimedOut, Reason::DeadlineExceeded);
        assert_eq!(world.service.submits, 1, "{kind:?}");
    }
}
