//! The condition Fresh: when the data becomes stale, what is reported, and that nothing else changes.

use model::script::{World, at, missing, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, Condition, ConditionStatus, ConditionType, FINALIZER, RUN_REQUESTED_AT, Reason, RunState, Status, Time,
};
use tabular_operator::engine::{Blocker, DrainMode, Remedy, stale_time};
use tabular_operator::operation::Phase;

const HOUR: u64 = 3600;

/// A resource whose data may be this old, and whose operations take a minute.
fn target(seconds: i32) -> World {
    let mut world = World::new(|spec| spec.stale_after_seconds = Some(seconds));
    world.service.length = secs(60);
    world
}

fn fresh(world: &World) -> &Condition {
    world.condition(ConditionType::Fresh).expect("Fresh")
}

/// How often the status of Fresh has changed in what was written, with its first value.
fn transitions(world: &World) -> Vec<ConditionStatus> {
    let find = |status: &Status| status.conditions.iter().find(|it| it.r#type == ConditionType::Fresh).map(|it| it.status);
    let mut all: Vec<_> = world.statuses.iter().filter_map(find).collect();
    all.dedup();
    all
}

#[test]
fn data_becomes_stale_after_latest_success() {
    let mut world = target(7_200);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    let (fresh_since, success) = (fresh(&world).last_transition_time, world.status().last_successful_time.unwrap());
    let deadline = stale_time(world.status(), world.now(), secs(7_200), world.now());
    assert_eq!(deadline.seconds_since(success), 7_200);
    let message = format!("the latest success was at {success}: the data becomes stale at {deadline} (staleAfterSeconds)");
    assert_eq!(
        (fresh(&world).status, fresh(&world).reason.as_str(), fresh(&world).message.as_str()),
        (ConditionStatus::True, "Fresh", &*message)
    );
    let writes = world.writes;
    world.run_for(secs(HOUR));
    assert_eq!((world.writes, fresh(&world).last_transition_time), (writes, fresh_since));
    world.run_for(secs(HOUR));
    // One write and one event, at that second.
    assert_eq!((world.writes, world.event_count(Reason::Stale)), (writes + 1, 1));
    assert_eq!((fresh(&world).status, fresh(&world).reason.as_str()), (ConditionStatus::False, "Stale"));
    assert_eq!(fresh(&world).last_transition_time, deadline);
    assert_eq!(world.events.last().unwrap().message, fresh(&world).message);
    world.run_for(secs(48 * HOUR));
    assert_eq!((world.writes, world.event_count(Reason::Stale), world.due()), (writes + 1, 1, None));
    // Nothing else has changed.
    world.is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.ready(), world.service.submits), (ConditionStatus::True, 1));
    assert!(!world.holds(ConditionType::Stalled) && !world.holds(ConditionType::Reconciling));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(300));
    assert_eq!(transitions(&world), [ConditionStatus::True, ConditionStatus::False, ConditionStatus::True]);
    assert_eq!(world.event_count(Reason::Stale), 1);
}

#[test]
fn age_counts_from_creation_before_first_success() {
    let mut world = target(600);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_for(secs(300)).is(RunState::Failed, Reason::RefreshFailed);
    assert_eq!(fresh(&world).status, ConditionStatus::True);
    world.run_for(secs(400));
    let deadline = Time::from(at("2026-01-01T12:10:00Z"));
    assert_eq!((fresh(&world).status, fresh(&world).last_transition_time), (ConditionStatus::False, deadline));
    assert!(
        fresh(&world).message.starts_with("no run has succeeded since the creation at 2026-01-01T12:00:00Z"),
        "{}",
        fresh(&world).message
    );
    world.is(RunState::Failed, Reason::RefreshFailed);
}

type Arrange = fn(&mut World);

