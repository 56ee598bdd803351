//! Scheduled runs: each time once, with faults in between. The worlds start at noon, UTC.

use model::script::{World, at, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConditionStatus, ConditionType, HistoryEntry, Reason, RunState, Time, TriggerSpec, TriggerType,
};
use tabular_operator::engine::was_replaced;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A resource with a schedule, whose operations take a minute.
fn schedule_trigger(expression: &str, edit: impl FnOnce(&mut TriggerSpec)) -> World {
    let mut world = World::new(|spec| {
        let trigger = spec.trigger.get_or_insert_default();
        trigger.schedule = Some(expression.to_owned());
        edit(trigger);
    });
    world.service.length = secs(60);
    world
}

/// The scheduled times of the started runs, in order.
fn times(world: &World) -> Vec<String> {
    let mut seen: Vec<(i32, String)> = Vec::new();
    for run in world.statuses.iter().filter_map(|status| status.run.as_ref()) {
        if run.trigger.r#type == TriggerType::Schedule && seen.iter().all(|(number, _)| *number != run.number) {
            seen.push((run.number, run.trigger.value.clone()));
        }
    }
    seen.into_iter().map(|(_, value)| value).collect()
}

fn next(world: &World) -> Option<Time> {
    world.status().next_schedule_time
}

fn missed(world: &World) -> usize {
    world.events.iter().filter(|event| event.reason == Reason::MissedSchedule).count()
}

#[test]
fn each_scheduled_time_starts_one_run() {
    let mut world = schedule_trigger("0 5 * * *", |_| {});
    world.run_for(secs(HOUR));
    assert_eq!(world.service.submits, 0);
    assert_eq!(next(&world), Some(Time::from(at("2026-01-02T05:00:00Z"))));
    let ready = world.condition(ConditionType::Ready).unwrap();
    assert_eq!(ready.status, ConditionStatus::True);
    assert_eq!(ready.message, "waiting for its schedule, next at 2026-01-02T05:00:00Z");
    world.run_for(secs(3 * DAY));
    assert_eq!(times(&world), ["2026-01-02T05:00:00Z", "2026-01-03T05:00:00Z", "2026-01-04T05:00:00Z"]);
    assert_eq!(world.service.submits, 3);
    assert_eq!(world.status().last_schedule_time, Some(Time::from(at("2026-01-04T05:00:00Z"))));
    assert_eq!(next(&world), Some(Time::from(at("2026-01-05T05:00:00Z"))));
}

#[test]
fn times_during_downtime_start_one_run() {
    let mut world = schedule_trigger("0 5 * * *", |_| {});
    world.run_for(secs(60));
    world.advance(secs(4 * DAY));
    world.restart().run_for(secs(HOUR));
    assert_eq!(times(&world), ["2026-01-05T05:00:00Z"]);
    assert_eq!(world.service.submits, 1);
    assert_eq!(next(&world), Some(Time::from(at("2026-01-06T05:00:00Z"))));
}

#[test]
fn new_schedule_counts_from_creation_and_edited_one_from_now() {
    let mut world = schedule_trigger("30 12 * * *", |_| {});
    world.advance(secs(HOUR));
    world.run_for(secs(HOUR));
    assert_eq!(times(&world), ["2026-01-01T12:30:00Z"]);
    // 13:00 has passed for today, so it is not made up for.
    world.edit(|spec| spec.trigger.get_or_insert_default().schedule = Some("0 13 * * *".to_owned()));
    world.run_for(secs(2 * HOUR));
    assert_eq!(world.service.submits, 1);
    assert_eq!(next(&world), Some(Time::from(at("2026-01-02T13:00:00Z"))));
    world.edit(|spec| spec.trigger.get_or_insert_default().schedule = None);
    world.run_for(secs(2 * DAY));
    assert_eq!((world.service.submits, next(&world)), (1, None));
}

#[test]
fn late_time_is_skipped_and_reported_once() {
    let mut world = schedule_trigger("0 5 * * *", |trigger| trigger.starting_deadline_seconds = Some(3600));
    world.run_for(secs(60));
    world.advance(secs(DAY));
    world.restart().run_for(secs(HOUR));
    assert_eq!((world.service.submits, missed(&world)), (0, 1));
    world.advance(secs(16 * HOUR + 1800));
    world.restart().run_for(secs(HOUR));
    assert_eq!(times(&world), ["2026-01-03T05:00:00Z"]);
    assert_eq!(missed(&world), 1);
}

#[test]
fn time_before_an_edit_during_downtime_is_reported_once() {
    let mut world = schedule_trigger("0 5 * * *", |_| {});
    world.run_for(secs(60));
    world.advance(secs(17 * HOUR - 60));
    world.edit(|spec| spec.trigger.get_or_insert_default().schedule = Some("0 6 * * *".to_owned()));
    world.restart().run_for(secs(60));
    assert_eq!((world.service.submits, missed(&world)), (0, 1));
    assert_eq!(next(&world), Some(Time::from(at("2026-01-02T06:00:00Z"))));
    world.restart().run_for(secs(HOUR));
    assert_eq!((world.service.submits, missed(&world)), (1, 1));
    world.edit(|spec| spec.trigger.get_or_insert_default().schedule = Some("0 7 * * *".to_owned())).run_for(secs(60));
    assert_eq!(missed(&world), 1, "no time has passed");
}

