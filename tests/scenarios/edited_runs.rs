//! Edits of a run in progress in the status: they end, cancel and replace nothing. The operation is polled to its end.

use model::script::{SubmitOutcome, World, model, secs};
use tabular_operator::api::{
    CANCEL_REQUESTED_AT, CancelCause, ConcurrencyPolicy, ConditionType, RUN_REQUESTED_AT, Reason, Run, RunState, Time,
};
use tabular_operator::engine::{Decision, EffectResult};
use tabular_operator::operation::Phase;

/// A run in progress of each kind, with this history limit.
fn running(limit: i32) -> [World; 2] {
    let mut worlds = [World::new(|spec| spec.history_limit = limit), World::sync(|spec| spec.history_limit = limit)];
    for world in &mut worlds {
        world.service.length = secs(600);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    }
    worlds
}

fn edit_run(world: &mut World, edit: impl FnOnce(&mut Run)) -> &mut World {
    world.edit_status(|status| edit(status.run.as_mut().unwrap()))
}

/// Asserts that the run was restored once, and that its operation is polled to its end.
#[track_caller]
fn completes(world: &mut World) {
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((world.event_count(Reason::StatusRestored), world.run().recorded_time, world.run().ended_time), (1, None, None));
    assert!(!world.holds(ConditionType::Ready) && !world.holds(ConditionType::Finished));
    world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    let counts = (world.service.submits, world.service.cancels.len(), world.event_count(Reason::StatusRestored));
    assert_eq!((counts, world.status().successful_runs), ((1, 0, 1), 1));
}

fn recently(world: &World) -> Time {
    Time::from(world.now())
}

/// A time that is this many seconds ago.
fn ago(world: &World, seconds: u64) -> Time {
    Time::from(world.now() - secs(seconds))
}

#[test]
fn recorded_time_of_a_run_in_progress_ends_nothing() {
    for limit in [10, 0] {
        for (also_ended, restart) in [(false, false), (true, false), (false, true), (true, true)] {
            for mut world in running(limit) {
                let now = recently(&world);
                edit_run(&mut world, |run| (run.recorded_time, run.ended_time) = (Some(now), Some(now).filter(|_| also_ended)));
                if restart {
                    world.restart();
                }
                completes(&mut world);
            }
        }
    }
}

#[test]
fn deletion_cancels_a_run_that_shows_a_recorded_time() {
    let [mut world, _] = running(10);
    let now = recently(&world);
    edit_run(&mut world, |run| run.recorded_time = Some(now)).delete().run_for(secs(60));
    assert_eq!((world.gone(), world.service.cancels.len()), (true, 1));
}

#[test]
fn success_with_times_in_the_status_is_no_success() {
    for limit in [10, 0] {
        for (recorded, ended) in [(true, false), (false, true), (true, true)] {
            for restart in [false, true] {
                for mut world in running(limit) {
                    let now = recently(&world);
                    edit_run(&mut world, |run| {
                        run.state = RunState::Succeeded;
                        (run.recorded_time, run.ended_time) = (Some(now).filter(|_| recorded), Some(now).filter(|_| ended));
                    });
                    if restart {
                        world.restart();
                    }
                    completes(&mut world);
                }
            }
        }
    }
}

#[test]
fn success_with_times_in_the_status_is_not_followed() {
    for limit in [10, 0] {
        let [mut world, _] = running(limit);
        let now = recently(&world);
        edit_run(&mut world, |run| {
            (run.state, run.recorded_time, run.ended_time) = (RunState::Succeeded, Some(now), Some(now));
        });
        assert!(world.as_upstream().successes.is_empty(), "before the operator restores it");
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.as_upstream().successes.len(), 1);
    }
}

#[test]
fn complete_end_without_an_entry_in_the_history_is_no_end() {
    // With `historyLimit: 0`, or after a restart, such an end cannot be distinguished from a recorded one.
    for mut world in running(10) {
        let now = recently(&world);
        edit_run(&mut world, |run| {
            (run.state, run.reason) = (RunState::Succeeded, "Succeeded".to_owned());
            (run.recorded_time, run.ended_time) = (Some(now), Some(now));
        });
        completes(&mut world);
    }
}

