//! The delays between calls: what they follow, how they grow, and that they differ between resources and times.

use jiff::Timestamp;

use model::script::{SubmitOutcome, World, secs, service_error};
use tabular_operator::api::{CANCEL_REQUESTED_AT, Reason, RunState};
use tabular_operator::operation::{CancelResult, Phase, ServiceErrorKind};

/// The moments within `time` at which `count` grows.
pub fn moments(world: &mut World, time: u64, count: fn(&World) -> usize) -> Vec<Timestamp> {
    let mut moments = Vec::new();
    for _ in 0..time {
        let before = count(world);
        world.run_for(secs(1));
        moments.extend((before..count(world)).map(|_| world.now()));
    }
    moments
}

/// The seconds between them.
pub fn pauses(moments: &[Timestamp]) -> Vec<i64> {
    moments.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect()
}

fn assert_grows(pauses: &[i64], expected: &[i64], inaccuracy: i64) {
    assert!(pauses.len() >= expected.len(), "{pauses:?}");
    for (pause, expected) in pauses.iter().zip(expected) {
        assert!((expected - inaccuracy..=expected + inaccuracy).contains(pause), "{pauses:?}");
    }
}

#[test]
fn polling_interval_is_a_tenth_of_the_time_so_far() {
    let mut world = World::new(|_| {});
    world.service.length = secs(2_000);
    let polls = moments(&mut world, 1_900, |world| world.service.polls);
    let start = world.service.ops[0].start;
    for pair in polls.windows(2) {
        let (elapsed, pause) = (pair[0].duration_since(start).as_secs_f64(), pair[1].duration_since(pair[0]).as_secs_f64());
        let longest = (elapsed / 10.0).clamp(1.0, 30.0);
        assert!((0.85 * longest - 1.0..=longest + 1.0).contains(&pause), "{pause} s after {elapsed} s");
    }
    // Operations that started together are not polled together.
    let late: Vec<i64> = pauses(&polls).into_iter().rev().take(20).collect();
    assert!(late.iter().any(|pause| *pause < 28) && late.iter().any(|pause| *pause > 28), "{late:?}");
}

#[test]
fn wait_for_an_unlisted_refresh_stays_slow_after_a_restart() {
    // Half of the wait so far, up to the longest polling interval.
    for (waited, expected) in [(12, 5..=8), (300, 29..=31)] {
        let mut world = World::new(|_| {});
        world.start_other_refresh(2_000, "full");
        world.service.hides_running = true;
        let submissions = moments(&mut world, waited, |world| world.service.submits);
        assert!((3..20).contains(&submissions.len()), "{submissions:?}");
        world.restart();
        let pauses = pauses(&moments(&mut world, 120, |world| world.service.submits));
        assert!(expected.contains(&pauses[0]), "{pauses:?} after {waited} s");
    }
}

#[test]
fn refused_cancellation_is_sent_again_after_up_to_30_seconds() {
    let mut world = World::new(|_| {});
    world.service.length = secs(10_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.service.cancel_answer = Some(CancelResult::Failed(service_error(ServiceErrorKind::ServerError)));
    world.service.cancels_after = None;
    world.annotate(CANCEL_REQUESTED_AT, Some("a"));
    let cancels = moments(&mut world, 180, |world| world.service.cancels.len());
    assert_grows(&pauses(&cancels), &[2, 4, 8, 16, 30, 30], 2);
}

#[test]
fn delay_before_an_attempt_doubles_up_to_a_minute() {
    let mut world = World::new(|spec| spec.backoff_limit = 8);
    world.service.length = secs(1);
    world.service.outcomes.extend([Phase::Failed; 9]);
    let submissions = moments(&mut world, 600, |world| world.service.submits);
    assert_grows(&pauses(&submissions), &[7, 12, 22, 42, 62, 62, 62], 3);
    world.is(RunState::Failed, Reason::RefreshFailed);
}

#[test]
fn refused_submissions_are_repeated_at_different_intervals() {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 604_800);
    let refusal = || SubmitOutcome::Refused(service_error(ServiceErrorKind::CapacityExceeded));
    world.service.submit_outcomes.extend((0..100).map(|_| refusal()));
    let pauses = pauses(&moments(&mut world, 20_000, |world| world.service.submits));
    let late = &pauses[6..];
    assert!(late.iter().all(|pause| (764..=901).contains(pause)), "{pauses:?}");
    assert!(late.iter().any(|pause| *pause < 830) && late.iter().any(|pause| *pause > 835), "{pauses:?}");
}

#[test]
fn cancellations_without_effect_become_rare_and_end() {
    for answer in [None, Some(CancelResult::Failed(service_error(ServiceErrorKind::ServerError)))] {
        let mut world = World::new(|_| {});
        world.service.length = secs(1_000_000);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        (world.service.cancel_answer, world.service.cancels_after) = (answer.clone(), None);
        world.annotate(CANCEL_REQUESTED_AT, Some("a"));
        let (expected, inaccuracy): (&[i64], _) =
            if answer.is_some() { (&[2, 4, 8, 16, 30, 30], 2) } else { (&[30, 60, 120, 240, 480, 960, 960], 31) };
        let cancels = moments(&mut world, 4_000, |world| world.service.cancels.len());
        assert_grows(&pauses(&cancels), expected, inaccuracy);
        let polls = moments(&mut world, 300, |world| world.service.polls);
        assert!(polls.len() <= 22, "{polls:?}");
        assert_eq!(world.run_for(secs(160_000)).run().state, RunState::Cancelling);
        world.run_for(secs(10_000)).is(RunState::Failed, Reason::OperationLost);
        assert!(world.run().message.contains("for longer than any refresh can run"), "{}", world.run().message);
    }
}

#[test]
fn deletion_ends_without_an_end_of_the_operation() {
    let mut world = World::new(|_| {});
    world.service.length = secs(1_000_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.service.cancels_after = None;
    world.delete().run_for(secs(170_000)).is(RunState::Cancelling, Reason::Cancelling);
    world.run_for(secs(3_000));
    assert!(world.gone());
}

#[test]
fn old_operation_that_is_cancelled_ends_as_cancelled() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 604_800);
    world.service.length = secs(1_000_000);
    world.run_for(secs(200_000)).is(RunState::Running, Reason::Running);
    world.service.cancels_after = Some(secs(50));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(40)).is(RunState::Cancelling, Reason::Cancelling);
    world.run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
}

#[test]
fn deadline_is_observed_during_a_long_requested_backoff() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 630);
    (world.service.length, world.service.cancels_after) = (secs(20_000), None);
    world.service.retry_after = Some(secs(3_600));
    world.run_for(secs(629)).is(RunState::Running, Reason::Running);
    world.run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
}