#[test]
fn crash_at_any_step_leaves_one_run_per_time() {
    for step in 0..20 {
        let mut world = schedule_trigger("0 5 * * *", |_| {});
        world.crash_in = Some(step);
        world.run_for(secs(2 * DAY));
        world.restart().run_for(secs(HOUR));
        assert_eq!(world.service.submits, 2, "after a crash at step {step}");
        assert_eq!(times(&world).len(), 2);
    }
}

#[test]
fn time_during_a_run_follows_the_concurrency_policy() {
    for (policy, submits, states) in [
        (ConcurrencyPolicy::Queue, 2, [RunState::Succeeded, RunState::Succeeded]),
        (ConcurrencyPolicy::Replace, 2, [RunState::Succeeded, RunState::Cancelled]),
    ] {
        let mut world = schedule_trigger("0 * * * *", |_| {});
        world.edit(|spec| spec.concurrency_policy = policy);
        world.service.length = secs(HOUR + 1800);
        world.run_for(secs(HOUR + 600));
        world.service.length = secs(60);
        world.run_for(secs(2 * HOUR - 1200));
        assert_eq!(world.service.submits, submits, "{policy:?}");
        let history: Vec<RunState> = world.status().history.iter().map(|entry| entry.state).collect();
        assert_eq!(history, states, "{policy:?}");
    }
    let mut world = schedule_trigger("0 * * * *", |_| {});
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid);
    world.service.length = secs(HOUR + 1800);
    world.run_for(secs(3 * HOUR - 600));
    assert_eq!(world.service.submits, 1);
    assert_eq!(world.events.iter().filter(|event| event.reason == Reason::TriggerDropped).count(), 1);
    assert_eq!(next(&world), Some(Time::from(at("2026-01-01T15:00:00Z"))));
}

/// The alert for a schedule that is shorter than its runs reads this of the history.
#[test]
fn run_replaced_by_its_schedule_is_marked_replaced() {
    let mut world = schedule_trigger("*/10 * * * *", |_| {});
    world.edit(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace);
    world.service.length = secs(HOUR);
    world.run_for(secs(2 * HOUR + 300));
    let history = &world.status().history;
    assert_eq!(history.len(), 10);
    assert!(history.iter().all(|entry| entry.trigger.r#type == TriggerType::Schedule && was_replaced(entry)), "{history:?}");
    // Entries of earlier versions have no reason.
    let without_reason = |entry: &HistoryEntry| HistoryEntry { reason: String::new(), ..entry.clone() };
    assert!(was_replaced(&without_reason(&history[0])));
    // A run that a user cancels, and one that succeeds, do not count.
    world.annotate(CANCEL_REQUESTED_AT, Some("now")).run_for(secs(60));
    let cancelled = &world.status().history[0];
    assert_eq!(cancelled.state, RunState::Cancelled);
    assert!(!was_replaced(cancelled) && !was_replaced(&without_reason(cancelled)));
    world.service.length = secs(60);
    world.run_for(secs(HOUR));
    assert_eq!(world.status().history[0].state, RunState::Succeeded);
    assert!(!was_replaced(&world.status().history[0]));
}

#[test]
fn times_during_suspension_start_one_run() {
    let mut world = schedule_trigger("0 5 * * *", |_| {});
    world.edit(|spec| spec.suspend = true).run_for(secs(3 * DAY));
    assert_eq!(world.service.submits, 0);
    let writes = world.writes;
    world.run_for(secs(DAY));
    assert_eq!(world.writes, writes, "nothing is written while it is suspended");
    world.edit(|spec| spec.suspend = false).run_for(secs(HOUR));
    assert_eq!(times(&world), ["2026-01-05T05:00:00Z"]);
}

#[test]
fn other_trigger_runs_beside_the_schedule() {
    let mut world = schedule_trigger("0 5 * * *", |trigger| trigger.token = Some("a".to_owned()));
    world.run_for(secs(60));
    world.edit(|spec| spec.trigger.get_or_insert_default().token = Some("b".to_owned()));
    world.run_for(secs(DAY));
    assert_eq!(world.service.submits, 2);
    assert_eq!(times(&world), ["2026-01-02T05:00:00Z"]);
}

#[test]
fn invalid_schedule_stalls_with_its_cause() {
    let mut world = schedule_trigger("0 0 30 2 *", |_| {});
    world.run_for(secs(DAY));
    let stalled = world.condition(ConditionType::Stalled).expect("it is stalled");
    assert_eq!(stalled.reason, Reason::InvalidSpec.as_str());
    assert!(stalled.message.contains("never matches"), "{}", stalled.message);
}

#[test]
fn schedule_continues_with_a_cursor_in_the_future() {
    let mut world = schedule_trigger("0 5 * * *", |_| {});
    world.run_for(secs(60));
    world.edit_status(|status| status.next_schedule_time = Some(Time::from(at("2099-01-01T05:00:00Z"))));
    world.run_for(secs(60));
    assert_eq!((next(&world), world.event_count(Reason::StatusRestored)), (Some(Time::from(at("2026-01-02T05:00:00Z"))), 1));
    world.run_for(secs(2 * DAY));
    assert_eq!(times(&world), ["2026-01-02T05:00:00Z", "2026-01-03T05:00:00Z"]);
    // The clock steps by minutes: no time is repeated.
    world.advance(secs(DAY)).run_for(secs(17 * HOUR));
    let runs = times(&world).len();
    let back = at("2026-01-05T04:50:00Z").duration_since(world.now());
    world.step_clock(back.as_secs()).restart().run_for(secs(HOUR));
    assert_eq!((times(&world).len(), world.event_count(Reason::StatusRestored)), (runs, 1));
}
