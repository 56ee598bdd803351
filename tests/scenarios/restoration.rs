//! The status is checked, not trusted: an edit is resolved from the history, or else from the service.

use model::script::{CallOutcome, SubmitOutcome, World, at, secs, service_error};
use tabular_operator::api::{ADOPT, ConditionStatus, ConditionType, RUN_REQUESTED_AT, Reason, RunState, Status, Time};
use tabular_operator::operation::{Phase, ServiceErrorKind};

const ENDED: [RunState; 4] = [RunState::Succeeded, RunState::Failed, RunState::TimedOut, RunState::Cancelled];
const OPEN: [RunState; 4] = [RunState::Waiting, RunState::Submitting, RunState::Running, RunState::Cancelling];

fn both() -> [World; 2] {
    [World::new(|_| {}), World::sync(|_| {})]
}

fn set_state(world: &mut World, state: RunState) -> &mut World {
    world.edit_status(|status| status.run.as_mut().unwrap().state = state)
}

#[test]
fn unrecorded_end_in_the_status_reopens_the_run() {
    for state in ENDED {
        for (limit, ended) in [(10, false), (10, true), (0, false)] {
            for mut world in both() {
                world.service.length = secs(600);
                world.edit(|spec| spec.history_limit = limit).run_for(secs(10)).is(RunState::Running, Reason::Running);
                set_state(&mut world, state);
                if ended {
                    let now = world.now();
                    world.edit_status(|status| status.run.as_mut().unwrap().ended_time = Some(Time::from(now)));
                }
                world.run_for(secs(5)).is(RunState::Running, Reason::Running);
                assert_eq!(world.event_count(Reason::StatusRestored), 1, "{state:?}");
                assert!(!world.holds(ConditionType::Ready) && !world.holds(ConditionType::Finished));
                world.restart().run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
                assert_eq!((world.service.submits, world.status().successful_runs, world.event_count(Reason::StatusRestored)), (1, 1, 1));
            }
        }
    }
}

#[test]
fn edited_success_of_a_failed_run_is_reverted() {
    for mut world in both() {
        world.service.length = secs(60);
        world.service.outcomes.push_back(Phase::Failed);
        world.run_for(secs(10));
        set_state(&mut world, RunState::Succeeded);
        world.advance(secs(100)).run_for(secs(100));
        assert_eq!((world.run().state, world.ready(), world.status().successful_runs), (RunState::Failed, ConditionStatus::False, 0));
    }
}

#[test]
fn waiting_run_with_operation_is_reopened() {
    for state in [RunState::Waiting, RunState::Submitting] {
        for mut world in both() {
            world.service.length = secs(600);
            world.run_for(secs(10));
            set_state(&mut world, state).run_for(secs(5)).is(RunState::Running, Reason::Running);
            world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1), "{state:?}");
        }
    }
}

#[test]
fn edited_end_of_an_unanswered_submission_is_resolved() {
    for mut world in both() {
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        (world.service.length, world.service.lag) = (secs(20), secs(60));
        world.run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
        set_state(&mut world, RunState::Succeeded).run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.status().history.len()), (1, 1));
    }
}

#[test]
fn held_submission_survives_status_edits() {
    for state in ENDED.into_iter().chain(OPEN) {
        for mut world in both() {
            world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
            (world.service.truncated, world.service.length) = (true, secs(20));
            world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
            set_state(&mut world, state).run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
            assert_eq!(world.service.submits, 1, "{state:?}");
        }
    }
}

#[test]
fn accepted_submission_is_recorded_despite_status_edits() {
    for state in ENDED.into_iter().chain([RunState::Waiting]) {
        for kill in [false, true] {
            for mut world in both() {
                world.service.submit_outcomes.push_back(if kill { SubmitOutcome::LostAfter } else { SubmitOutcome::Answered });
                world.service.length = secs(100);
                world.edit_during_submission = Some(Box::new(move |status| status.run.as_mut().unwrap().state = state));
                world.run_for(secs(5));
                world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
                assert_eq!((world.service.submits, world.run().number), (1, 1), "{state:?}");
            }
        }
    }
}

#[test]
fn ended_run_stays_ended_after_an_edit() {
    for (limit, states) in [(10, &[&OPEN[..], &ENDED[..]].concat()), (0, &OPEN.to_vec())] {
        for state in states {
            for mut world in both() {
                world.edit(|spec| spec.history_limit = limit);
                world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
                let before = world.status().clone();
                set_state(&mut world, *state).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
                let restored = usize::from(*state != RunState::Succeeded);
                assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, restored), "{state:?}");
                let kept = |status: &Status| (status.history.clone(), status.successful_runs, status.last_handled_digest.clone());
                assert_eq!(kept(world.status()), kept(&before));
                assert_eq!(world.ready(), ConditionStatus::True);
            }
        }
    }
}

