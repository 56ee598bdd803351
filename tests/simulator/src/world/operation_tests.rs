//! The state of an operation at each time, without a clock.

use super::*;

const START: &str = "2026-01-01T00:00:00Z";

fn at(millis: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
}

fn plan(end: End) -> Plan {
    Plan {
        not_started: SignedDuration::from_millis(100),
        attempt: SignedDuration::from_millis(400),
        attempts: 1,
        end,
        messages: vec![Message::error("no")],
        failed_objects: Vec::new(),
        limit: None,
    }
}

/// Four partitions, two at a time: two waves of 200 ms each.
fn operation(plan: Plan, partial_batch: bool) -> Operation {
    let parts = (1..=4).map(|number| Part { table: "T".into(), partition: format!("P{number}").into() }).collect();
    let task = Task { max_parallelism: 2, partial_batch, ..Task::default() };
    Operation::new(Uuid::nil(), Client::Control, task, parts, at(0), 1, plan)
}

fn statuses(operation: &Operation, now: Timestamp) -> Vec<Status> {
    operation.progress(now).map(|(_, status)| status).collect()
}

#[test]
fn operation_progresses_wave_by_wave() {
    use Status::{InProgress, NotStarted, Succeeded};
    let operation = operation(plan(End::Succeeded), false);
    assert_eq!(operation.phase(at(99)), Phase::NotStarted);
    assert_eq!(statuses(&operation, at(99)), []);
    assert_eq!(operation.phase(at(100)), Phase::InProgress);
    assert_eq!(statuses(&operation, at(100)), [InProgress, InProgress, NotStarted, NotStarted]);
    assert_eq!(statuses(&operation, at(300)), [Succeeded, Succeeded, InProgress, InProgress]);
    assert_eq!(operation.phase(at(499)), Phase::InProgress);
    assert_eq!(operation.phase(at(500)), Phase::Ended(at(500), End::Succeeded));
    assert_eq!(statuses(&operation, at(500)), [Succeeded; 4]);
    assert!(operation.messages(at(500)).is_empty());
}

#[test]
fn failure_is_visible_only_at_its_end() {
    let operation = operation(plan(End::Failed), false);
    assert!(operation.messages(at(499)).is_empty());
    assert_eq!(operation.messages(at(500)), [Message::error("no")]);
    assert_eq!(statuses(&operation, at(500)), [Status::Cancelled, Status::Cancelled, Status::Failed, Status::Failed]);
}

#[test]
fn committed_batches_stay_after_failure() {
    let failed_objects = vec![FailedObject { table: "t".into(), partition: Some("p2".into()) }];
    let operation = operation(Plan { failed_objects, ..plan(End::Failed) }, true);
    assert_eq!(statuses(&operation, at(500)), [Status::Cancelled, Status::Failed, Status::NotStarted, Status::NotStarted]);
}

#[test]
fn attempts_run_sequentially_within_operation() {
    let operation = operation(Plan { attempts: 3, ..plan(End::Succeeded) }, false);
    assert_eq!(statuses(&operation, at(450))[0], Status::Succeeded);
    assert_eq!(statuses(&operation, at(510))[0], Status::InProgress, "the second attempt restarts");
    assert_eq!(operation.phase(at(1_299)), Phase::InProgress);
    assert_eq!(operation.phase(at(1_300)), Phase::Ended(at(1_300), End::Succeeded));
}

#[test]
fn repeated_cancel_request_does_not_delay_cancellation() {
    let mut operation = operation(plan(End::Succeeded), false);
    operation.cancel(at(150), SignedDuration::from_millis(100));
    operation.cancel(at(200), SignedDuration::from_millis(1_000));
    assert_eq!(operation.phase(at(249)), Phase::InProgress);
    assert_eq!(operation.phase(at(250)), Phase::Ended(at(250), End::Cancelled));
    assert_eq!(operation.cancel_requested, Some(at(150)));
}

