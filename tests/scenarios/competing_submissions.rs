//! Two resources on one model, of which one has an unresolved submission because the calls of its identity fail.

use model::script::{CallOutcome, SubmitOutcome, World, secs, service_error};
use tabular_operator::api::{ConflictPolicy, Reason, RunState};
use tabular_operator::engine::QueueState;
use tabular_operator::operation::ServiceErrorKind;

/// A run whose submission was lost, and whose list cannot be read for so many calls.
fn unresolved(outcome: SubmitOutcome, kind: ServiceErrorKind, calls: usize) -> World {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(outcome);
    world.service.call_outcomes.extend((0..calls).map(|_| CallOutcome::Failed(service_error(kind))));
    world
}

#[test]
fn candidate_of_another_submission_is_not_a_conflict() {
    for policy in [ConflictPolicy::Replace, ConflictPolicy::Wait, ConflictPolicy::Fail] {
        let mut world = World::new(|spec| spec.conflict_policy = policy);
        // Another resource's submission started it, and no record names it.
        world.start_other_refresh(100, "full");
        world.service.claimed.unresolved.insert(world.now());
        // So the list is read before anything is submitted.
        world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::Throttled)));
        world.run_for(secs(50)).is(RunState::Waiting, Reason::ModelBusy);
        assert!(world.run().message.contains("by this operator"), "{}", world.run().message);
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.cancels.len(), 0);
    }
}

#[test]
fn operation_outside_that_submission_is_another_clients() {
    for seconds in [-60, 60] {
        let mut world = World::new(|spec| spec.conflict_policy = ConflictPolicy::Replace);
        world.start_other_refresh(100, "full");
        world.service.claimed.unresolved.insert(world.now() + jiff::SignedDuration::from_secs(seconds));
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.service.cancels.len(), 1, "{seconds}");
    }
}

#[test]
fn lost_response_is_resolved_beside_an_older_submission() {
    let mut world = World::new(|_| {});
    world.service.claimed.unresolved.insert(world.now() - secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn shared_candidate_waits_for_the_other_submission_then_a_user() {
    let both = || {
        let mut world = World::new(|_| {});
        world.service.claimed.unresolved.insert(world.now() + secs(1));
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.run_for(secs(200)).is(RunState::Submitting, Reason::ResolvingSubmission);
        world
    };
    let mut world = both();
    world.run_for(secs(150)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
    // The other one is resolved: it was its own, or not.
    let mut world = both();
    world.service.claimed.unresolved.clear();
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn candidate_of_another_resource_needs_a_user_decision() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.service.claimed.candidates.insert("op-0".to_owned());
    world.run_for(secs(40)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
}

#[test]
fn candidate_of_another_resource_is_never_cancelled() {
    let mut world = World::new(|spec| spec.conflict_policy = ConflictPolicy::Replace);
    world.start_other_refresh(100, "full");
    world.service.claimed.candidates.insert("op-0".to_owned());
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::Throttled)));
    world.run_for(secs(50)).is(RunState::Waiting, Reason::ModelBusy);
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.cancels.len(), 0);
}

#[test]
fn recovered_identity_adopts_its_own_operation() {
    let mut world = unresolved(SubmitOutcome::LostAfter, ServiceErrorKind::CredentialsRefused, 400);
    world.run_for(secs(100)).is(RunState::Submitting, Reason::CredentialsRefused);
    assert_eq!(world.queue_state(), QueueState::None);
    // Meanwhile another resource has refreshed the model, the same work.
    world.start_other_refresh(30, "full");
    world.service.claimed.active.insert("op-1".to_owned());
    world.run_for(secs(600));
    world.service.call_outcomes.clear();
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn unlisted_submission_requests_its_turn_again() {
    let mut world = unresolved(SubmitOutcome::LostBefore, ServiceErrorKind::CredentialsRefused, 40);
    world.run_for(secs(180)).is(RunState::Submitting, Reason::CredentialsRefused);
    world.service.call_outcomes.clear();
    world.ahead = Some("other".to_owned());
    world.run_for(secs(60)).is(RunState::Waiting, Reason::WaitingForTurn);
    assert_eq!(world.service.submits, 1);
    world.ahead = None;
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 2);
}

#[test]
fn lasting_error_frees_the_turn() {
    for kind in
        [ServiceErrorKind::Throttled, ServiceErrorKind::Unreachable, ServiceErrorKind::AccessDenied, ServiceErrorKind::CredentialsRefused]
    {
        let mut world = unresolved(SubmitOutcome::LostAfter, kind, 1_000);
        world.run_for(secs(30));
        assert_eq!(world.queue_state(), QueueState::Holding, "{kind:?}: the submission may still arrive");
        world.run_for(secs(15));
        assert_eq!(world.queue_state(), QueueState::None, "{kind:?}");
        let mut world = World::new(|_| {});
        world.service.length = secs(600);
        world.run_for(secs(5)).is(RunState::Running, Reason::Running);
        world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(service_error(kind))));
        world.run_for(secs(30));
        assert_eq!(world.queue_state(), QueueState::None, "{kind:?}");
        world.service.call_outcomes.clear();
        world.run_until(RunState::Succeeded);
    }
}
