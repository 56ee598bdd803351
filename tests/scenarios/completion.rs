//! The ends that the services document: each with its reason, its sentence, and its rule for `backoffLimit`.

use model::script::{SubmitOutcome, World, missing, model, operation, polled, secs, service_error};
use tabular_operator::api::{CANCEL_REQUESTED_AT, ConditionType, Model, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{Blocker, DecisionMemory, Effect, Remedy};
use tabular_operator::operation::{CancelResult, FailureCause, Origin, Phase, ServiceErrorKind};

#[test]
fn each_failure_has_its_reason_remedy_and_rule() {
    let table = [
        (FailureCause::Evicted, Phase::Failed, RunState::Failed, Reason::Evicted, "evicted from memory", true),
        (FailureCause::NodeMoved, Phase::Failed, RunState::Failed, Reason::NodeMoved, "another node", true),
        // Analysis Services calls what it gave up of itself cancelled.
        (FailureCause::NodeMoved, Phase::Cancelled, RunState::Failed, Reason::NodeMoved, "another node", true),
        (FailureCause::AttemptTimeLimit, Phase::Failed, RunState::TimedOut, Reason::AttemptTimeLimit, "attemptTimeoutSeconds", false),
        (FailureCause::AttemptTimeLimit, Phase::TimedOut, RunState::TimedOut, Reason::AttemptTimeLimit, "attemptTimeoutSeconds", false),
        (FailureCause::TotalTimeLimit, Phase::TimedOut, RunState::TimedOut, Reason::TotalTimeLimit, "24 hours", false),
        (FailureCause::CapacityPaused, Phase::Failed, RunState::Failed, Reason::CapacityPaused, "resume the capacity", true),
        (FailureCause::Disabled, Phase::Failed, RunState::Failed, Reason::RefreshDisabled, "refreshes are disabled", false),
    ];
    for (failure, phase, state, reason, said, again) in table {
        for backoff in [0, 1] {
            let mut world = World::new(|spec| spec.backoff_limit = backoff);
            world.service.outcomes.extend([phase, phase]);
            world.service.failures.extend([failure, failure]);
            world.run_for(secs(600)).is(state, reason);
            assert!(world.run().message.contains(said), "{failure:?}: {}", world.run().message);
            let attempts = if again { 1 + backoff } else { 1 };
            assert_eq!((world.run().attempt, world.service.submits), (attempts, usize::try_from(attempts).unwrap()), "{failure:?}");
        }
    }
}

#[test]
fn own_cancellation_is_not_a_failure() {
    let mut world = World::new(|spec| (spec.active_deadline_seconds, spec.backoff_limit) = (60, 3));
    world.service.length = secs(1_000);
    world.service.failures.push_back(FailureCause::NodeMoved);
    world.run_for(secs(600)).is(RunState::TimedOut, Reason::DeadlineExceeded);
    assert_eq!(world.service.submits, 1);
}

/// A refresh of a model in Power BI.
fn power_bi(backoff_limit: i32) -> World {
    World::new(|spec| {
        spec.model = Model::by_ids("f089354e".to_owned(), "cfafbeb1".to_owned());
        spec.backoff_limit = backoff_limit;
    })
}

fn never_known(world: &mut World) {
    world.service.length = secs(3);
    world.run_for(secs(2)).is(RunState::Running, Reason::Running);
    world.service.ops.last_mut().unwrap().lost = true;
}

#[test]
fn dropped_request_is_retried() {
    let mut world = power_bi(0);
    world.service.lag = secs(1_000);
    never_known(&mut world);
    world.run_for(secs(60)).is(RunState::Running, Reason::Running);
    world.run_for(secs(300)).is(RunState::Failed, Reason::RequestDropped);
    assert!(world.run().message.contains("so the operation never ran: Power BI drops requests"), "{}", world.run().message);
    assert_eq!(world.service.submits, 1);

    let mut world = power_bi(1);
    world.service.lag = secs(1_000);
    never_known(&mut world);
    world.service.lag = secs(0);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().attempt, world.service.submits), (2, 2));
}

