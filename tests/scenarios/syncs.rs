//! A sync: the same decision as for a refresh, without a cancellation, and matched only by its times.

use jiff::SignedDuration;

use model::script::{SubmitOutcome, World, blocked, operation, polled, secs, service_error};
use tabular_operator::api::{ADOPT, ConflictPolicy, RUN_REQUESTED_AT, Reason, RunState, Status, TriggerType};
use tabular_operator::engine::{ClaimedOperations, Decision, DecisionMemory, Effect, EffectResult};
use tabular_operator::operation::{ClockSkew, Listing, Operation, OperationId, OperationKind, Phase, ServiceErrorKind, SubmitResult};

fn running(length: u64) -> World {
    let mut world = World::sync(|_| {});
    world.service.length = secs(length);
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    world
}

/// Decides on an accepted submission.
fn decide_on_accepted(world: &World, status: &Status, id: OperationId, location: Option<String>) -> Decision {
    let accepted = SubmitResult::Accepted { id, location, activity_id: None, retry_after: None };
    world.decide(status, &DecisionMemory::default(), EffectResult::Submitted(accepted))
}

#[test]
fn sync_lists_refreshes_first_and_costs_four_writes() {
    let mut world = World::sync(|_| {});
    world.service.length = secs(5);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.writes, world.service.submits, world.service.lists), (4, 1, 1));
    assert_eq!((world.run().trigger.r#type, world.run().service_state.as_deref()), (TriggerType::Creation, Some("Succeeded")));
    assert_eq!((world.service.ops[0].refresh_type.as_deref(), world.status().successful_runs), (None, 1));
}

#[test]
fn crash_at_any_step_leaves_one_sync() {
    super::submissions::crashes_leave_one_operation(|| World::sync(|_| {}));
}

#[test]
fn sync_without_replicas_succeeds_immediately() {
    let mut world = World::sync(|_| {});
    world.service.replicas = false;
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert!(world.run().message.contains("no read-only replica"), "{}", world.run().message);
    assert_eq!((world.run().operation_id.as_deref(), world.service.submits, world.due()), (None, 1, None));
    assert_eq!(world.status().history[0].state, RunState::Succeeded);
}

#[test]
fn sync_waits_for_another_clients_refresh() {
    let mut world = World::sync(|_| {});
    world.start_other_refresh(100, "full");
    world.run_for(secs(60)).is(RunState::Waiting, Reason::ModelBusy);
    assert!(world.run().message.contains("refresh op-0 by another client"), "{}", world.run().message);
    assert_eq!(world.service.submits, 0);
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.cancels.len()), (1, 0));
}

#[test]
fn list_that_may_hide_a_refresh_is_read_until_the_deadline() {
    let mut world = World::sync(|_| {});
    (world.service.truncated, world.service.hides_running) = (true, true);
    world.start_other_refresh(100, "full");
    world.run_for(secs(200)).is(RunState::Waiting, Reason::Retrying);
    assert!(world.run().message.contains("does not show whether one is running"), "{}", world.run().message);
    assert!(world.service.submits == 0 && world.writes <= 4, "{} writes", world.writes);
    world.service.hides_running = false;
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
    let mut world = World::sync(|spec| spec.wait_deadline_seconds = 600);
    (world.service.truncated, world.service.hides_running) = (true, true);
    world.run_for(secs(700)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    assert!(world.run().message.contains("for a list of refreshes that shows whether one is running"), "{}", world.run().message);
    assert_eq!((world.service.submits, world.due()), (0, None));
    // What was left out has ended.
    let mut world = World::sync(|_| {});
    world.service.truncated = true;
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn refresh_is_submitted_when_a_list_may_hide_another() {
    // A refusal shows that it is busy; with which operation is unknown.
    for (conflict, state, reason) in [
        (ConflictPolicy::Wait, RunState::Waiting, Reason::ModelBusy),
        (ConflictPolicy::Replace, RunState::Waiting, Reason::ModelBusy),
        (ConflictPolicy::Fail, RunState::Failed, Reason::Conflict),
    ] {
        let mut world = World::new(|spec| spec.conflict_policy = conflict);
        (world.service.truncated, world.service.hides_running) = (true, true);
        world.start_other_refresh(100, "full");
        world.run_for(secs(90)).is(state, reason);
        assert!(world.service.cancels.is_empty() && world.service.ops.len() == 1, "{conflict:?}");
        if state == RunState::Waiting {
            world.run_for(secs(400)).is(RunState::Succeeded, Reason::Succeeded);
        }
    }
}

#[test]
fn busy_sync_waits_and_does_not_fail() {
    let mut world = World::sync(|_| {});
    world.start_other_sync(50);
    world.run_for(secs(20)).is(RunState::Waiting, Reason::ModelBusy);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().attempt, world.run().number), (1, 1));
}

