//! The table of adoption: the decision for each kind of candidate after a lost response.

use jiff::SignedDuration;

use model::script::{CallOutcome, SubmitOutcome, World, failed, secs, service_error};
use tabular_operator::api::{ADOPT, RESUBMIT, Reason, RefreshObject, RefreshType, RunState};
use tabular_operator::engine::QueueState;
use tabular_operator::operation::{ObjectName, ServiceErrorKind};

fn table(name: &str) -> ObjectName {
    ObjectName { table: name.to_owned(), partition: None }
}

/// A run whose submission was lost, while another client's operation started `after` seconds later (before, if negative).
fn beside_another_client(after: i64, refresh_type: &str) -> World {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    if after < 0 {
        world.start_other_refresh(5, refresh_type);
        world.service.ops[0].start = world.now() + SignedDuration::from_secs(after);
        world.service.ops[0].end = world.now();
    }
    world.run_for(secs(2).min(secs(u64::try_from(after.max(0)).unwrap())));
    world
}

/// An unanswered submission: two operations that may be its will be shown at once.
fn doubtful() -> World {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(3), secs(60));
    world.run_for(secs(10));
    world.start_other_refresh(3, "full");
    world.service.ops[0].visible = world.service.ops[1].visible;
    world
}

/// A held submission: two operations that may be its.
fn held() -> World {
    let mut world = doubtful();
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world
}

#[test]
fn unlisted_submission_is_submitted_again() {
    let mut world = beside_another_client(0, "full");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.ops.len()), (2, 1));
}

#[test]
fn earlier_operation_is_not_adopted() {
    let mut world = beside_another_client(-60, "full");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn earlier_running_operation_is_awaited_not_adopted() {
    let mut world = World::new(|_| {});
    world.start_other_refresh(400, "full");
    world.advance(secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(200)).is(RunState::Waiting, Reason::ModelBusy);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn operation_of_another_type_is_not_adopted() {
    let mut world = beside_another_client(0, "full");
    world.start_other_refresh(20, "calculate");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn operation_with_other_objects_is_not_adopted() {
    for shown in [vec![table("Customers")], vec![table("Orders"), table("Customers")]] {
        let orders = RefreshObject { table: "Orders".to_owned(), partition: None };
        let mut world = World::new(|spec| spec.refresh.as_mut().unwrap().objects = vec![orders]);
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.run_for(secs(1));
        world.start_other_refresh(20, "full");
        world.service.ops[0].objects = shown;
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
    }
}

#[test]
fn partial_objects_are_compared_when_the_operation_has_ended() {
    let objects = ["Orders", "Customers"].map(|table| RefreshObject { table: table.to_owned(), partition: None });
    for rest in [true, false] {
        let mut world = World::new(|spec| spec.refresh.as_mut().unwrap().objects = objects.to_vec());
        world.user_decided().service.length = secs(400);
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.reconcile_once(None);
        world.service.ops[0].objects = vec![table("Orders")];
        world.changed();
        world.run_for(secs(390)).is(RunState::Submitting, Reason::ResolvingSubmission);
        assert!(world.run().message.contains("the submission may have started operation op-0, which shows"), "{}", world.run().message);
        if rest {
            world.service.ops[0].objects.push(table("Customers"));
            world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        } else {
            // The service may have left a table out, so the list shows nothing about it.
            world.run_for(secs(900)).is(RunState::Submitting, Reason::SubmissionUnknown);
            world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
        }
        assert_eq!((world.run().operation_id.as_deref(), world.service.submits), (Some("op-0"), 1));
    }
}

#[test]
fn operation_of_another_resource_is_not_a_candidate() {
    let mut world = beside_another_client(0, "full");
    world.start_other_refresh(20, "full");
    world.service.claimed.active.insert("op-0".to_owned());
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn operation_of_an_earlier_run_is_not_adopted() {
    // If the service does not report its time, the operation may have started when this one should have.
    for reports_time in [true, false] {
        let mut world = World::new(|spec| spec.backoff_limit = 1);
        (world.service.length, world.service.reports_time) = (secs(1), reports_time);
        world.service.outcomes.push_back(tabular_operator::operation::Phase::Failed);
        world.service.submit_outcomes.extend([SubmitOutcome::Answered, SubmitOutcome::LostBefore]);
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().attempt, world.run().operation_id.as_deref(), world.service.submits), (2, Some("op-1"), 3));
    }
}

#[test]
fn several_candidates_need_a_user_decision_and_free_the_turn() {
    let mut world = held();
    let run = world.run();
    assert_eq!(run.candidates.iter().map(|candidate| candidate.operation_id.as_str()).collect::<Vec<_>>(), ["op-1", "op-0"]);
    assert!(run.message.contains(ADOPT) && run.message.contains(RESUBMIT), "{}", run.message);
    assert!(world.holds(tabular_operator::api::ConditionType::Stalled));
    assert_eq!((world.queue_state(), world.due()), (QueueState::None, None));
    let writes = world.writes;
    world.restart().run_for(secs(10_000));
    assert_eq!((world.writes, world.service.submits), (writes, 1));
}

#[test]
fn adopt_tracks_the_named_operation() {
    let mut world = held();
    world.annotate(ADOPT, Some("OP-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().operation_id.as_deref(), world.service.submits), (Some("op-0"), 1));
    assert!(world.run().candidates.is_empty());
}

#[test]
fn decision_in_advance_counts() {
    for (key, value, submits) in [(ADOPT, "op-0", 1), (RESUBMIT, "run-1-attempt-1", 2)] {
        let mut world = doubtful();
        world.user_decided();
        world.annotate(key, Some(value)).run_for(secs(20)).is(RunState::Submitting, Reason::ResolvingSubmission);
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.submits, submits, "{key}");
    }
}

#[test]
fn rejected_list_needs_a_user_decision() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::Rejected))));
    world.run_for(secs(120)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.run_for(secs(120)).is(RunState::Submitting, Reason::SubmissionUnknown);
    let message = &world.run().message;
    assert!(message.contains("the service's list cannot be read (Rejected)") && message.contains(RESUBMIT), "{message}");
    let lists = world.service.lists;
    world.run_for(secs(10_000));
    assert_eq!((world.service.lists, world.service.submits), (lists, 1), "it is not asked for again");
    world.service.call_outcomes.clear();
    world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn list_unreadable_until_the_deadline_needs_a_user_decision() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 3_600);
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.call_outcomes.extend((0..10_000).map(|_| CallOutcome::Failed(service_error(ServiceErrorKind::InvalidResponse))));
    world.run_for(secs(3_500)).is(RunState::Submitting, Reason::Retrying);
    world.run_for(secs(200)).is(RunState::Submitting, Reason::SubmissionUnknown);
    let message = &world.run().message;
    assert!(message.contains("the service's list cannot be read (InvalidResponse)") && message.contains(ADOPT), "{message}");
    world.run_for(secs(10_000)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.service.call_outcomes.clear();
    world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn resubmit_counts_once() {
    let mut world = held();
    world.resubmit().run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().number, world.run().attempt), (2, 1, 1));
    assert!(!world.metadata().annotations.as_ref().unwrap().contains_key(RESUBMIT));
}