#[test]
fn late_cancel_request_has_no_effect() {
    let mut slow = operation(plan(End::Succeeded), false);
    slow.cancel(at(450), SignedDuration::from_millis(100));
    assert_eq!(slow.phase(at(600)), Phase::Ended(at(500), End::Succeeded));
    let mut over = operation(plan(End::Failed), false);
    over.cancel(at(500), SignedDuration::ZERO);
    assert_eq!((over.cancel_requested, over.phase(at(600))), (None, Phase::Ended(at(500), End::Failed)));
}

#[test]
fn cancellation_before_start_leaves_no_objects() {
    let mut operation = operation(plan(End::Succeeded), false);
    operation.cancel(at(10), SignedDuration::from_millis(10));
    assert_eq!(operation.phase(at(20)), Phase::Ended(at(20), End::Cancelled));
    assert_eq!(statuses(&operation, at(500)), []);
}

#[test]
fn forced_end_is_final() {
    let mut operation = operation(plan(End::Succeeded), false);
    operation.end(at(200), End::TimedOut, Vec::new());
    operation.end(at(300), End::Failed, Vec::new());
    assert_eq!(operation.phase(at(900)), Phase::Ended(at(200), End::TimedOut));
}

#[test]
fn unrepresentable_duration_never_ends() {
    let forever = Plan { attempt: SignedDuration::MAX, attempts: 3, ..plan(End::Succeeded) };
    let operation = operation(forever, false);
    assert_eq!(operation.phase(at(i64::from(i32::MAX))), Phase::InProgress);
    assert_eq!(statuses(&operation, at(1_000_000))[0], Status::InProgress);
}

#[test]
fn paused_operation_continues_where_it_stopped() {
    let hour = SignedDuration::from_hours(1);
    let mut operation = operation(plan(End::Succeeded), false);
    operation.pause(at(350), hour);
    let before = statuses(&operation, at(350));
    assert_eq!((operation.phase(at(60_000)), statuses(&operation, at(60_000))), (Phase::InProgress, before.clone()));
    operation.resume(at(60_000));
    assert_eq!(statuses(&operation, at(60_000)), before);
    assert_eq!((operation.phase(at(60_149)), operation.phase(at(60_150))), (Phase::InProgress, Phase::Ended(at(60_150), End::Succeeded)));
}

#[test]
fn paused_operation_does_not_start() {
    let mut operation = operation(plan(End::Succeeded), false);
    operation.pause(at(50), SignedDuration::from_hours(1));
    assert_eq!(operation.phase(at(60_000)), Phase::NotStarted);
}

#[test]
fn operation_times_out_after_long_pause() {
    let mut operation = operation(plan(End::Succeeded), false);
    operation.pause(at(200), SignedDuration::from_millis(1_000));
    assert_eq!(operation.phase(at(1_199)), Phase::InProgress);
    operation.resume(at(5_000));
    assert_eq!(operation.phase(at(5_000)), Phase::Ended(at(1_200), End::TimedOut));
    assert_eq!(operation.messages(at(5_000)), []);
}

#[test]
fn queued_operation_starts_at_its_turn() {
    let mut operation = operation(plan(End::Succeeded), false).in_queue();
    assert_eq!(operation.phase(at(99_999)), Phase::NotStarted);
    operation.begin_after(at(1_000));
    assert_eq!((operation.phase(at(1_099)), operation.phase(at(1_100))), (Phase::NotStarted, Phase::InProgress));
    assert_eq!(operation.phase(at(1_500)), Phase::Ended(at(1_500), End::Succeeded));
}

#[test]
fn attempts_are_shown_and_limited() {
    let mut failing = plan(End::Failed);
    failing.attempts = 3;
    let operation_of = |plan| operation(plan, false);
    let seen = operation_of(failing.clone());
    assert_eq!(seen.attempts(at(99)), []);
    assert_eq!(seen.attempts(at(600)), [(at(100), Some(at(500))), (at(500), None)]);
    assert_eq!(seen.attempts(at(9_000)).last(), Some(&(at(900), Some(at(1_300)))));
    failing.limit = Some(SignedDuration::from_millis(700));
    let limited = operation_of(failing);
    assert_eq!(limited.phase(at(800)), Phase::Ended(at(800), End::TimedOut));
    assert_eq!(limited.attempts(at(800)), [(at(100), Some(at(500))), (at(500), Some(at(800)))]);
}