#[test]
fn cancelling_without_a_cause_cancels_nothing() {
    for restart in [false, true] {
        for mut world in running(10) {
            edit_run(&mut world, |run| run.state = RunState::Cancelling);
            if restart {
                world.restart();
            }
            completes(&mut world);
        }
    }
}

#[test]
fn removed_cause_of_a_cancellation_is_restored() {
    for restart in [false, true] {
        let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace);
        (world.service.length, world.service.cancels_after) = (secs(600), Some(secs(60)));
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
        edit_run(&mut world, |run| run.cancel_cause = None);
        if restart {
            // The trigger that replaces the run is still due.
            world.restart();
        }
        world.run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
        assert_eq!((world.run().cancel_cause, world.event_count(Reason::StatusRestored)), (Some(CancelCause::Replacement), 1));
        world.run_for(secs(120)).is(RunState::Running, Reason::Running);
        assert_eq!((world.run().number, world.status().history[0].reason.as_str()), (2, "Replaced"));
    }
}

#[test]
fn removed_request_to_cancel_is_restored() {
    let [mut world, _] = running(10);
    world.service.cancels_after = Some(secs(60));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
    edit_run(&mut world, |run| run.cancel_cause = None).run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!(world.run().cancel_cause, Some(CancelCause::Request));
}

/// Edits of the identity of a run. After a restart nothing shows that they are wrong.
fn identity_edits() -> [fn(&mut Run); 5] {
    [
        |run| run.operation_id = Some("op-77".to_owned()),
        |run| run.operation_id = None,
        |run| run.model = model("Other"),
        |run| (run.state, run.operation_id) = (RunState::Submitting, Some("op-77".to_owned())),
        |run| (run.state, run.model) = (RunState::Succeeded, model("Other")),
    ]
}

#[test]
fn operation_and_model_of_a_run_in_progress_are_restored() {
    for edit in identity_edits() {
        for mut world in running(10) {
            let (before, lists) = (world.run().clone(), world.service.lists);
            edit_run(&mut world, edit).run_for(secs(5));
            assert_eq!((&world.run().operation_id, &world.run().model), (&before.operation_id, &before.model));
            assert_eq!(world.service.lists, lists, "the latest record is restored, so no list is needed");
            completes(&mut world);
        }
    }
}

#[test]
fn deletion_cancels_the_operation_that_was_recorded() {
    let [mut world, _] = running(10);
    let id = world.run().operation_id.clone().unwrap();
    edit_run(&mut world, |run| run.operation_id = Some("op-77".to_owned())).delete().run_for(secs(60));
    assert_eq!((world.gone(), world.service.cancels.len()), (true, 1));
    assert_eq!(world.service.cancels[0].as_str(), id);
}

#[test]
fn model_of_an_unresolved_submission_is_restored() {
    for mut world in [World::new(|_| {}), World::sync(|_| {})] {
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        (world.service.length, world.service.lag) = (secs(20), secs(60));
        world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
        let before = world.run().model.clone();
        edit_run(&mut world, |run| run.model = model("Other")).run_for(secs(2));
        assert_eq!((&world.run().model, world.event_count(Reason::StatusRestored)), (&before, 1));
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1));
    }
}

#[test]
fn submission_long_before_its_request_is_no_timeout() {
    for restart in [false, true] {
        for mut world in running(10) {
            let (before, early) = (world.run().clone(), ago(&world, 1_000_000));
            edit_run(&mut world, |run| run.submitted_time = Some(early));
            if restart {
                world.restart();
            }
            world.run_for(secs(5)).is(RunState::Running, Reason::Running);
            assert!(world.run().submitted_time >= Some(before.requested_time), "{:?}", world.run().submitted_time);
            assert!(restart || world.run().submitted_time == before.submitted_time);
            completes(&mut world);
        }
    }
}

#[test]
fn submission_shortly_before_its_request_is_kept() {
    for mut world in running(10) {
        let early = ago(&world, 1_800);
        edit_run(&mut world, |run| run.submitted_time = Some(early)).run_for(secs(5)).is(RunState::Running, Reason::Running);
        assert_eq!((world.run().submitted_time, world.event_count(Reason::StatusRestored)), (Some(early), 0), "clocks are set");
    }
}