#[test]
fn freshness_is_shown_in_every_state() {
    let states: [(&str, Arrange); 5] = [
        ("suspended", |world| {
            world.edit(|spec| spec.suspend = true);
        }),
        ("blocked", |world| world.spec_blocker = Some(missing(Reason::SecretNotFound))),
        ("invalid", |world| world.spec_blocker = Some(Blocker { remedy: Remedy::SpecChange, ..missing(Reason::InvalidSpec) })),
        ("behind", |world| world.ahead = Some("bi/other".to_owned())),
        ("running", |world| world.service.length = secs(4 * HOUR)),
    ];
    for (name, arrange) in states {
        let mut world = target(600);
        arrange(&mut world);
        world.run_for(secs(599));
        assert_eq!(fresh(&world).status, ConditionStatus::True, "{name}");
        let before = world.status().clone();
        world.run_for(secs(60));
        assert_eq!((fresh(&world).status, world.event_count(Reason::Stale)), (ConditionStatus::False, 1), "{name}");
        let others = |status: &Status| {
            status.conditions.iter().filter(|it| it.r#type != ConditionType::Fresh).map(|it| (it.r#type, it.status)).collect::<Vec<_>>()
        };
        assert_eq!(
            (others(world.status()), world.status().run.as_ref().map(|run| run.state)),
            (others(&before), before.run.map(|run| run.state)),
            "{name}"
        );
        assert_eq!(world.status().conditions.last().unwrap().r#type, ConditionType::Fresh, "{name}");
    }
}

#[test]
fn field_is_added_changed_and_removed() {
    let mut world = World::new(|_| {});
    world.service.length = secs(60);
    world.run_for(secs(2 * HOUR)).is(RunState::Succeeded, Reason::Succeeded);
    assert!(world.condition(ConditionType::Fresh).is_none());
    world.edit(|spec| spec.stale_after_seconds = Some(3_600)).run_for(secs(5));
    assert_eq!((fresh(&world).status, world.event_count(Reason::Stale)), (ConditionStatus::False, 1));
    assert_eq!(fresh(&world).observed_generation, world.status().observed_generation);
    world.edit(|spec| spec.stale_after_seconds = Some(10_800)).run_for(secs(5));
    assert_eq!((fresh(&world).status, world.event_count(Reason::Stale)), (ConditionStatus::True, 1));
    world.edit(|spec| spec.stale_after_seconds = None).run_for(secs(5));
    assert!(world.condition(ConditionType::Fresh).is_none());
    assert_eq!(world.service.submits, 1);
}

#[test]
fn service_clock_that_is_ahead_makes_no_age_negative() {
    let mut world = target(600);
    world.service.skew = jiff::SignedDuration::from_mins(4);
    world.run_for(secs(120)).is(RunState::Succeeded, Reason::Succeeded);
    let (run, success) = (world.run(), world.status().last_successful_time);
    assert!(run.ended_time > success && success == run.recorded_time, "{:?} {success:?}", run.ended_time);
    assert_eq!(fresh(&world).status, ConditionStatus::True);
    world.run_for(secs(600));
    assert_eq!((fresh(&world).status, world.event_count(Reason::Stale)), (ConditionStatus::False, 1));
}

#[test]
fn clock_that_is_set_back_repeats_no_transition() {
    let mut world = target(600);
    world.run_for(secs(2 * HOUR));
    let stale = fresh(&world).clone();
    let writes = world.writes;
    // Just before the deadline, by the new clock.
    let back = world.now().duration_since(stale.last_transition_time.timestamp()).as_secs() + 60;
    world.step_clock(-back).changed().run_for(secs(HOUR));
    assert_eq!((fresh(&world), world.writes, world.event_count(Reason::Stale)), (&stale, writes, 1));
    // A clock that was hours ahead had made it stale too early.
    let mut world = target(7_200);
    world.run_for(secs(300)).step_clock(4 * 3_600).changed().run_for(secs(5));
    assert_eq!(fresh(&world).status, ConditionStatus::False);
    world.step_clock(-4 * 3_600).changed().run_for(secs(5));
    assert_eq!(fresh(&world).status, ConditionStatus::True);
}

#[test]
fn success_in_the_far_future_does_not_count() {
    let mut world = target(600);
    world.run_for(secs(300));
    world.edit_status(|status| status.last_successful_time = Some(Time::from(at("2100-01-01T00:00:00Z")))).run_for(secs(HOUR));
    assert_eq!(fresh(&world).status, ConditionStatus::False);
}

#[test]
fn restart_repeats_neither_write_nor_event() {
    let mut world = target(600);
    world.run_for(secs(2 * HOUR));
    let writes = world.writes;
    world.restart().run_for(secs(HOUR));
    assert_eq!((world.writes, world.event_count(Reason::Stale)), (writes, 1));
    // A transition during a downtime is reported afterwards.
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(300));
    world.advance(secs(2 * HOUR));
    world.restart().run_for(secs(5));
    assert_eq!((fresh(&world).status, world.event_count(Reason::Stale)), (ConditionStatus::False, 2));
}

#[test]
fn fresh_is_the_last_condition() {
    let shown = |world: &World| world.status().conditions.iter().map(|it| it.r#type).collect::<Vec<_>>();
    let newer = ConditionType::Unrecognized("Degraded".into());
    let mut world = target(600);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(shown(&world), [ConditionType::Ready, ConditionType::Succeeded, ConditionType::Finished, ConditionType::Fresh]);
    world.edit_status(|status| status.conditions.push(Condition { r#type: newer, ..status.conditions[0].clone() }));
    world.service.outcomes.push_back(Phase::Failed);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(900)).is(RunState::Failed, Reason::RefreshFailed);
    let expected =
        [ConditionType::Stalled, ConditionType::Ready, ConditionType::Succeeded, ConditionType::Finished, newer, ConditionType::Fresh];
    assert_eq!(shown(&world), expected);
}

#[test]
fn drain_and_deletion_are_as_without_the_field() {
    let mut world = target(600);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    world.drain = Some(DrainMode::Cancel);
    let writes = world.changed().writes;
    world.run_for(secs(HOUR));
    assert_eq!((world.writes, world.event_count(Reason::Stale)), (writes, 0));
    let mut world = target(600);
    world.service.length = secs(4 * HOUR);
    world.run_for(secs(60)).is(RunState::Running, Reason::Running);
    assert!(world.metadata().finalizers.iter().flatten().any(|name| name == FINALIZER));
    world.delete().run_for(secs(300));
    assert!(world.gone() && world.service.cancels.len() == 1);
}

#[test]
fn cancelled_run_is_no_success() {
    let mut world = target(600);
    world.service.length = secs(HOUR);
    world.run_for(secs(30)).is(RunState::Running, Reason::Running);
    world.annotate(CANCEL_REQUESTED_AT, Some("c")).run_for(secs(900)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!(fresh(&world).status, ConditionStatus::False);
}
