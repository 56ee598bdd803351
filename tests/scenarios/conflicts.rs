//! The service is busy with a refresh that is not this run's: Wait, Fail, Replace; and its turn in the queue.

use jiff::SignedDuration;

use model::script::{SubmitOutcome, World, model, secs, service_error};
use tabular_operator::api::{ConcurrencyPolicy, ConflictPolicy, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::operation::{Origin, Phase, ServiceErrorKind, UnnamedOperation};

fn busy(policy: ConflictPolicy) -> World {
    let mut world = World::new(|spec| spec.conflict_policy = policy);
    world.start_other_refresh(100, "full");
    world
}

#[test]
fn wait_names_the_holder_and_runs_when_it_has_ended() {
    let mut world = busy(ConflictPolicy::Wait);
    world.run_for(secs(10)).is(RunState::Waiting, Reason::ModelBusy);
    assert!(world.run().waiting_for.as_deref().unwrap().starts_with("refresh op-0 by another client since "));
    let writes = world.writes;
    world.run_for(secs(60));
    assert_eq!(world.writes, writes, "waiting costs no writes");
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.service.cancels.len(), world.run().number), (2, 0, 1));
}

#[test]
fn fail_ends_the_run_once() {
    let mut world = busy(ConflictPolicy::Fail);
    world.run_for(secs(600)).is(RunState::Failed, Reason::Conflict);
    assert_eq!((world.service.submits, world.service.cancels.len(), world.run().number), (1, 0, 1));
}

#[test]
fn replace_cancels_only_another_clients_refresh() {
    let mut world = busy(ConflictPolicy::Replace);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.cancels, [world.service.ops[0].id.clone()]);
    assert_eq!(world.event_count(Reason::ConflictReplaced), 1);
}

#[test]
fn replace_repeats_its_cancellation_ever_less_often() {
    let mut world = World::new(|spec| spec.conflict_policy = ConflictPolicy::Wait);
    let id = world.start_other_refresh(100_000, "full");
    world.service.cancels_after = None;
    world.run_for(secs(60)).is(RunState::Waiting, Reason::ModelBusy);
    world.edit(|spec| spec.conflict_policy = ConflictPolicy::Replace).run_for(secs(3_600)).is(RunState::Waiting, Reason::ModelBusy);
    assert!((6..=9).contains(&world.service.cancels.len()), "{} cancellations in an hour", world.service.cancels.len());
    assert_eq!((world.event_count(Reason::ConflictReplaced), world.service.cancels.last()), (1, Some(&id)));
    // Another refresh is cancelled at once, and its delays start again.
    world.service.ops[0].end = world.now();
    let next = world.start_other_refresh(100_000, "full");
    world.run_for(secs(60));
    assert_eq!((world.event_count(Reason::ConflictReplaced), world.service.cancels.last()), (2, Some(&next)));
    let cancels = world.service.cancels.len();
    world.run_for(secs(300));
    assert!((1..=4).contains(&(world.service.cancels.len() - cancels)), "{} cancellations", world.service.cancels.len() - cancels);
    // A restart forgets the delay, and not the event.
    world.restart().run_for(secs(20));
    assert_eq!(world.event_count(Reason::ConflictReplaced), 2);
}

#[test]
fn replace_waits_for_what_the_service_cannot_cancel() {
    for origin in [Origin::External, Origin::Unknown] {
        let mut world = busy(ConflictPolicy::Replace);
        world.service.ops[0].origin = origin;
        world.run_for(secs(50)).is(RunState::Waiting, Reason::ModelBusy);
        assert!(world.run().message.contains("a schedule, a user or the service"), "{}", world.run().message);
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.cancels.len(), world.event_count(Reason::ConflictReplaced)), (0, 0));
    }
}

#[test]
fn unnamed_running_refresh_is_waited_for() {
    for (policy, state) in
        [(ConflictPolicy::Wait, RunState::Waiting), (ConflictPolicy::Replace, RunState::Waiting), (ConflictPolicy::Fail, RunState::Failed)]
    {
        let mut world = busy(policy);
        world.service.ops[0].visible = world.now() + secs(3_600);
        world.service.unnamed = Some(UnnamedOperation { is_external: true, start: Some(world.now()) });
        let reason = if state == RunState::Failed { Reason::Conflict } else { Reason::ModelBusy };
        world.run_for(secs(30)).is(state, reason);
        if state == RunState::Waiting {
            assert!(world.run().message.starts_with("waits for a refresh by a schedule"), "{}", world.run().message);
            (world.service.unnamed, world.service.ops[0].end) = (None, world.now());
            world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        }
        assert_eq!(world.service.cancels.len(), 0);
    }
}

#[test]
fn conflict_policy_ignores_operations_of_other_resources() {
    for policy in [ConflictPolicy::Replace, ConflictPolicy::Wait, ConflictPolicy::Fail] {
        let mut world = busy(policy);
        world.service.claimed.active.insert("op-0".to_owned());
        world.run_for(secs(50)).is(RunState::Waiting, Reason::ModelBusy);
        assert_eq!(world.service.cancels.len(), 0);
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    }
}