#[test]
fn failed_sync_is_retried_up_to_backoff_limit() {
    let mut world = World::sync(|spec| spec.backoff_limit = 1);
    world.service.outcomes.extend([Phase::Failed, Phase::Failed]);
    world.run_for(secs(600)).is(RunState::Failed, Reason::SyncFailed);
    assert_eq!((world.run().attempt, world.service.submits), (2, 2));
}

#[test]
fn finalizing_sync_has_succeeded() {
    let world = running(1_000);
    let finalizing = Operation { service_status: "Finalizing".to_owned(), ..operation("op-0", Phase::Succeeded) };
    let run = world.decide(world.status(), world.memory(), polled(finalizing)).status.run.unwrap();
    assert_eq!((run.state, run.service_state.as_deref()), (RunState::Succeeded, Some("Finalizing")));
    assert!(run.message.contains("still cleaning up"), "{}", run.message);
}

#[test]
fn sync_is_polled_at_its_newest_location() {
    let mut world = World::sync(|_| {});
    (world.service.moves, world.service.length) = (true, secs(600));
    world.run_for(secs(5));
    assert_eq!(world.run().location.as_deref(), Some("https://westus.asazure.windows.net/place/0"), "that of the submission");
    let writes = world.writes;
    world.run_for(secs(120));
    let places = world.service.polled_at.clone();
    assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "each answer names another place: {places:?}");
    assert!(world.writes - writes <= 12, "{} writes in two minutes", world.writes - writes);
    let newest = world.service.polls;
    world.restart().run_for(secs(31));
    let again = world.service.polled_at[newest].as_deref().unwrap();
    assert!(world.statuses.iter().any(|status| status.run.as_ref().unwrap().location.as_deref() == Some(again)), "{again}");
    assert_ne!(again, "https://westus.asazure.windows.net/place/0");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.run().location, None);
}

#[test]
fn too_long_location_is_not_truncated() {
    let world = running(1_000);
    for (length, kept) in [(2_048, true), (2_049, false)] {
        let mut recorded = world.status().clone();
        recorded.run.as_mut().unwrap().state = RunState::Submitting;
        let (id, location) = (OperationId::parse("op-0").unwrap(), Some("x".repeat(length)));
        let decision = decide_on_accepted(&world, &recorded, id, location.clone());
        assert_eq!(decision.status.run.unwrap().location, location.filter(|_| kept));
    }
}

#[test]
fn sync_is_orphaned_at_its_deadline() {
    let mut world = World::sync(|spec| (spec.active_deadline_seconds, spec.backoff_limit) = (120, 3));
    world.service.length = secs(1_000);
    world.run_for(secs(600)).is(RunState::TimedOut, Reason::DeadlineExceeded);
    assert!(world.run().message.contains("may still be running at the service"), "{}", world.run().message);
    assert_eq!((world.service.cancels.len(), world.service.submits, world.due()), (0, 1, None));
}

#[test]
fn deletion_orphans_a_running_sync_with_an_event() {
    let mut world = running(1_000);
    world.delete().run_for(secs(2));
    assert!(world.gone() && world.service.cancels.is_empty());
    let said = world.events.iter().find(|event| event.reason == Reason::Released).unwrap();
    assert!(
        said.message.contains("op-0 is still running at the service") && said.message.contains("cannot be cancelled"),
        "{}",
        said.message
    );

    // One that may have started is not awaited either: it cannot be cancelled.
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2)).delete().run_for(secs(2));
    let said = world.events.iter().find(|event| event.reason == Reason::Released).unwrap();
    assert!(world.gone() && said.message.contains("may have started"), "{}", said.message);

    let mut world = World::sync(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).delete().run_for(secs(1));
    assert!(world.gone() && world.event_count(Reason::Released) == 0);
}

#[test]
fn missing_secret_during_a_sync_loses_nothing() {
    let mut world = running(100);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(300)).is(RunState::Running, Reason::SecretNotFound);
    world.preparation_failure = None;
    world.run_for(secs(70)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn unknown_sync_is_searched_in_the_list_of_syncs() {
    let mut world = running(1_000);
    world.run_for(secs(150));
    world.service.ops[0].lost = true;
    let lists = world.service.lists;
    world.run_for(secs(60)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!((world.service.lists, world.service.submits), (lists + 1, 1));
}

#[test]
fn trigger_during_a_sync_starts_one_afterwards() {
    let mut world = running(60);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(10));
    assert!(world.status().queued.is_some());
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (2, 2));
}