#[test]
fn ruled_out_operation_is_not_adopted_later() {
    let mut world = held();
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    let shown: Vec<String> = world.run().candidates.iter().map(|candidate| candidate.operation_id.clone()).collect();
    world.resubmit().run_for(secs(20)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!(world.run().excluded_operation_ids, shown);
    // By what they show now, either could be the one.
    for index in 0..2 {
        world.service.ops[index].start = world.now();
    }
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().excluded_operation_ids.len()), (3, 2));
    assert!(!shown.contains(world.run().operation_id.as_ref().unwrap()));
}

#[test]
fn resubmit_survives_an_unprepared_call() {
    let mut world = held();
    world.preparation_failure = failed(ServiceErrorKind::Unreachable);
    world.resubmit().run_for(secs(60));
    world.preparation_failure = None;
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 2);
}

#[test]
fn wrong_server_clock_does_not_prevent_adoption() {
    for (skew, reports_time) in [(-299, true), (-60, true), (60, true), (299, true), (60, false), (299, false)] {
        let mut world = World::new(|_| {});
        (world.service.skew, world.service.reports_time) = (SignedDuration::from_secs(skew), reports_time);
        (world.service.length, world.service.lag) = (secs(3), secs(20));
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.submits, 1, "{skew} s, {reports_time}");
    }
}

#[test]
fn seemingly_older_operation_by_unknown_clock_is_undecided() {
    // This resource's operation by a slow clock; and another client's operation that ended before the intent, by a correct clock.
    for (outcome, skew) in [(SubmitOutcome::LostAfter, -60), (SubmitOutcome::LostAfter, -299), (SubmitOutcome::LostBefore, 0)] {
        let mut world = World::new(|_| {});
        (world.service.skew, world.service.reports_time) = (SignedDuration::from_secs(skew), false);
        world.service.length = secs(3);
        if skew == 0 {
            world.start_other_refresh(3, "full");
            world.advance(secs(60));
        }
        world.service.submit_outcomes.push_back(outcome);
        world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1), "{skew} s");
        assert!(world.run().message.contains("does not report its time"), "{}", world.run().message);
        world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    }
}

#[test]
fn earlier_operation_in_slow_list_is_not_adopted() {
    let mut world = beside_another_client(-20, "full");
    world.service.slow = secs(30);
    world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn seemingly_older_operation_in_slow_list_is_undecided() {
    let mut world = beside_another_client(-20, "full");
    world.service.hesitates = secs(30);
    world.run_for(secs(900)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("just before the submission"), "{}", world.run().message);
    // An operation that started after the intent is still this resource's.
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.hesitates) = (secs(20), secs(30));
    world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn ended_operation_without_start_is_undecided() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.length = secs(20);
    world.reconcile_once(None);
    world.service.ops[0].shows_start = false;
    world.changed();
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("when it started"), "{}", world.run().message);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn running_operation_without_start_or_type_is_undecided() {
    for (shows_start, refresh_type) in [(false, Some("full")), (true, None), (true, Some("somethingNew"))] {
        let mut world = World::new(|_| {});
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.service.length = secs(500);
        world.reconcile_once(None);
        (world.service.ops[0].shows_start, world.service.ops[0].refresh_type) = (shows_start, refresh_type.map(str::to_owned));
        world.changed();
        world.run_for(secs(100)).is(RunState::Submitting, Reason::ResolvingSubmission);
        world.run_for(secs(100)).is(RunState::Submitting, Reason::SubmissionUnknown);
        world.annotate(ADOPT, Some("op-0")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.submits, 1, "{refresh_type:?}");
    }
}

#[test]
fn truncated_list_proves_nothing() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.service.truncated = true;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn list_proves_nothing_about_later_operations() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(400), secs(119));
    world.run_for(secs(110)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.service.slow = secs(60);
    world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn changed_spec_needs_a_user_decision() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2));
    world.edit(|spec| spec.refresh.as_mut().unwrap().r#type = RefreshType::Calculate);
    world.start_other_refresh(20, "calculate");
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
}