#[test]
fn deletion_waits_for_the_service_despite_status_edits() {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.cancels_after) = (secs(600), Some(secs(20)));
    world.run_for(secs(10));
    set_state(&mut world, RunState::Succeeded).delete().run_for(secs(5));
    assert_eq!((world.gone(), world.service.cancels.len()), (false, 1), "what runs is cancelled first");
    world.run_for(secs(200));
    assert!(world.gone());
}

#[test]
fn run_numbers_continue_from_the_history() {
    for mut world in both() {
        for value in ["a", "b"] {
            world.annotate(RUN_REQUESTED_AT, Some(value)).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        }
        world.edit_status(|status| status.run = None);
        world.annotate(RUN_REQUESTED_AT, Some("c")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.run().number, 3);
        world.service.length = secs(600);
        world.annotate(RUN_REQUESTED_AT, Some("d")).run_for(secs(10)).is(RunState::Running, Reason::Running);
        world.edit_status(|status| status.run.as_mut().unwrap().number = 1).run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits), (4, 4));
    }
}

#[test]
fn deadline_counts_without_the_time_of_the_submission() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 60);
    world.service.length = secs(10_000);
    world.run_for(secs(10));
    world.edit_status(|status| status.run.as_mut().unwrap().submitted_time = None);
    world.run_for(secs(300)).is(RunState::TimedOut, Reason::DeadlineExceeded);
}

#[test]
fn success_edited_into_a_status_starts_nothing() {
    let mut upstream = World::new(|spec| spec.history_limit = 0);
    upstream.service.length = secs(600);
    upstream.run_for(secs(10));
    set_state(&mut upstream, RunState::Succeeded);
    assert!(upstream.as_upstream().successes.is_empty());
    upstream.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(upstream.as_upstream().successes.len(), 1);
}

#[test]
fn status_of_an_earlier_version_is_understood() {
    // The operation of the failed attempt is still recorded while the next attempt waits.
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.length = secs(20);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    world.edit_status(|status| {
        let run = status.run.as_mut().unwrap();
        run.operation_id = run.previous_operation_ids.pop();
    });
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().attempt, world.service.submits, world.event_count(Reason::StatusRestored)), (2, 2, 0));
    // Ends without the time at which they were recorded.
    for limit in [10, 0] {
        let mut world = World::new(|spec| spec.history_limit = limit);
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        let lists = world.service.lists;
        world.edit_status(|status| {
            status.run.as_mut().unwrap().recorded_time = None;
            status.history.iter_mut().for_each(|entry| entry.recorded_time = None);
        });
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.event_count(Reason::StatusRestored), world.service.lists), (0, lists), "{limit}");
    }
}

/// A submission that waits for the decision of a user.
fn held() -> World {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.truncated, world.service.length) = (true, secs(20));
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world
}

#[test]
fn conditions_of_a_held_submission_are_restored() {
    let mut world = held();
    let before = world.status().conditions.clone();
    world.edit_status(|status| status.conditions.clear()).run_for(secs(60));
    let kinds =
        |conditions: &[tabular_operator::api::Condition]| conditions.iter().map(|held| (held.r#type, held.status)).collect::<Vec<_>>();
    assert_eq!(kinds(&world.status().conditions), kinds(&before));
    let ready = |status: &mut Status| status.conditions.iter_mut().for_each(|held| held.status = ConditionStatus::True);
    world.edit_status(ready).run_for(secs(60));
    assert_eq!(kinds(&world.status().conditions), kinds(&before));
}

#[test]
fn held_submission_shows_its_commands_for_each_failure() {
    let mut world = held();
    world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::AccessDenied))));
    world.annotate(ADOPT, Some("op-8")).run_for(secs(60)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("cannot be polled: AccessDenied"), "{}", world.run().message);
    world.annotate(ADOPT, None).run_for(secs(60)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("if it started none, run `kubectl"), "{}", world.run().message);
}

#[test]
fn numbers_stay_within_the_schema_despite_status_edits() {
    for number in [1_000_000_000, 999_999_999] {
        for of_run in [false, true] {
            let mut world = World::new(|_| {});
            world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            world.edit_status(|status| {
                let run = status.run.as_mut().unwrap();
                if of_run { run.number = number } else { status.history[0].number = number }
            });
            for value in ["a", "b", "c"] {
                world.annotate(RUN_REQUESTED_AT, Some(value)).run_for(secs(10)).is(RunState::Running, Reason::Running);
                world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
                assert!((2..=4).contains(&world.run().number), "{}", world.run().number);
            }
            assert_eq!(world.service.submits, 4);
        }
    }
    let mut world = World::new(|_| {});
    world.run_for(secs(300)).annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.edit_status(|status| status.history[0].number = 1_000_000_000).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.run().number, 2);
}