#[test]
fn time_of_an_unresolved_submission_is_restored() {
    for hours_ahead in [false, true] {
        let mut world = World::new(|_| {});
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        (world.service.length, world.service.lag) = (secs(20), secs(60));
        world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
        let recorded = world.run().submitted_time;
        let wrong = if hours_ahead { Time::from(world.now() + secs(7_200)) } else { ago(&world, 7_200) };
        edit_run(&mut world, |run| run.submitted_time = Some(wrong)).run_for(secs(2));
        assert_eq!((world.run().submitted_time, world.event_count(Reason::StatusRestored)), (recorded, 1));
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1));
    }
}

#[test]
fn clock_set_back_by_hours_holds_an_unresolved_submission() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let run = world.decide_at(world.now() - secs(7_200), EffectResult::None).status.run.unwrap();
    assert_eq!((run.state, run.reason.as_str()), (RunState::Submitting, Reason::SubmissionUnknown.as_str()));
}

#[test]
fn submission_shown_before_its_request_is_not_repeated() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(20), secs(60));
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let early = ago(&world, 7_200);
    edit_run(&mut world, |run| run.submitted_time = Some(early)).restart();
    world.run_for(secs(900)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1));
}

/// Whether a decision reports an edit of the status.
fn reports_an_edit(decision: &Decision) -> bool {
    decision.events.iter().any(|event| event.reason == Reason::StatusRestored)
}

#[test]
fn write_without_a_response_is_not_an_edit() {
    for limit in [10, 0] {
        for mut world in running(limit) {
            let before = world.memory().clone();
            world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
            let decision = world.decide(world.status(), &before, EffectResult::None);
            assert!(!reports_an_edit(&decision), "{:?}", decision.events);
        }
    }
    let [mut world, _] = running(10);
    let before = world.memory().clone();
    world.service.cancels_after = Some(secs(60));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
    let decision = world.decide(world.status(), &before, EffectResult::None);
    assert!(!reports_an_edit(&decision), "{:?}", decision.events);
}

#[test]
fn attempt_in_progress_is_restored_over_an_earlier_one() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    let older = world.status().clone();
    world.ahead = None;
    world.changed().run_for(secs(90)).is(RunState::Running, Reason::Running);
    world.edit_status(|status| *status = older).run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((world.run().attempt, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn run_is_not_restored_if_the_history_has_its_end() {
    // An end of the run, of a later run, and of the same operation; not of a run with a number that no resource reaches.
    for (number, id, is_restored) in
        [(1, "op-0", false), (2, "op-9", false), (499_999_999, "op-9", false), (500_000_000, "op-0", false), (500_000_000, "op-9", true)]
    {
        for mut world in running(10) {
            let memory = world.memory().clone();
            world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
            let mut status = world.status().clone();
            status.run = None;
            (status.history[0].number, status.history[0].operation_id) = (number, Some(id.to_owned()));
            let decision = world.decide(&status, &memory, EffectResult::None);
            assert_eq!(reports_an_edit(&decision), is_restored, "run {number}, {id}");
        }
    }
}

#[test]
fn submission_up_to_an_hour_ahead_or_early_is_kept() {
    for world in running(10) {
        let (now, requested) = (world.now(), world.run().requested_time.timestamp());
        for (submitted, is_restored) in
            [(now + secs(3_600), false), (now + secs(3_601), true), (requested - secs(3_600), false), (requested - secs(3_601), true)]
        {
            let mut status = world.status().clone();
            status.run.as_mut().unwrap().submitted_time = Some(Time::from(submitted));
            let decision = world.decide(&status, world.memory(), EffectResult::None);
            assert_eq!(reports_an_edit(&decision), is_restored, "{submitted} at {now}");
        }
    }
}

#[test]
fn wait_since_a_future_time_counts_from_now() {
    let mut world = World::new(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(10));
    let future = Time::from(world.now() + secs(7_200));
    edit_run(&mut world, |run| run.waiting_since_time = Some(future)).run_for(secs(5));
    let since = world.run().waiting_since_time;
    assert!(since.is_some_and(|since| since.timestamp() <= world.now()), "{since:?}");
    assert_eq!((world.run().state, world.event_count(Reason::StatusRestored)), (RunState::Waiting, 1));
}
