//! A tracked operation: its end, its deadline, its disappearance, and empty or contradictory responses.

use jiff::SignedDuration;

use model::script::{CallOutcome, World, blocked, operation, polled, secs, service_error, unreachable};
use tabular_operator::api::{ConditionType, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{ClaimedOperations, Decision, DecisionMemory, Effect, EffectResult, Turn};
use tabular_operator::operation::{
    CancelResult, ObjectName, ObjectProgress, Operation, OperationKind, Phase, PollResult, ServiceErrorKind, ServiceMessage,
};

fn running(length: u64) -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(length);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

fn decide_on(world: &World, memory: &DecisionMemory, seen: EffectResult) -> Decision {
    world.decide(world.status(), memory, seen)
}

#[test]
fn each_end_of_an_operation_ends_its_run() {
    for (phase, state, reason) in [
        (Phase::Succeeded, RunState::Succeeded, Reason::Succeeded),
        (Phase::Failed, RunState::Failed, Reason::RefreshFailed),
        (Phase::TimedOut, RunState::TimedOut, Reason::TimedOut),
        (Phase::Cancelled, RunState::Cancelled, Reason::Cancelled),
    ] {
        let mut world = World::new(|_| {});
        world.service.outcomes.push_back(phase);
        world.run_for(secs(300)).is(state, reason);
        assert_eq!(world.holds(ConditionType::Stalled), state != RunState::Succeeded);
        assert_eq!((world.run().duration.as_deref(), world.status().history[0].duration_seconds), (Some("1m0s"), Some(60)));
    }
}

#[test]
fn first_message_is_in_the_condition_and_ten_in_the_status() {
    let world = running(7_200);
    let id = world.run().operation_id.clone().unwrap();
    let message = |n: u32| ServiceMessage { severity: "Error".to_owned(), code: None, text: format!("error {n}"), times: n };
    let failed = Operation { messages: (1..=50).map(message).collect(), ..operation(&id, Phase::Failed) };
    let seen = polled(failed);
    let run = decide_on(&world, &DecisionMemory::default(), seen).status.run.unwrap();
    assert!(run.message.ends_with(": error 1"), "{}", run.message);
    let shown: Vec<_> = run.messages.iter().map(|message| message.message.as_str()).collect();
    assert_eq!((shown.len(), &shown[..2]), (10, &["error 1", "error 2 (2 times)"][..]));
}

#[test]
fn success_reports_its_warnings() {
    let world = running(7_200);
    let id = world.run().operation_id.clone().unwrap();
    let message = |severity: &str, text: &str, times| {
        let code = text.starts_with("with").then(|| "0x1".to_owned());
        ServiceMessage { severity: severity.to_owned(), code, text: text.to_owned(), times }
    };
    let rows = [
        (vec![], String::new()),
        (vec![message("Error", "an error that the service has ignored", 1)], String::new()),
        (vec![message("warning", "one", 1)], " with 1 warning: one".to_owned()),
        (
            vec![message("Error", "e", 1), message("Warning", "with a code", 3), message("Warning", "b", 1)],
            " with 4 warnings: 0x1 with a code".to_owned(),
        ),
    ];
    for (messages, expected) in rows {
        let succeeded = Operation { messages, ..operation(&id, Phase::Succeeded) };
        let status = decide_on(&world, &DecisionMemory::default(), polled(succeeded)).status;
        let run = status.run.unwrap();
        assert_eq!(
            (run.state, run.reason.as_str(), run.message),
            (RunState::Succeeded, "Succeeded", format!("operation {id} succeeded{expected}"))
        );
    }
}

#[test]
fn tables_have_the_times_of_their_polls() {
    let mut world = World::new(|_| {});
    (world.service.all_objects, world.service.length) = (25, secs(60));
    world.run_for(secs(30)).is(RunState::Running, Reason::Running);
    let tables = &world.run().progress.as_ref().unwrap().tables;
    let started = tables[0].started_time.unwrap();
    assert!(tables.len() == 3 && tables.iter().all(|it| (it.started_time, it.ended_time) == (Some(started), None)), "{tables:?}");
    // A restart keeps the times.
    world.restart().run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    let progress = world.run().progress.as_ref().unwrap();
    let ended = world.run().recorded_time;
    assert_eq!((progress.table_count, progress.tables[0].total, progress.tables[0].failed), (3, 10, 0));
    assert!(progress.tables.iter().all(|it| (it.started_time, it.ended_time) == (Some(started), ended)), "{progress:?}");
}

#[test]
fn history_records_reason_wait_and_digest() {
    let mut world = World::new(|_| {});
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(40)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.ahead = None;
    world.service.outcomes.push_back(Phase::Failed);
    world.run_for(secs(300)).is(RunState::Failed, Reason::RefreshFailed);
    let (run, entry) = (world.run(), &world.status().history[0]);
    assert_eq!(
        (entry.reason.as_str(), &entry.request_digest, entry.requested_time),
        ("RefreshFailed", &run.request_digest, Some(run.requested_time))
    );
    assert_eq!(entry.request_digest.len(), 24);
    assert!(entry.started_time.unwrap().seconds_since(entry.requested_time.unwrap()) >= 40);
}

#[test]
fn end_is_observed_within_a_tenth_of_the_length() {
    let mut world = running(7_200);
    world.run_for(secs(8_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert!(world.service.polls < 320, "{} looks in two hours", world.service.polls);
}

#[test]
fn operation_is_cancelled_and_timed_out_at_its_deadline() {
    let mut world = World::new(|spec| (spec.active_deadline_seconds, spec.backoff_limit) = (120, 3));
    world.service.length = secs(1_000);
    world.run_for(secs(600)).is(RunState::TimedOut, Reason::DeadlineExceeded);
    assert_eq!((world.service.cancels.len(), world.service.submits), (1, 1));
}

#[test]
fn lost_cancellation_is_sent_again_until_a_poll_ends_it() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 60);
    world.service.length = secs(10_000);
    (world.service.cancels_after, world.service.cancel_answer) = (None, Some(CancelResult::NotRunning));
    world.run_for(secs(200)).is(RunState::Cancelling, Reason::Cancelling);
    assert!((3..8).contains(&world.service.cancels.len()), "{}", world.service.cancels.len());
    world.service.cancels_after = Some(secs(1));
    world.run_for(secs(100)).is(RunState::TimedOut, Reason::DeadlineExceeded);
}

#[test]
fn refused_cancellation_is_reported_once() {
    let mut world = World::new(|spec| spec.active_deadline_seconds = 60);
    world.service.length = secs(10_000);
    world.service.cancel_answer = Some(CancelResult::Failed(service_error(ServiceErrorKind::AccessDenied)));
    world.service.cancels_after = None;
    world.run_for(secs(100)).is(RunState::Cancelling, Reason::AccessDenied);
    let writes = world.writes;
    world.run_for(secs(600));
    assert_eq!(world.writes, writes);
}

#[test]
fn invisible_operation_is_awaited() {
    let mut world = World::new(|_| {});
    (world.service.lag, world.service.length) = (secs(100), secs(10));
    world.run_for(secs(99)).is(RunState::Running, Reason::Running);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn unknown_operation_is_lost_only_after_a_list() {
    let mut world = running(1_000);
    world.run_for(secs(150));
    world.service.ops[0].lost = true;
    let lists = world.service.lists;
    world.run_for(secs(60)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!((world.service.lists, world.service.submits), (lists + 1, 1));
}

#[test]
fn list_with_operation_outweighs_an_empty_poll() {
    let mut old = running(1_000);
    old.advance(secs(300));
    let decision = decide_on(&old, &DecisionMemory::default(), EffectResult::Polled(PollResult::NotFound));
    assert!(matches!(decision.effect, Effect::List(..)));
    let listing = tabular_operator::operation::Listing { operations: vec![operation("OP-0", Phase::InProgress)], ..Default::default() };
    let claimed = ClaimedOperations { active: ["op-0".to_owned()].into(), ..ClaimedOperations::default() };
    let decision = decide_on(&old, &decision.memory, EffectResult::Listed { kind: OperationKind::Refresh, result: Ok(listing), claimed });
    assert_eq!(decision.status.run.unwrap().state, RunState::Running);
}

#[test]
fn polls_become_rarer_while_the_list_fails_too() {
    let mut world = running(100_000);
    world.service.poll_error = Some(service_error(ServiceErrorKind::Rejected));
    world.service.call_outcomes.extend(std::iter::repeat_n(CallOutcome::Failed(unreachable()), 100));
    world.run_for(secs(600));
    let (polls, lists) = (world.service.polls, world.service.lists);
    world.run_for(secs(1_200)).is(RunState::Running, Reason::Retrying);
    assert!(world.service.polls - polls <= 30, "{} polls in 20 minutes", world.service.polls - polls);
    assert!(world.service.lists > lists);
    // The same if the service does not know the operation.
    let memory = DecisionMemory { consecutive_errors: 5, ..DecisionMemory::default() };
    let decision = decide_on(&world, &memory, EffectResult::Polled(PollResult::NotFound));
    assert!(matches!(decision.effect, Effect::List(..)));
    assert_eq!(decision.memory.consecutive_errors, 5);
}

#[test]
fn errors_never_end_a_run_and_cost_two_writes() {
    let mut world = running(1_000);
    let writes = world.writes;
    for n in 0..40 {
        let kind = if n % 2 == 0 { ServiceErrorKind::Unreachable } else { ServiceErrorKind::InvalidResponse };
        world.service.call_outcomes.push_back(CallOutcome::Failed(service_error(kind)));
    }
    world.run_for(secs(600)).is(RunState::Running, Reason::Retrying);
    assert_eq!(world.writes, writes + 1, "that it cannot be polled");
    world.run_for(secs(2_500)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.writes, writes + 2);
}

#[test]
fn single_lost_response_causes_no_write() {
    let mut world = running(1_000);
    let writes = world.writes;
    world.service.call_outcomes.push_back(CallOutcome::Failed(unreachable()));
    world.run_for(secs(300)).is(RunState::Running, Reason::Running);
    assert_eq!(world.writes, writes);
}

#[test]
fn missing_secret_during_a_run_stalls_and_frees_the_turn() {
    let mut world = running(100);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(600)).is(RunState::Running, Reason::SecretNotFound);
    assert!(world.holds(ConditionType::Stalled));
    assert_eq!(world.queue_state(), tabular_operator::engine::QueueState::None);
    world.preparation_failure = None;
    world.run_for(secs(70)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn response_about_another_operation_is_ignored() {
    let world = running(1_000);
    let seen = polled(operation("op-77", Phase::Succeeded));
    assert_eq!(decide_on(&world, world.memory(), seen).status, *world.status());
}

#[test]
fn late_poll_does_not_reopen_an_ended_run() {
    let mut world = running(20);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    for (n, phase) in [Phase::InProgress, Phase::Failed, Phase::InProgress, Phase::Failed].into_iter().enumerate() {
        if n == 2 {
            // Nor where the next run is due.
            world.annotate(RUN_REQUESTED_AT, Some("a"));
        }
        let decision = decide_on(&world, world.memory(), polled(operation("op-0", phase)));
        assert_eq!((decision.status.run, decision.effect), (world.status().run.clone(), Effect::None));
    }
}

#[test]
fn repeated_success_with_failed_objects_ends_the_run() {
    let world = running(1_000);
    for phase in [Phase::Failed, Phase::TimedOut, Phase::Cancelled] {
        let mut torn = operation("op-0", Phase::Succeeded);
        let name = ObjectName { table: "Orders".to_owned(), partition: None };
        torn.objects = vec![ObjectProgress { name, phase, service_status: format!("{phase:?}") }];
        let look = |memory: &DecisionMemory| decide_on(&world, memory, polled(torn.clone()));
        let mut decision = look(world.memory());
        for _ in 0..2 {
            assert_eq!(decision.status.run.as_ref().unwrap().state, RunState::Running);
            decision = look(&decision.memory);
        }
        let run = look(&decision.memory).status.run.unwrap();
        assert_eq!((run.state, run.reason.as_str()), (RunState::Failed, "ContradictoryAnswer"), "{phase:?}");
    }
}

#[test]
fn progress_is_written_at_most_every_ten_seconds() {
    let mut world = running(1_000);
    let (mut memory, mut writes, mut recorded) = (DecisionMemory::default(), Vec::new(), world.status().clone());
    for second in 0..100 {
        let mut seen = operation("op-0", Phase::InProgress);
        let phase = |n| if n < second { Phase::Succeeded } else { Phase::InProgress };
        let object = |n| ObjectName { table: format!("T{n}"), partition: None };
        seen.objects = (0..100).map(|n| ObjectProgress { name: object(n), phase: phase(n), service_status: String::new() }).collect();
        let seen = polled(seen);
        let decision = world.decide(&recorded, &memory, seen);
        world.advance(secs(1));
        if decision.status != recorded {
            writes.push(second);
        }
        (recorded, memory) = (decision.status, decision.memory);
    }
    assert!(writes.len() == 10 && writes.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{writes:?}");
}

#[test]
fn clock_set_back_stops_no_run() {
    let mut world = running(100);
    world.step_clock(-3_600).restart();
    let (poll_not_before, poll_delayed_at) = (Some(world.now() + secs(3_610)), Some(world.now() + secs(3_600)));
    let memory = DecisionMemory { poll_not_before, poll_delayed_at, ..DecisionMemory::default() };
    assert!(matches!(decide_on(&world, &memory, EffectResult::None).effect, Effect::Poll(_)));
}

#[test]
fn submission_accepted_late_may_stay_invisible_for_the_lag() {
    let mut world = World::new(|_| {});
    // Taken 25 s after the intent, and listed 115 s later.
    world.service.lag = secs(140);
    world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn deadline_is_not_shortened_by_a_time_in_whole_seconds() {
    let mut world = World::new(|spec| (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60));
    world.service.length = secs(1_000);
    // Requested and submitted at the end of the second in which they are recorded, so 60 s later is in the second after that.
    let at = |world: &World, millis, effect_result| world.decide_at(world.now() + SignedDuration::from_millis(millis), effect_result);
    let behind = EffectResult::Turn(Turn::Behind("bi/other".to_owned()));
    let start = world.now();
    world.ahead = Some("bi/other".to_owned());
    world.reconcile_once(None);
    assert_eq!((world.run().state, world.run().requested_time.timestamp()), (RunState::Waiting, start));
    assert_eq!(at(&world, 60_900, behind.clone()).status.run.unwrap().state, RunState::Waiting);
    assert_eq!(at(&world, 61_000, behind).status.run.unwrap().reason, Reason::WaitDeadlineExceeded.as_str());
    world.ahead = None;
    world.changed().reconcile_once(None);
    assert_eq!((world.run().state, world.run().submitted_time.unwrap().timestamp()), (RunState::Running, start));
    assert_eq!(at(&world, 60_900, EffectResult::None).status.run.unwrap().state, RunState::Running);
    assert_eq!(at(&world, 61_000, EffectResult::None).status.run.unwrap().state, RunState::Cancelling);
}
