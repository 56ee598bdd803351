//! Refused calls: how the delays grow, when the wait ends, and what the status shows meanwhile.

use std::time::Duration;

use crate::delays::{moments, pauses};
use model::script::{CallOutcome, SubmitOutcome, World, failed, secs, service_error};
use tabular_operator::api::{CANCEL_REQUESTED_AT, ConditionStatus, ConditionType, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::EffectResult;
use tabular_operator::engine::reconcile::PlannedCall;
use tabular_operator::operation::{ServiceError, ServiceErrorKind};

/// A world whose service refuses each submission in this way.
fn refusing(refusal: &ServiceError, deadline: i32) -> World {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = deadline);
    world.service.submit_outcomes.extend((0..2_000).map(|_| SubmitOutcome::Refused(refusal.clone())));
    world
}

/// The seconds between the submissions that are sent within `time`.
fn pauses_of_submissions(world: &mut World, time: u64) -> Vec<i64> {
    pauses(&moments(world, time, |world| world.service.submits))
}

fn throttled(until: &str, left: u64) -> ServiceError {
    let message = format!("the service throttles the calls of this identity: the operator waits until {until}");
    ServiceError { message, retry_after: Some(secs(left)), ..service_error(ServiceErrorKind::Throttled) }
}

#[test]
fn overloaded_capacity_is_waited_for_with_growing_pauses() {
    let mut world = refusing(&service_error(ServiceErrorKind::CapacityExceeded), 7_200);
    let pauses = pauses_of_submissions(&mut world, 6_000);
    for (pause, expected) in pauses.iter().zip([60.0, 120.0, 240.0, 480.0, 900.0, 900.0]) {
        let range = (0.85 * expected - 1.0)..=(expected + 1.0);
        assert!(range.contains(&Duration::from_secs(pause.unsigned_abs()).as_secs_f64()), "{pauses:?}");
    }
    assert!((8..=11).contains(&pauses.len()), "{pauses:?}");
    world.is(RunState::Waiting, Reason::CapacityExceeded);
    assert!(!world.holds(ConditionType::Stalled) && world.holds(ConditionType::Reconciling));
    assert_eq!((world.ready(), world.run().attempt, world.event_count(Reason::CapacityExceeded)), (ConditionStatus::Unknown, 1, 1));
    world.run_for(secs(1_205)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    for part in ["waited 7200 s (waitDeadlineSeconds) for a capacity", "the last refusal: CapacityExceeded"] {
        assert!(world.run().message.contains(part), "{}", world.run().message);
    }
}

#[test]
fn capacity_that_recovers_runs_the_same_run_and_attempt() {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.submit_outcomes.extend((0..2).map(|_| SubmitOutcome::Refused(service_error(ServiceErrorKind::CapacityExceeded))));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().number, world.run().attempt), (3, 1, 1));
    // The delays of the next run start with the first one again.
    world.service.submit_outcomes.extend((0..2).map(|_| SubmitOutcome::Refused(service_error(ServiceErrorKind::CapacityExceeded))));
    world.annotate(RUN_REQUESTED_AT, Some("again"));
    let pauses = pauses_of_submissions(&mut world, 600);
    assert!(pauses[0] <= 61 && pauses[1] <= 121, "{pauses:?}");
}

#[test]
fn longer_requested_backoff_is_honored() {
    let mut world = refusing(&ServiceError { retry_after: Some(secs(1_800)), ..service_error(ServiceErrorKind::CapacityExceeded) }, 86_400);
    let pauses = pauses_of_submissions(&mut world, 7_300);
    assert!(pauses.iter().all(|pause| *pause >= 1_799), "{pauses:?}");
    // A shorter one changes nothing.
    let mut world = refusing(&ServiceError { retry_after: Some(secs(1)), ..service_error(ServiceErrorKind::CapacityExceeded) }, 86_400);
    assert!(moments(&mut world, 3_600, |world| world.service.submits).len() <= 8);
}

#[test]
fn list_refused_for_capacity_is_waited_for_like_the_submission() {
    let mut world = refusing(&service_error(ServiceErrorKind::CapacityExceeded), 7_200);
    world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::CapacityExceeded))));
    world.run_for(secs(7_100)).is(RunState::Waiting, Reason::CapacityExceeded);
    assert!(world.service.submits == 1 && (6..=12).contains(&world.service.lists), "{} lists", world.service.lists);
    assert!(world.writes <= 4, "{} writes", world.writes);
    world.run_for(secs(200)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
}