#[test]
fn fail_policy_ends_a_run_that_is_refused_twice_without_a_cause() {
    let mut world = busy(ConflictPolicy::Fail);
    world.service.hides_running = true;
    world.run_for(secs(30)).is(RunState::Failed, Reason::Conflict);
    assert_eq!((world.service.submits, world.service.lists), (2, 1));
    // The service has only not yet ended what it has just cancelled.
    let mut world = busy(ConflictPolicy::Fail);
    (world.service.hides_running, world.service.ops[0].end) = (true, world.now() + SignedDuration::from_secs(1));
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn orphaned_operation_counts_as_another_clients() {
    let released = |policy| {
        let mut world = busy(policy);
        world.service.claimed.orphaned.insert("op-0".to_owned());
        world
    };
    let mut world = released(ConflictPolicy::Replace);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.cancels.len(), world.event_count(Reason::ConflictReplaced)), (1, 1));
    let mut world = released(ConflictPolicy::Wait);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.cancels.len(), 0);
    // The list shows it, and not the refusal of a submission.
    let mut world = released(ConflictPolicy::Fail);
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::Throttled)));
    world.run_for(secs(30)).is(RunState::Failed, Reason::Conflict);
    assert_eq!(world.service.submits, 1);
    // It started at the time of the submission, and is still another operation.
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(1));
    world.start_other_refresh(20, "full");
    world.service.claimed.orphaned.insert("op-0".to_owned());
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn own_ended_attempt_in_list_is_awaited_and_not_cancelled() {
    let mut world = World::new(|spec| (spec.conflict_policy, spec.backoff_limit) = (ConflictPolicy::Replace, 1));
    world.service.outcomes.push_back(Phase::Failed);
    world.service.submit_outcomes.extend([SubmitOutcome::Answered, SubmitOutcome::Refused(service_error(ServiceErrorKind::Throttled))]);
    world.run_for(secs(10)).run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    // The service changes its mind: what had failed is shown as running.
    world.service.ops[0].end = world.now() + secs(40);
    world.user_decided();
    world.run_for(secs(20)).is(RunState::Waiting, Reason::ModelBusy);
    assert_eq!(world.service.cancels.len(), 0);
}

#[test]
fn wait_deadline_ends_the_run() {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 60);
    world.start_other_refresh(10_000, "full");
    world.run_for(secs(3_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    assert_eq!((world.run().number, world.due()), (1, None), "the trigger was handled by the run that waited");
    world.annotate(RUN_REQUESTED_AT, Some("again")).run_for(secs(10));
    assert_eq!(world.run().number, 2);

    // The same where nothing was ever submitted.
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 60);
    world.ahead = Some("another".to_owned());
    world.run_for(secs(3_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    assert_eq!((world.run().number, world.service.submits, world.due()), (1, 0, None));
    assert!(!world.run().message.contains("the last refusal"), "{}", world.run().message);
}

#[test]
fn wait_continues_over_refusals() {
    // The list never shows the holder: each try is refused, and the wait ends at the deadline.
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 600);
    world.start_other_refresh(100_000, "full");
    world.service.ops[0].visible = world.now() + secs(1_000_000);
    world.run_for(secs(3_000)).is(RunState::TimedOut, Reason::WaitDeadlineExceeded);
    assert!(world.service.submits < 40, "{} submissions in ten minutes", world.service.submits);
}

#[test]
fn repeated_refusals_come_at_growing_intervals() {
    let mut world = World::new(|spec| spec.wait_deadline_seconds = 604_800);
    world.service.submit_outcomes.extend((0..1_000).map(|_| SubmitOutcome::Refused(service_error(ServiceErrorKind::Throttled))));
    world.run_for(secs(600));
    assert!((5..20).contains(&world.service.submits), "{} submissions in ten minutes", world.service.submits);
    assert_eq!(world.run().attempt, 1, "a refusal is no attempt");
}

#[test]
fn run_waiting_for_its_turn_makes_no_calls() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid);
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(600)).is(RunState::Waiting, Reason::WaitingForTurn);
    assert_eq!((world.service.submits, world.service.lists, world.writes), (0, 0, 2));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(10));
    world.ahead = None;
    world.restart().run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (1, 1));
}

#[test]
fn model_change_of_a_waiting_run_restarts_the_wait() {
    let mut world = World::new(|_| {});
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(20));
    world.ahead = None;
    world.edit(|spec| spec.model = model("Other")).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, &world.run().model), (1, &model("Other")));
}

#[test]
fn rejected_request_ends_the_run() {
    let mut world = World::new(|spec| spec.backoff_limit = 3);
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::Rejected)));
    world.run_for(secs(600)).is(RunState::Failed, Reason::RequestRejected);
    assert_eq!((world.service.submits, world.due()), (1, None));
    world.edit(|spec| spec.refresh.as_mut().unwrap().max_parallelism = Some(2)).run_for(secs(300));
    assert_eq!(world.run().number, 2);
}

#[test]
fn fault_for_a_user_stalls_and_recovers_automatically() {
    for (kind, reason) in [
        (ServiceErrorKind::AccessDenied, Reason::AccessDenied),
        (ServiceErrorKind::NotFound, Reason::ModelNotFound),
        (ServiceErrorKind::Paused, Reason::ServerPaused),
        (ServiceErrorKind::QuotaExceeded, Reason::QuotaExceeded),
    ] {
        let mut world = World::new(|_| {});
        world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(kind)));
        world.run_for(secs(1)).is(RunState::Waiting, reason);
        assert!(world.holds(tabular_operator::api::ConditionType::Stalled));
        world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.run().number, 1);
    }
}
