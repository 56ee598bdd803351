//! A user decision applies to one submission: a leftover value, or one for something else, has no effect.

use model::script::{CallOutcome, SubmitOutcome, World, secs, service_error, unreachable};
use tabular_operator::api::{
    ADOPT, CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT, FINALIZER, RELEASE, RESUBMIT, RUN_REQUESTED_AT, Reason, RunState, Time,
};
use tabular_operator::engine::{Effect, EffectResult, resubmit_value};
use tabular_operator::operation::{OperationKind, PollResult, ServiceErrorKind};

/// A submission that a user has to decide about, of both kinds: it is in a list that is cut short.
fn held() -> [World; 2] {
    [World::new(|spec| spec.backoff_limit = 1), World::sync(|spec| spec.backoff_limit = 1)].map(|mut world| {
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        (world.service.truncated, world.service.length) = (true, secs(20));
        world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
        world
    })
}

fn annotation<'a>(world: &'a World, key: &str) -> Option<&'a String> {
    world.metadata().annotations.as_ref()?.get(key)
}

/// The events that report an ignored decision.
fn ignored(world: &World) -> Vec<&str> {
    let events = world.events.iter().filter(|event| event.reason == Reason::DecisionIgnored);
    events.map(|event| event.message.as_str()).collect()
}

#[test]
fn question_is_asked_with_complete_commands() {
    for (world, kind) in held().iter().zip(["mref", "msync"]) {
        let message = &world.run().message;
        for wanted in [
            format!("run `kubectl annotate --overwrite {kind} resource-0 -n bi {ADOPT}=op-0`"),
            format!("run `kubectl annotate --overwrite {kind} resource-0 -n bi {RESUBMIT}=run-1-attempt-1`"),
        ] {
            assert!(message.contains(&wanted), "{message}");
        }
    }
}

#[test]
fn long_cause_leaves_the_commands_complete() {
    let mut world = World::new(|_| {});
    world.edit_metadata(|metadata| metadata.name = Some("n".repeat(253)));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    let mut error = service_error(ServiceErrorKind::Rejected);
    error.message = "x".repeat(900);
    world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(error.clone())));
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    let message = &world.run().message;
    assert!(message.ends_with(&format!("{RESUBMIT}=run-1-attempt-1`")) && message.contains(ADOPT), "{message}");
}

#[test]
fn resubmit_counts_for_the_question_that_it_names() {
    for mut world in held() {
        for stale in ["true", "run-1-attempt-2", "run-2-attempt-1", "run-1-attempt-1-2", "RUN-1-ATTEMPT-1", "false"] {
            let before = ignored(&world).len();
            world.annotate(RESUBMIT, Some(stale)).run_for(secs(5)).is(RunState::Submitting, Reason::SubmissionUnknown);
            assert_eq!((annotation(&world, RESUBMIT), world.service.submits), (None, 1), "{stale}");
            let ignored = ignored(&world);
            assert_eq!(ignored.len(), before + 1, "{stale}");
            let asked = format!("{RESUBMIT}=run-1-attempt-1`");
            assert!(ignored[before].contains(stale) && ignored[before].contains(&asked), "{}", ignored[before]);
        }
        world.resubmit().run_for(secs(1_000));
        assert_eq!((world.service.submits, annotation(&world, RESUBMIT), ignored(&world).len()), (2, None, 6));
    }
}

#[test]
fn resubmit_never_counts_twice() {
    for mut world in held() {
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        let first = resubmit_value(world.run());
        world.resubmit().run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((resubmit_value(world.run()).as_str(), world.service.submits), ("run-1-attempt-1-2", 2));
        // A tool sets a value again that was applied. It is removed, and nothing is submitted.
        world.annotate(RESUBMIT, Some(&first)).restart().run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((world.service.submits, annotation(&world, RESUBMIT)), (2, None));
        world.resubmit().run_for(secs(1_000));
        assert_eq!(world.service.submits, 3);
    }
}

#[test]
fn resubmit_counts_once_whenever_the_operator_is_killed() {
    for step in 0..8 {
        for mut world in held() {
            world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
            world.crash_in = Some(step);
            world.resubmit().run_for(secs(300));
            world.crash_in = None;
            world.restart().run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
            assert_eq!((world.run().resubmissions, annotation(&world, RESUBMIT), ignored(&world).len()), (1, None, 0), "step {step}");
        }
    }
}