#[test]
fn poll_refused_for_capacity_is_repeated_and_ends_nothing() {
    let mut world = World::new(|_| {});
    world.service.length = secs(600);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.service.call_outcomes.extend((0..5).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::CapacityExceeded))));
    world.run_for(secs(230)).is(RunState::Running, Reason::CapacityExceeded);
    assert!(world.run().message.contains("is still running but cannot be polled"), "{}", world.run().message);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn wait_ends_at_its_deadline_despite_refusals() {
    let kinds = [
        ServiceErrorKind::QuotaExceeded,
        ServiceErrorKind::CapacityExceeded,
        ServiceErrorKind::AccessDenied,
        ServiceErrorKind::NotFound,
        ServiceErrorKind::OwnerNotFound,
        ServiceErrorKind::Paused,
        ServiceErrorKind::ScaleOutDisabled,
        ServiceErrorKind::Throttled,
        ServiceErrorKind::ServerError,
        ServiceErrorKind::InvalidResponse,
        ServiceErrorKind::Unreachable,
    ];
    for kind in kinds {
        for deadline in [50, 7_000] {
            let mut world = refusing(&service_error(kind), deadline);
            world.run_for(secs(u64::from(deadline.unsigned_abs()) - 2));
            assert_eq!(world.run().state, RunState::Waiting, "{kind:?}");
            world.run_for(secs(4)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
            assert!(world.run().message.contains(&format!("the last refusal: {kind:?}")), "{}", world.run().message);
            let submits = world.service.submits;
            world.run_for(secs(100_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
            assert_eq!(world.service.submits, submits, "{kind:?}");
        }
    }
}

#[test]
fn refused_submissions_are_repeated_ever_more_slowly() {
    let minutes = [ServiceErrorKind::AccessDenied, ServiceErrorKind::NotFound, ServiceErrorKind::OwnerNotFound, ServiceErrorKind::Paused];
    let seconds = [ServiceErrorKind::Throttled, ServiceErrorKind::ServerError];
    for (kind, longest) in minutes.map(|kind| (kind, 700)).into_iter().chain(seconds.map(|kind| (kind, 44))) {
        let mut world = refusing(&ServiceError { retry_after: Some(secs(1)), ..service_error(kind) }, 86_400);
        let pauses = pauses_of_submissions(&mut world, 14_400);
        assert!(pauses[pauses.len() - 10..].iter().all(|pause| *pause > longest), "{kind:?}: {pauses:?}");
    }
}

#[test]
fn refused_credentials_are_checked_ever_more_slowly() {
    let mut world = World::new(|_| {});
    world.preparation_failure = failed(ServiceErrorKind::CredentialsRefused);
    let until_check = |world: &World| world.due().unwrap().duration_since(world.now()).as_secs();
    world.run_for(secs(3)).is(RunState::Waiting, Reason::CredentialsRefused);
    assert!(until_check(&world) <= 5);
    world.run_for(secs(1_000));
    // In an hour about one a minute.
    let mut checks = 0;
    for _ in 0..3_600 {
        let before = world.due();
        world.run_for(secs(1));
        checks += u32::from(world.due() != before);
    }
    assert!(checks <= 65, "{checks} in an hour");
    world.preparation_failure = None;
    world.run_for(secs(130)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn fault_for_a_user_does_not_count_toward_the_deadline() {
    for kind in [ServiceErrorKind::AccessDenied, ServiceErrorKind::Paused, ServiceErrorKind::CredentialsRefused] {
        let mut world = refusing(&service_error(kind), 3_600);
        world.service.submit_outcomes.truncate(1);
        // Nothing is submitted while the list cannot be read either.
        world.service.call_outcomes.extend((0..30_000).map(|_| CallOutcome::Failed(service_error(kind))));
        world.run_for(secs(20_000));
        assert_eq!((world.run().state, world.service.submits), (RunState::Waiting, 1), "{kind:?}");
        world.service.call_outcomes.clear();
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    }
}

#[test]
fn fault_for_a_user_counts_after_two_refused_submissions() {
    let mut world = refusing(&service_error(ServiceErrorKind::AccessDenied), 3_600);
    world.service.submit_outcomes.truncate(2);
    world.service.call_outcomes.push_back(CallOutcome::Answered);
    world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::AccessDenied))));
    world.run_for(secs(3_500)).is(RunState::Waiting, Reason::AccessDenied);
    assert_eq!(world.service.submits, 2);
    world.run_for(secs(120)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
}

#[test]
fn wait_of_a_refused_submission_counts_from_the_first_refusal() {
    let mut world = refusing(&service_error(ServiceErrorKind::QuotaExceeded), 10_000);
    world.run_for(secs(1));
    let since = world.run().waiting_since_time.unwrap();
    for _ in 0..9 {
        world.run_for(secs(1_000));
        world.restart();
        assert_eq!(world.run().waiting_since_time, Some(since));
    }
    world.run_for(secs(1_010)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
}

#[test]
fn throttle_is_recorded_once_for_each_end_that_it_has() {
    let mut world = World::new(|_| {});
    world.service.length = secs(20_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.preparation_failure = Some(EffectResult::CallFailed(throttled("2026-01-01T12:56:42Z", 3_392)));
    world.run_for(secs(600)).is(RunState::Running, Reason::Retrying);
    assert!(world.run().message.contains("until 2026-01-01T12:56:42Z"), "{}", world.run().message);
    let writes = world.writes;
    world.run_for(secs(2_400));
    assert_eq!(world.writes, writes, "one write for the whole pause");
    world.preparation_failure = Some(EffectResult::CallFailed(throttled("2026-01-01T13:50:00Z", 3_392)));
    world.run_for(secs(2_400));
    assert!(world.run().message.contains("until 2026-01-01T13:50:00Z"), "{}", world.run().message);
    assert_eq!(world.writes, writes + 1);
    world.preparation_failure = None;
    world.run_for(secs(70)).is(RunState::Running, Reason::Running);
}

#[test]
fn throttle_of_polls_delays_neither_deadline_nor_cancellation() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 600);
    world.service.length = secs(20_000);
    world.run_for(secs(10));
    world.fails_preparation_of = |call| matches!(call, PlannedCall::Poll(..));
    world.preparation_failure = Some(EffectResult::CallFailed(throttled("2026-01-01T12:56:42Z", 3_392)));
    world.run_for(secs(660));
    assert_eq!((world.run().state, !world.service.cancels.is_empty()), (RunState::Cancelling, true));
}

#[test]
fn throttle_of_cancellations_does_not_hide_the_end() {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.cancels_after) = (secs(300), None);
    world.run_for(secs(10));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(5));
    assert_eq!(world.run().state, RunState::Cancelling);
    world.fails_preparation_of = |call| matches!(call, PlannedCall::Cancel(_));
    world.preparation_failure = Some(EffectResult::CallFailed(throttled("2026-01-01T12:56:42Z", 3_392)));
    world.run_for(secs(420));
    assert!(world.run().state.ended(), "{:?}", world.run());
}

