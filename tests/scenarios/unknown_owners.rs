//! A lost submission while the operator cannot watch another namespace: the operation in the list may belong to a resource there.

use model::script::{SubmitOutcome, World, failed, operation, secs, service_error};
use tabular_operator::api::{ADOPT, Reason, RunState};
use tabular_operator::engine::claims::exclude_unknown_owners;
use tabular_operator::engine::reconcile::PlannedCall;
use tabular_operator::engine::{ClaimedOperations, EffectResult, QueueState};
use tabular_operator::operation::{Listing, Phase, ServiceErrorKind};

/// A submission whose response was lost, and whose operation the operator cannot distinguish from that of an unwatched resource.
fn undecided() -> World {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.lag) = (secs(3_600), secs(5));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(1)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let listing = Listing { operations: vec![operation("op-0", Phase::InProgress)], ..Listing::default() };
    let mut claimed = ClaimedOperations::default();
    let blocker = exclude_unknown_owners(Some(world.run()), &listing, &mut claimed, "ModelRefresh in namespace b").unwrap();
    world.preparation_failure = Some(EffectResult::Blocked(blocker));
    world.fails_preparation_of = |call| matches!(call, PlannedCall::List(..));
    world
}

/// Whether the annotation `adopt` is set.
fn is_adopt_set(world: &World) -> bool {
    world.metadata().annotations.as_ref().is_some_and(|annotations| annotations.contains_key(ADOPT))
}

#[test]
fn operation_of_unknown_owner_keeps_no_turn() {
    let mut world = undecided();
    world.run_for(secs(20)).is(RunState::Submitting, Reason::Retrying);
    assert!(world.run().message.contains("may belong to this run or to another resource"), "{}", world.run().message);
    assert_eq!(world.queue_state(), QueueState::Holding, "the submission may still arrive");
    let writes = world.writes;
    world.run_for(secs(3_600)).is(RunState::Submitting, Reason::Retrying);
    assert_eq!((world.queue_state(), world.writes), (QueueState::None, writes));
    // The permission is granted.
    world.preparation_failure = None;
    world.run_for(secs(120)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.event_count(Reason::Adopted)), (1, 1));
}

#[test]
fn lasting_failure_of_the_list_is_reported() {
    let mut world = undecided();
    world.run_for(secs(120)).is(RunState::Submitting, Reason::Retrying);
    let (blocked, unreachable) = (world.preparation_failure.clone(), failed(ServiceErrorKind::Unreachable));
    let (status, mut memory, writes) = (world.status().clone(), world.memory().clone(), world.writes);
    for result in [&unreachable, &blocked].repeat(5) {
        let decision = world.decide(&status, &memory, result.clone().unwrap());
        assert_eq!(decision.status, status, "a single failure is not worth a write");
        memory = decision.memory;
    }
    world.preparation_failure = unreachable;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::Retrying);
    assert!(world.run().message.contains("the service's list cannot be read: Unreachable"), "{}", world.run().message);
    assert_eq!(world.writes, writes + 1);
    world.preparation_failure = blocked;
    world.run_for(secs(120)).is(RunState::Submitting, Reason::Retrying);
    assert!(world.run().message.contains("may belong to this run or to another resource"), "{}", world.run().message);
    assert_eq!(world.writes, writes + 2);
}

#[test]
fn named_operation_of_unknown_owner_is_adopted() {
    let mut world = undecided();
    world.run_for(secs(120)).annotate(ADOPT, Some("op-9")).run_for(secs(120)).is(RunState::Submitting, Reason::Retrying);
    assert_eq!((is_adopt_set(&world), world.event_count(Reason::DecisionIgnored)), (true, 0), "no list shows that it does not exist");
    world.annotate(ADOPT, Some("op-0")).run_for(secs(120)).is(RunState::Running, Reason::Running);
    assert_eq!((is_adopt_set(&world), world.run().operation_id.as_deref()), (false, Some("op-0")));
    assert_eq!((world.service.submits, world.event_count(Reason::DecisionIgnored)), (1, 0));
}

#[test]
fn failed_poll_of_a_named_operation_delays_no_list() {
    let mut world = undecided();
    world.run_for(secs(120));
    world.service.poll_error = Some(service_error(ServiceErrorKind::AccessDenied));
    let (polls, writes) = (world.service.polls, world.writes);
    world.annotate(ADOPT, Some("op-0")).run_for(secs(1_200)).is(RunState::Submitting, Reason::Retrying);
    assert!((10..=45).contains(&(world.service.polls - polls)), "{} polls", world.service.polls - polls);
    assert_eq!((world.writes, is_adopt_set(&world)), (writes, true));
    world.preparation_failure = None;
    world.run_for(secs(120));
    assert_eq!((world.run().state, world.event_count(Reason::Adopted)), (RunState::Running, 1), "the list shows it");
}

#[test]
fn named_operation_is_rejected_once_the_list_works() {
    for poll_error in [None, Some(service_error(ServiceErrorKind::Rejected))] {
        let mut world = undecided();
        world.run_for(secs(120));
        world.service.poll_error = poll_error;
        let (polls, writes) = (world.service.polls, world.writes);
        world.annotate(ADOPT, Some("op-9")).run_for(secs(1_200)).is(RunState::Submitting, Reason::Retrying);
        assert!((10..=45).contains(&(world.service.polls - polls)), "{} polls", world.service.polls - polls);
        assert_eq!((world.writes, is_adopt_set(&world)), (writes, true));
        (world.preparation_failure, world.service.truncated) = (None, true);
        world.run_for(secs(180)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((is_adopt_set(&world), world.event_count(Reason::DecisionIgnored)), (false, 1));
    }
}

#[test]
fn rejected_adopt_that_stays_is_tried_again() {
    let mut world = undecided();
    (world.preparation_failure, world.service.truncated) = (None, true);
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.metadata_refused = true;
    let polls = world.service.polls;
    world.annotate(ADOPT, Some("op-9")).run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!((5..=15).contains(&(world.service.polls - polls)), "{} polls", world.service.polls - polls);
    assert_eq!((is_adopt_set(&world), world.event_count(Reason::DecisionIgnored)), (true, 0));
    world.metadata_refused = false;
    world.run_for(secs(180));
    assert_eq!((is_adopt_set(&world), world.event_count(Reason::DecisionIgnored)), (false, 1));
}