#[test]
fn decisions_without_a_question_are_removed() {
    for mut world in [World::new(|_| {}), World::sync(|_| {})] {
        world.annotate(RESUBMIT, Some("true"));
        world.annotate(ADOPT, Some("op-0")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((annotation(&world, RESUBMIT), annotation(&world, ADOPT), world.service.submits), (None, None, 1));
        assert_eq!(ignored(&world).len(), 2);
        assert!(ignored(&world).iter().all(|message| message.contains("no decision is needed now")), "{:?}", ignored(&world));
        // A decision for an ended run has no effect later.
        world.annotate(RESUBMIT, Some("run-2-attempt-1")).run_for(secs(5));
        assert_eq!((annotation(&world, RESUBMIT), ignored(&world).len()), (None, 3));
    }
}

#[test]
fn decision_in_advance_counts_only_for_its_question() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.truncated = true;
    world.run_for(secs(20)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.annotate(RESUBMIT, Some("true")).run_for(secs(5));
    assert_eq!((annotation(&world, RESUBMIT), ignored(&world).len()), (None, 1));
    assert!(ignored(&world)[0].contains("no decision is needed yet"), "{:?}", ignored(&world));
    world.annotate(RESUBMIT, Some("run-1-attempt-1")).run_for(secs(20)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, ignored(&world).len()), (2, 1));
}