#[test]
fn requested_backoff_of_polls_does_not_grow() {
    let mut world = World::new(|_| {});
    world.service.length = secs(20_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.service.poll_error = Some(ServiceError { retry_after: Some(secs(5)), ..service_error(ServiceErrorKind::Throttled) });
    let pauses = pauses(&moments(&mut world, 300, |world| world.service.polls));
    assert!(pauses.len() > 40 && pauses.iter().all(|pause| (5..=6).contains(pause)), "{pauses:?}");
}

#[test]
fn first_error_is_reported_only_if_it_is_a_long_throttle() {
    for (kind, backoff, is_reported) in [
        (ServiceErrorKind::Throttled, Some(30), true),
        (ServiceErrorKind::Throttled, Some(29), false),
        (ServiceErrorKind::Throttled, None, false),
        (ServiceErrorKind::ServerError, Some(60), false),
    ] {
        let mut world = World::new(|_| {});
        world.service.length = secs(20_000);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        let error = ServiceError { retry_after: backoff.map(secs), ..service_error(kind) };
        world.service.call_outcomes.push_back(CallOutcome::Failed(error));
        world.run_for(secs(5));
        let mut runs = world.statuses.iter().filter_map(|status| status.run.as_ref());
        assert_eq!(runs.any(|run| run.reason == Reason::Retrying.as_str()), is_reported, "{kind:?} {backoff:?}");
        assert!(world.service.call_outcomes.is_empty());
    }
}

#[test]
fn new_message_of_a_repeated_error_is_not_written() {
    for (kind, retry_after) in [(ServiceErrorKind::Throttled, None), (ServiceErrorKind::ServerError, Some(secs(5)))] {
        let error = |message: &str| ServiceError { message: message.to_owned(), retry_after, ..service_error(kind) };
        let mut world = World::new(|_| {});
        world.service.length = secs(20_000);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        world.service.poll_error = Some(error("the first message"));
        world.run_for(secs(60)).is(RunState::Running, Reason::Retrying);
        let writes = world.writes;
        world.service.poll_error = Some(error("another message"));
        world.run_for(secs(70)).is(RunState::Running, Reason::Retrying);
        assert!(world.run().message.contains("the first message"), "{}", world.run().message);
        assert_eq!(world.writes, writes, "{kind:?}");
    }
}

#[test]
fn new_message_of_a_repeated_refusal_is_not_written() {
    let refusal = |message: &str| ServiceError { message: message.to_owned(), ..service_error(ServiceErrorKind::Unreachable) };
    let mut world = World::new(|_| {});
    world.preparation_failure = Some(EffectResult::CallFailed(refusal("the first message")));
    world.run_for(secs(20)).is(RunState::Waiting, Reason::Retrying);
    let writes = world.writes;
    world.preparation_failure = Some(EffectResult::CallFailed(refusal("another message")));
    world.run_for(secs(100)).is(RunState::Waiting, Reason::Retrying);
    assert_eq!((world.run().message.as_str(), world.writes), ("the first message", writes));
}