#[test]
fn deadline_counts_with_a_submission_in_the_future() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 600);
    world.service.length = secs(10_000);
    world.run_for(secs(10));
    let minutes = Time::from(world.now() + secs(300));
    world.edit_status(|status| status.run.as_mut().unwrap().submitted_time = Some(minutes)).run_for(secs(10));
    assert_eq!(world.run().submitted_time, Some(minutes), "clocks are set by minutes");
    for also in [false, true] {
        let future = Time::from(at("2099-01-01T00:00:00Z"));
        world.edit_status(|status| {
            let run = status.run.as_mut().unwrap();
            (run.submitted_time, run.requested_time) = (Some(future), if also { future } else { run.requested_time });
            run.started_time = run.started_time.filter(|_| !also);
        });
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        assert!(world.run().submitted_time.unwrap().timestamp() <= world.now());
    }
    assert_eq!(world.event_count(Reason::StatusRestored), 2);
    world.run_for(secs(700)).is(RunState::TimedOut, Reason::DeadlineExceeded);
}

#[test]
fn submission_shown_in_the_future_is_not_submitted_again() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(20), secs(60));
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let future = Time::from(at("2099-01-01T00:00:00Z"));
    world.edit_status(|status| status.run.as_mut().unwrap().submitted_time = Some(future)).restart();
    world.run_for(secs(900)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("if it started none, run `kubectl"), "{}", world.run().message);
    assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1));
    world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn run_in_progress_is_restored_when_the_status_loses_it() {
    for lost in [false, true] {
        for mut world in both() {
            world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            let older = world.status().clone();
            world.service.submit_outcomes.extend(lost.then_some(SubmitOutcome::LostAfter));
            (world.service.length, world.service.lag) = (secs(600), secs(if lost { 60 } else { 0 }));
            world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(10));
            let state = if lost { RunState::Submitting } else { RunState::Running };
            assert_eq!((world.run().number, world.run().state), (2, state));
            let lists = world.service.lists;
            world.edit_status(|status| status.run = None).run_for(secs(5));
            assert_eq!((world.run().number, world.run().state, world.event_count(Reason::StatusRestored)), (2, state, 1));
            assert!(!world.holds(ConditionType::Ready));
            world.edit_status(|status| *status = older).run_for(secs(5));
            assert_eq!((world.run().number, world.run().state, world.event_count(Reason::StatusRestored)), (2, state, 2));
            assert!(lost || world.service.lists == lists, "the latest record is restored, so no list is needed");
            world.run_for(secs(1_800)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((world.service.submits, world.run().number, world.status().history.len()), (2, 2, 2));
        }
    }
    // A deletion cancels it.
    let mut world = World::new(|_| {});
    world.service.length = secs(600);
    world.run_for(secs(10));
    world.edit_status(|status| status.run = None).delete().run_for(secs(60));
    assert_eq!((world.gone(), world.service.cancels.len()), (true, 1));
}

#[test]
fn accepted_submission_is_recorded_after_its_run_is_removed() {
    let mut world = World::new(|_| {});
    world.service.length = secs(60);
    world.edit_during_submission = Some(Box::new(|status| status.run = None));
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (1, 1));
}

#[test]
fn accepted_trigger_of_a_restored_run_starts_no_other_run() {
    let mut world = World::new(|_| {});
    world.service.length = secs(100);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(10));
    let older = world.status().clone();
    assert!(older.queued.is_some());
    world.run_for(secs(100)).is(RunState::Running, Reason::Running);
    assert_eq!(world.run().number, 2);
    world.edit_status(|status| *status = older).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (2, 2));
}

#[test]
fn restored_run_has_handled_only_its_own_trigger() {
    for token in [Some("v2"), None] {
        let mut world = World::new(|spec| spec.trigger.get_or_insert_default().token = Some("v1".to_owned()));
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        let older = world.status().clone();
        world.service.length = secs(600);
        match token {
            Some(token) => world.edit(|spec| spec.trigger.get_or_insert_default().token = Some(token.to_owned())),
            None => world.annotate(RUN_REQUESTED_AT, Some("noon")),
        };
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        world.edit_status(|status| *status = older).run_for(secs(5)).is(RunState::Running, Reason::Running);
        let status = world.status();
        assert_eq!((status.last_handled_token.as_deref(), &status.queued), (Some(token.unwrap_or("v1")), &None));
    }
}

#[test]
fn acceptance_whose_write_had_no_response_is_kept() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(60), secs(30));
    world.run_for(secs(2)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.edit_status(|status| {
        let run = status.run.as_mut().unwrap();
        (run.state, run.operation_id) = (RunState::Running, Some("op-0".to_owned()));
        Reason::Running.as_str().clone_into(&mut run.reason);
    });
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!(world.event_count(Reason::StatusRestored), 0);
}