// Lost responses: what identifies an operation, and what does not.

#[test]
fn lost_sync_response_is_adopted_by_its_times() {
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.event_count(Reason::Adopted), world.run().operation_id.as_deref()), (1, 1, Some("op-0")));
}

#[test]
fn unlisted_sync_is_retried_when_no_refresh_runs() {
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(149)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.start_other_refresh(60, "full");
    world.run_for(secs(30)).is(RunState::Waiting, Reason::ModelBusy);
    assert_eq!(world.service.submits, 1);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().attempt), (2, 1));
}

#[test]
fn earlier_sync_is_not_adopted() {
    let mut world = World::sync(|_| {});
    world.start_other_sync(3);
    world.advance(secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn sync_that_ended_earlier_without_start_is_not_adopted() {
    let mut world = World::sync(|_| {});
    world.start_other_sync(3);
    world.service.ops[0].shows_start = false;
    world.advance(secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.run().operation_id.as_deref(), Some("op-1"));
}

#[test]
fn sync_just_before_the_intent_is_not_adopted_immediately() {
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(1));
    world.start_other_sync(500);
    world.service.ops[0].start = world.now() - SignedDuration::from_secs(4);
    world.run_for(secs(100)).is(RunState::Submitting, Reason::ResolvingSubmission);
}

#[test]
fn sync_in_the_second_of_its_intent_waits_for_a_later_list() {
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let intent = world.run().submitted_time.unwrap().timestamp();
    // The clock of the service was read at an unknown time of a call of two seconds.
    let clock_skew = Some(ClockSkew { min: SignedDuration::from_secs(-2), max: SignedDuration::ZERO });
    for (after_intent, is_ours) in [(-1, false), (0, true), (1, true)] {
        let start = Some(intent + SignedDuration::from_secs(after_intent));
        let operations = vec![Operation { start, ..operation("op-7", Phase::InProgress) }];
        let result = Ok(Listing { operations, clock_skew, ..Listing::default() });
        let listed = EffectResult::Listed { kind: OperationKind::Sync, result, claimed: ClaimedOperations::default() };
        let run = world.decide_at(world.now() + secs(1), listed).status.run.unwrap();
        assert_eq!(run.operation_id.is_some(), is_ours, "{after_intent} s after the intent");
    }
}

#[test]
fn sync_without_service_clock_needs_a_user_decision() {
    let mut world = World::sync(|_| {});
    (world.service.reports_time, world.service.length) = (false, secs(3));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!(world.service.submits, 1);
    world.annotate(ADOPT, Some("op-0")).run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn sync_is_adopted_with_a_wrong_service_clock() {
    for skew in [-299, -60, 60, 299] {
        let mut world = World::sync(|_| {});
        (world.service.skew, world.service.length, world.service.lag) = (SignedDuration::from_secs(skew), secs(3), secs(20));
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.submits, 1, "{skew} s");
    }
}

#[test]
fn accepted_sync_is_tracked_under_a_known_id() {
    // Power BI names none; the client's name for two that found the same state is the same.
    let mut world = running(10);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    world.annotate(RUN_REQUESTED_AT, Some("a"));
    let id = world.service.ops[0].id.clone();
    world.service.length = secs(20);
    world.reconcile_once(None);
    world.reuse_first_id();
    let mut recorded = world.status().clone();
    recorded.run.as_mut().unwrap().operation_id = None;
    recorded.run.as_mut().unwrap().state = RunState::Submitting;
    assert_eq!(recorded.run.as_ref().unwrap().previous_operation_ids, ["op-0"]);
    let decision = decide_on_accepted(&world, &recorded, id, None);
    assert_eq!((decision.effect, decision.status.run.as_ref().unwrap().state), (Effect::None, RunState::Running));
    world.edit_status(|status| *status = decision.status).restart().run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.run().operation_id.as_deref()), (2, Some("op-0")));
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(2));
    assert_eq!(world.run().previous_operation_ids, ["op-0"], "once");
}

#[test]
fn disabled_scale_out_stalls_until_it_is_enabled() {
    let mut world = World::sync(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::ScaleOutDisabled)));
    world.run_for(secs(10)).is(RunState::Waiting, Reason::ScaleOutDisabled);
    assert!(world.holds(tabular_operator::api::ConditionType::Stalled));
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
}