#[test]
fn applied_adopt_is_removed_without_an_event() {
    for mut world in held() {
        world.annotate(ADOPT, Some("OP-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((annotation(&world, ADOPT), ignored(&world).len(), world.service.submits), (None, 0, 1));
    }
}

#[test]
fn adopt_of_an_impossible_operation_is_refused() {
    for mut world in held() {
        let refused = |world: &mut World, value: &str, why: &str| {
            let before = ignored(world).len();
            world.annotate(ADOPT, Some(value)).run_for(secs(5)).is(RunState::Submitting, Reason::SubmissionUnknown);
            let ignored = ignored(world);
            assert_eq!((annotation(world, ADOPT), ignored.len()), (None, before + 1), "{value}: {why}");
            assert!(ignored[before].contains(value) && ignored[before].contains(why), "{}", ignored[before]);
            assert!(ignored[before].contains(&format!("{RESUBMIT}=run-1-attempt-1`")), "{}", ignored[before]);
        };
        refused(&mut world, "op-8", "does not show the operation");
        refused(&mut world, "../op-0", "is not the id of an operation");
        world.adopt_claimed = true;
        refused(&mut world, "op-0", "belongs to another resource");
        world.adopt_claimed = false;
        assert_eq!(world.run().candidates.len(), 1, "the candidates stay");
        world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    }
}

#[test]
fn adopt_stays_while_the_service_does_not_respond() {
    for mut world in held() {
        world.service.call_outcomes.extend((0..3).map(|_| CallOutcome::Failed(unreachable())));
        world.annotate(ADOPT, Some("op-0")).run_for(secs(2)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((annotation(&world, ADOPT).is_some(), ignored(&world).len()), (true, 0));
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    }
}

#[test]
fn adopt_of_an_earlier_attempt_is_refused() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(tabular_operator::operation::Phase::Failed);
    world.service.submit_outcomes.extend([SubmitOutcome::Answered, SubmitOutcome::LostAfter]);
    world.service.length = secs(20);
    world.run_for(secs(22));
    world.service.truncated = true;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.annotate(ADOPT, Some("op-0")).run_for(secs(5)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(ignored(&world)[0].contains("earlier run or attempt"), "{:?}", ignored(&world));
    assert_eq!(resubmit_value(world.run()), "run-1-attempt-2");
}

#[test]
fn resubmit_of_a_deleted_resource_is_reported() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.truncated = true;
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.delete().run_for(secs(5));
    world.resubmit().run_for(secs(5));
    assert_eq!((annotation(&world, RESUBMIT), world.service.submits), (None, 1));
    assert!(ignored(&world)[0].contains("tabular-operator.dev/release=true`"), "{:?}", ignored(&world));
}

#[test]
fn annotation_without_a_request_is_removed_and_reported() {
    for (key, value, wanted) in [
        (RUN_REQUESTED_AT, "", "to request a run, set a new value, such as"),
        (CANCEL_REQUESTED_AT, "", "to cancel the run, set a new value, such as"),
        (CHECK_REQUESTED_AT, "", "to request a check, set a new value, such as"),
        (ADOPT, "", "the value is empty"),
        (RESUBMIT, "", "the value is empty"),
        (RELEASE, "yes", "only the value \"true\" releases the resource"),
        (RELEASE, "", "only the value \"true\" releases the resource"),
    ] {
        for mut world in [World::new(|_| {}), World::sync(|_| {})] {
            world.run_for(secs(60));
            let (runs, submits) = (world.run().number, world.service.submits);
            world.annotate(key, Some(value)).run_for(secs(60));
            assert_eq!((annotation(&world, key), world.run().number, world.service.submits), (None, runs, submits), "{key}={value}");
            let events = ignored(&world);
            assert!(events.len() == 1 && events[0].contains(key) && events[0].contains(wanted), "{key}={value}: {events:?}");
        }
    }
}

#[test]
fn release_of_a_deletion_needs_the_value_true() {
    let mut world = World::new(|_| {});
    (world.service.cancels_after, world.service.length) = (Some(secs(36_000)), secs(36_000));
    world.run_for(secs(60)).is(RunState::Running, Reason::Running);
    world.annotate(RELEASE, Some("True")).delete().run_for(secs(60)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!(annotation(&world, RELEASE), None);
    assert!(ignored(&world).iter().any(|event| event.contains(&format!("{RELEASE}=true"))), "{:?}", ignored(&world));
    world.annotate(RELEASE, Some("false")).run_for(secs(5));
    assert_eq!((annotation(&world, RELEASE).map(String::as_str), ignored(&world).len()), (Some("false"), 1));
}

#[test]
fn adopt_of_an_operation_that_cannot_be_shown_is_rejected() {
    let [mut world, _] = held();
    let refused = service_error(ServiceErrorKind::Rejected);
    world.service.call_outcomes.push_back(CallOutcome::Failed(refused));
    world.annotate(ADOPT, Some("op-9")).run_for(secs(5)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!(annotation(&world, ADOPT), None);
    assert!(ignored(&world)[0].contains("the service refuses to show the operation"), "{:?}", ignored(&world));
}

#[test]
fn refused_change_of_metadata_stops_no_run() {
    let mut world = World::new(|_| {});
    world.service.length = secs(60);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.metadata_refused = true;
    world.edit_metadata(|metadata| metadata.finalizers = None);
    world.annotate(RESUBMIT, Some("run-9")).run_for(secs(40)).is(RunState::Running, Reason::Running);
    assert!(world.metadata().annotations.as_ref().unwrap().contains_key(RESUBMIT));
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    // Nothing starts without a finalizer.
    world.edit_metadata(|metadata| metadata.finalizers = None);
    world.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(10));
    assert!(world.metadata().finalizers.is_some());
}

#[test]
fn list_for_adopted_operation_reaches_back_to_its_start() {
    let mut world = World::new(|_| {});
    world.run_until(RunState::Running);
    let submitted = world.run().submitted_time.unwrap().timestamp();
    // Within the difference of the clocks that `adopt` accepts.
    for (started, since) in [(submitted - secs(240), submitted - secs(240)), (submitted + secs(2), submitted)] {
        world.edit_status(|status| status.run.as_mut().unwrap().started_time = Some(Time::from(started)));
        let decision = world.decide_at(submitted + secs(3_600), EffectResult::Polled(PollResult::NotFound));
        assert_eq!(decision.effect, Effect::List(OperationKind::Refresh, since));
    }
}

#[test]
fn repeatedly_set_annotation_is_removed_ever_less_often() {
    for (key, value) in [(RUN_REQUESTED_AT, ""), (RESUBMIT, "run-9-attempt-1"), (ADOPT, "op-99")] {
        let mut world = World::new(|_| {});
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        let mut removals = 0;
        for _ in 0..600 {
            removals += usize::from(annotation(&world, key).is_none());
            world.annotate(key, Some(value)).run_for(secs(5));
        }
        assert!((10..=18).contains(&removals), "{key}: {removals}");
        // It delays no run.
        world.edit(|spec| spec.trigger.get_or_insert_default().token = Some("one".to_owned())).run_for(secs(5));
        assert_eq!(world.service.submits, 2, "{key}");
        // Once it is no longer set, a later mistake is reported at once.
        world.annotate(key, None).run_for(secs(20_000));
        let reported = ignored(&world).len();
        world.annotate(key, Some(value)).run_for(secs(2));
        assert_eq!((annotation(&world, key), ignored(&world).len()), (None, reported + 1), "{key}");
    }
}

#[test]
fn refused_removal_of_an_annotation_delays_no_run() {
    for (key, value) in [(RUN_REQUESTED_AT, ""), (RESUBMIT, "run-9-attempt-1")] {
        let mut world = World::new(|_| {});
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        world.metadata_refused = true;
        world.annotate(key, Some(value)).run_for(secs(5));
        world.edit(|spec| spec.trigger.get_or_insert_default().token = Some("one".to_owned()));
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.submits, 2, "{key}");
    }
}

#[test]
fn late_decision_to_submit_again_restarts_the_wait() {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 600);
    world.ahead = Some("another".to_owned());
    world.run_for(secs(60)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    (world.ahead, world.service.truncated) = (None, true);
    world.changed().run_for(secs(3_600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.service.truncated = false;
    world.resubmit().run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 2);
}

#[test]
fn decision_that_was_set_before_the_submission_does_not_count() {
    let mut world = World::new(|_| {});
    // The API server does not let the operator remove it.
    world.metadata_refused = true;
    world.edit_metadata(|metadata| metadata.finalizers = Some(vec![FINALIZER.to_owned()]));
    (world.service.truncated, world.service.length) = (true, secs(20));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.annotate(RESUBMIT, Some("run-1-attempt-1")).run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, resubmit_value(world.run()).as_str()), (1, "run-1-attempt-1-2"));
    assert!(world.run().message.contains("run-1-attempt-1-2"), "{}", world.run().message);
}

#[test]
fn rejected_adopt_that_is_set_again_costs_few_calls() {
    let [mut world, _] = held();
    let before = world.service.polls;
    for _ in 0..600 {
        world.annotate(ADOPT, Some("op-9")).run_for(secs(1));
    }
    assert!(world.service.polls - before <= 30, "{}", world.service.polls - before);
    // Another value is tried at once.
    world.annotate(ADOPT, Some("op-0")).run_for(secs(5)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn adopt_of_an_earlier_operation_requires_a_candidate() {
    for is_candidate in [false, true] {
        let [mut world, _] = held();
        // The clock of the service differs by more than the operator allows for without a list.
        world.service.ops[0].start -= secs(1_200);
        if !is_candidate {
            world.edit_status(|status| status.run.as_mut().unwrap().candidates.clear());
        }
        world.annotate(ADOPT, Some("op-0")).run_for(secs(60));
        assert_eq!(world.run().state, if is_candidate { RunState::Succeeded } else { RunState::Submitting });
        assert_eq!(
            ignored(&world).iter().filter(|event| event.contains("started before the submission")).count(),
            usize::from(!is_candidate)
        );
    }
}

#[test]
fn waiting_run_is_cancelled_without_its_finalizer() {
    let mut world = World::new(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.metadata_refused = true;
    world.edit_metadata(|metadata| metadata.finalizers = None);
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(10)).is(RunState::Cancelled, Reason::CancelledOnRequest);
}

#[test]
fn held_submission_can_be_checked() {
    for mut world in held() {
        world.annotate(CHECK_REQUESTED_AT, Some("a")).run_for(secs(20));
        assert_eq!(world.status().check.as_ref().map(|check| check.request.as_str()), Some("a"));
        world.is(RunState::Submitting, Reason::SubmissionUnknown);
    }
}

#[test]
fn adopt_allows_for_five_minutes_between_the_clocks() {
    // Two more seconds, because both times have whole seconds.
    for (before, state) in [(301, RunState::Succeeded), (302, RunState::Submitting)] {
        let [mut world, _] = held();
        world.service.ops[0].start -= secs(before);
        world.edit_status(|status| status.run.as_mut().unwrap().candidates.clear());
        world.annotate(ADOPT, Some("op-0")).run_for(secs(60));
        assert_eq!(world.run().state, state, "{before} s before");
    }
}