#[test]
fn failed_operation_of_deleted_resource_is_not_retried() {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.length = secs(1_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.delete();
    // The result of a poll that began before the deletion.
    let decision = world.decide(world.status(), &DecisionMemory::default(), polled(operation("op-0", Phase::TimedOut)));
    let reasons: Vec<_> = decision.events.iter().map(|event| event.reason).collect();
    assert_eq!((decision.effect, reasons), (Effect::RemoveFinalizer, vec![Reason::TimedOut]));
}

#[test]
fn request_is_dropped_only_where_the_list_proves_it() {
    let dropped = |edit: fn(&mut World), reason: Reason| {
        let mut world = power_bi(1);
        world.service.lag = secs(1_000);
        never_known(&mut world);
        world.service.lag = secs(0);
        world.start_other_refresh(1, "full");
        edit(&mut world);
        let submits = if reason == Reason::OperationLost { 1 } else { 2 };
        world.run_for(secs(3_600));
        let end = (world.run().reason.as_str(), world.service.submits);
        assert_eq!(end, (reason.as_str(), submits), "{}", world.run().message);
    };
    let hide = |world: &mut World| world.service.ops[1].lost = true;
    // The list may leave it out, or show it under another id.
    dropped(|world| (world.service.truncated, world.service.ops[1].lost) = (true, true), Reason::OperationLost);
    dropped(|_| {}, Reason::OperationLost);
    dropped(|world| world.service.ops[1].origin = Origin::Unknown, Reason::OperationLost);
    // None of these can be it.
    dropped(hide, Reason::Succeeded);
    dropped(|world| world.service.ops[1].origin = Origin::External, Reason::Succeeded);
    dropped(|world| world.service.ops[1].refresh_type = Some("calculate".to_owned()), Reason::Succeeded);
    dropped(|world| world.service.claimed.active = ["op-1".to_owned()].into(), Reason::Succeeded);
    dropped(|world| world.service.ops[1].start = world.service.ops[0].start - secs(3), Reason::Succeeded);
}

#[test]
fn request_is_not_dropped_after_errors_of_the_service() {
    for (kind, reason) in [(ServiceErrorKind::Rejected, Reason::RequestDropped), (ServiceErrorKind::ServerError, Reason::OperationLost)] {
        let mut world = power_bi(0);
        world.service.lag = secs(1_000);
        never_known(&mut world);
        world.service.poll_error = Some(service_error(kind));
        world.run_for(secs(1_800)).is(RunState::Failed, reason);
    }
}

#[test]
fn request_dropped_needs_power_bi_and_an_unseen_operation() {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.lag = secs(1_000);
    never_known(&mut world);
    world.run_for(secs(600)).is(RunState::Failed, Reason::OperationLost);
    let mut world = power_bi(3);
    world.service.lag = secs(1_000);
    never_known(&mut world);
    world.restart().run_for(secs(600)).is(RunState::Failed, Reason::OperationLost);
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.length = secs(1_000);
    world.run_for(secs(10));
    assert!(world.service.polls > 0);
    world.service.ops[0].lost = true;
    world.run_for(secs(600)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!(world.service.submits, 1);
}

/// A refresh that the service no longer shows after its cancellation was requested. `answer` is the response to the cancellation, if the
/// service does not accept it.
fn missing_after_cancellation(answer: Option<CancelResult>, edit: fn(&mut World)) -> World {
    let mut world = power_bi(1);
    (world.service.length, world.service.cancels_after, world.service.cancel_answer) = (secs(10_000), None, answer);
    world.run_for(secs(200)).is(RunState::Running, Reason::Running);
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(5));
    assert!(world.run().state == RunState::Cancelling && !world.service.cancels.is_empty());
    world.service.ops[0].lost = true;
    edit(&mut world);
    world.run_for(secs(1_200));
    assert_eq!(world.service.submits, 1);
    world
}

#[test]
fn missing_operation_was_cancelled_if_the_service_accepted_that() {
    let world = missing_after_cancellation(None, |_| {});
    world.is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert!(world.run().message.starts_with("operation op-0, which the service no longer shows, was cancelled"), "{}", world.run().message);
}

#[test]
fn missing_operation_is_lost_without_proof_of_its_cancellation() {
    let refused = || Some(CancelResult::Failed(service_error(ServiceErrorKind::Rejected)));
    let worlds = vec![
        missing_after_cancellation(refused(), |_| {}),
        missing_after_cancellation(Some(CancelResult::NotRunning), |_| {}),
        // The list does not prove that the operation has ended.
        missing_after_cancellation(None, |world| world.service.truncated = true),
        // What the service accepted is not remembered.
        missing_after_cancellation(None, |world| {
            world.service.cancel_answer = Some(CancelResult::NotRunning);
            world.restart();
        }),
    ];
    for world in worlds {
        world.is(RunState::Failed, Reason::OperationLost);
        assert!(
            world.run().message.contains("operation op-0: its cancellation was requested, and its result is unknown"),
            "{}",
            world.run().message
        );
    }
}

#[test]
fn exceeded_quota_is_retried_slowly() {
    let mut world = World::new(|_| {});
    let hasty = tabular_operator::operation::ServiceError { retry_after: Some(secs(1)), ..service_error(ServiceErrorKind::QuotaExceeded) };
    world.service.submit_outcomes.extend((0..100).map(|_| SubmitOutcome::Refused(hasty.clone())));
    world.run_for(secs(7_200)).is(RunState::Waiting, Reason::QuotaExceeded);
    assert!((4..=9).contains(&world.service.submits), "{} submissions in two hours", world.service.submits);
    world.service.submit_outcomes.clear();
    world.run_for(secs(1_800)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn service_state_is_kept() {
    let mut world = World::new(|spec| spec.model = model("Sales"));
    world.service.length = secs(60);
    world.run_for(secs(30)).is(RunState::Running, Reason::Running);
    assert_eq!(world.run().service_state.as_deref(), Some("InProgress"));
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.run().service_state.as_deref(), Some("Succeeded"));
}

#[test]
fn outcome_is_a_short_fact_with_the_message_in_ready() {
    let facts = |world: &World| {
        let message = |kind| world.condition(kind).map(|condition| condition.message.clone());
        let full = message(ConditionType::Ready).unwrap();
        for same in [ConditionType::Reconciling, ConditionType::Stalled] {
            assert!(message(same).is_none_or(|message| message == full), "{:?}", world.status().conditions);
        }
        let (succeeded, finished) = (message(ConditionType::Succeeded), message(ConditionType::Finished));
        assert_eq!(succeeded, finished);
        succeeded.unwrap_or_default()
    };
    let mut world = World::new(|_| {});
    world.service.length = secs(20);
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!(facts(&world), "run 1 has not ended");
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(facts(&world), "run 1 succeeded");
    world.edit(|spec| spec.suspend = true).annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(5));
    assert_eq!(facts(&world), "run 2 has not started");
    world.service.outcomes.push_back(Phase::Failed);
    world.edit(|spec| spec.suspend = false).run_for(secs(60)).is(RunState::Failed, Reason::RefreshFailed);
    assert_eq!(facts(&world), "run 2 failed");
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(5)).is(RunState::Running, Reason::Running);
    world.annotate(CANCEL_REQUESTED_AT, Some("c")).run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!(facts(&world), "run 3 was cancelled");
    world.spec_blocker = Some(Blocker { remedy: Remedy::SpecChange, ..missing(Reason::InvalidSpec) });
    world.edit(|spec| spec.history_limit += 1).run_for(secs(5));
    assert_eq!(facts(&world), "no run can start with this spec");
}

#[test]
fn wait_for_the_next_attempt_has_a_time() {
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.service.failures.push_back(FailureCause::NodeMoved);
    world.run_until(RunState::Waiting);
    let time = world.run().next_attempt_time.unwrap().to_string();
    let message = world.run().message.clone();
    assert!(time.ends_with('Z') && message.starts_with(&format!("attempt 2 of 2 starts at {time}: ")), "{message}");
}
