//! What a reconciliation requests, in which order, when all is well; and what keeps it from submitting.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;

use super::world::{UID, World, accepted, at, name, operation, refresh, request_names, settings};
use tabular_operator::api::{RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::reconcile::{
    DriverRequest, DriverResponse, Finish, Freshness, InMemoryState, PlannedCall, QueueUpdate, Reconciliation, Rejection, Tracking,
    View as _,
};
use tabular_operator::engine::{Blocker, ClaimedOperations, DrainMode, EffectResult, QueueState, Remedy};
use tabular_operator::operation::{ClockSkew, Listing, Phase, SubmitResult};

/// A world in which the run of a refresh is in progress.
pub(super) fn running() -> World {
    let mut world = World::new(refresh(|_| {}));
    let _ = world.reconcile();
    assert_eq!(world.run().state, RunState::Running);
    world
}

#[test]
fn run_is_recorded_before_each_effect() {
    let mut world = World::new(refresh(|object| object["metadata"]["finalizers"] = json!(null)));
    let outcome = world.reconcile();
    assert_eq!(request_names(&world), ["finalizer", "intent", "submit", "status"], "{:?}", world.requests);
    assert_eq!(world.requests[..5], ["observe", "turn", "observe", "finalizer", "observe"], "a finalizer is not reported");
    assert!(matches!(outcome.finish, Finish::Settled { requeue: Some(_) }));
    assert!(matches!(outcome.queue, QueueUpdate::Set { state: QueueState::Holding, .. }));
    assert_eq!((outcome.tracking, world.run().operation_id.as_deref()), (Tracking::Track, Some("op-1")));
    (world.now, world.phase) = (at(120), Phase::Succeeded);
    let outcome = world.reconcile();
    assert_eq!(request_names(&world), ["poll", "status"]);
    assert_eq!(world.requests[..4], ["observe", "prepare", "poll", "observe"], "only a submission is checked immediately before its call");
    assert_eq!((outcome.tracking, world.run().state), (Tracking::Untrack, RunState::Succeeded));
    assert!(matches!(outcome.queue, QueueUpdate::Set { state: QueueState::None, .. }));
}

#[test]
fn deletion_polls_cancels_and_removes_the_finalizer() {
    let mut world = running();
    world.edit(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z"));
    let _ = world.reconcile();
    assert_eq!(request_names(&world), ["namespace", "status", "cancel"], "{:?}", world.requests);
    (world.now, world.phase) = (at(180), Phase::Cancelled);
    let outcome = world.reconcile();
    assert_eq!(request_names(&world), ["namespace", "poll", "removal"]);
    assert_eq!((outcome.finish, outcome.queue, outcome.tracking), (Finish::FinalizerRemoved, QueueUpdate::Remove, Tracking::Untrack));
}

#[test]
fn calls_share_two_minutes_when_the_namespace_is_deleted() {
    let secs = Duration::from_secs;
    for (terminating, wanted) in [(false, [None, None]), (true, [Some(secs(120)), Some(secs(90))])] {
        let mut world = running();
        world.edit(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z"));
        let mut timeouts = Vec::new();
        let _ = world.reconcile_with(|world, request| match request {
            DriverRequest::ReadNamespace => Some(DriverResponse::Namespace { terminating }),
            DriverRequest::Prepare { timeout, .. } => {
                timeouts.push(*timeout);
                // The write that follows takes long.
                world.now += secs(30);
                None
            }
            DriverRequest::Call { timeout, .. } => {
                timeouts.push(*timeout);
                None
            }
            _ => None,
        });
        assert_eq!((timeouts, request_names(&world).last()), (wanted.to_vec(), Some(&"cancel")), "terminating: {terminating}");
    }
}

/// What the machine does where something prevents the submission between the record of its intent and the call.
fn prevented(prevent: impl Fn(&mut World)) -> (Vec<String>, World) {
    let mut world = World::new(refresh(|_| {}));
    let mut written = false;
    let _ = world.reconcile_with(|world, request| {
        if written {
            prevent(world);
        }
        written |= matches!(request, DriverRequest::WriteStatus { intent: true, .. });
        None
    });
    (request_names(&world).into_iter().map(str::to_owned).collect(), world)
}

#[test]
fn nothing_is_submitted_when_the_lease_is_about_to_run_out() {
    let (requests, world) = prevented(|world| world.may_submit = false);
    assert!(!requests.contains(&"submit".to_owned()), "{requests:?}");
    assert_eq!(world.run().state, RunState::Waiting);
}

#[test]
fn nothing_is_submitted_when_the_intent_is_too_old() {
    for (late_millis, submitted) in [(22_000, true), (23_500, true), (23_501, false)] {
        let (requests, _) = prevented(|world| world.now = at(60) + Duration::from_millis(late_millis));
        assert_eq!(requests.contains(&"submit".to_owned()), submitted, "{late_millis} ms: {requests:?}");
    }
}

#[test]
fn nothing_is_submitted_before_an_uninstall() {
    let mut world = World::new(refresh(|_| {}));
    let mut written = false;
    let _ = world.reconcile_with(|world, request| {
        let mut response = written.then(|| world.perform(request));
        if let Some(DriverResponse::Observed(observed)) = &mut response {
            observed.drain = Some(DrainMode::Wait);
        }
        written |= matches!(request, DriverRequest::WriteStatus { intent: true, .. });
        response
    });
    assert!(!request_names(&world).contains(&"submit"), "{:?}", world.requests);
}

#[test]
fn waiting_run_queues_since_its_request() {
    let mut world = super::failures::waiting();
    let (requested, mut queued) = (world.run().requested_time, None);
    let _ = world.reconcile_with(|_, request| {
        if let DriverRequest::AcquireTurn { since, .. } = request {
            queued = Some(*since);
        }
        None
    });
    assert!(requested.timestamp() < world.now);
    assert_eq!(queued, Some(requested));
}

#[test]
fn secrets_are_read_for_a_submission_and_kept_for_a_deletion() {
    let freshness = |world: &mut World| {
        let mut wanted = Vec::new();
        let _ = world.reconcile_with(|_, request| {
            if let DriverRequest::Prepare { freshness, .. } = request {
                wanted.push(*freshness);
            }
            None
        });
        wanted
    };
    let mut world = World::new(refresh(|_| {}));
    assert_eq!(freshness(&mut world), [Freshness::Fresh]);
    world.now = at(120);
    assert_eq!(freshness(&mut world), [Freshness::Cached]);
    world.edit(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z"));
    assert_eq!(freshness(&mut world), [Freshness::LastKnown]);
}

#[test]
fn reconciliation_names_the_run_that_its_calls_are_for() {
    let mut world = World::new(refresh(|_| {}));
    let mut machine = world.machine();
    assert!(!machine.is_detached());
    assert!(Reconciliation::detached(world.view().clone(), InMemoryState::default(), settings()).is_detached());
    let mut request = machine.handle(DriverResponse::Start(world.now));
    assert_eq!((machine.run().number, machine.run().operation_id), (1, None), "the run that is about to start");
    while !matches!(request, DriverRequest::Done(_)) {
        assert_eq!(machine.run().number, 1, "{}", name(&request));
        let response = world.perform(&request);
        request = machine.handle(response);
    }
    assert_eq!(machine.run().operation_id.as_deref(), Some("op-1"));
    (world.now, world.phase) = (at(120), Phase::Succeeded);
    let outcome = world.reconcile();
    assert_eq!((world.run().state, outcome.requeue()), (RunState::Succeeded, None));
    assert_eq!((world.machine().run().number, world.machine().run().operation_id), (2, None), "the next one");
}

#[test]
fn submission_may_take_what_is_left_since_the_intent() {
    let mut world = World::new(refresh(|_| {}));
    let mut timeout = None;
    let _ = world.reconcile_with(|world, request| {
        match request {
            DriverRequest::WriteStatus { intent: true, .. } => {
                let written = world.perform(request);
                world.now = at(70);
                return Some(written);
            }
            DriverRequest::Call { timeout: left, .. } => timeout = *left,
            _ => {}
        }
        None
    });
    assert_eq!(timeout, Some(Duration::from_secs(21)));
}

#[test]
fn submission_without_an_answer_in_time_is_unknown() {
    let mut world = World::new(refresh(|_| {}));
    let _ = world.reconcile_with(|_, request| matches!(request, DriverRequest::Call { .. }).then_some(DriverResponse::TimedOut));
    assert_eq!(world.run().state, RunState::Submitting);
    assert_eq!(world.run().reason, Reason::ResolvingSubmission.as_str());
}

#[test]
fn decisions_of_one_reconciliation_are_bounded() {
    let mut world = World::new(refresh(|_| {}));
    // A call that can never be prepared, and each time for another reason.
    let mut prepared = 0;
    let outcome = world.reconcile_with(|_, request| {
        matches!(request, DriverRequest::Prepare { .. }).then(|| {
            prepared += 1;
            DriverResponse::NotPrepared(Box::new(EffectResult::None))
        })
    });
    assert_eq!(world.requests.iter().filter(|name| *name == "observe").count(), 13, "{:?}", world.requests);
    assert_eq!((prepared, outcome.finish), (6, Finish::Settled { requeue: Some(Duration::from_millis(200)) }));
}

#[test]
fn call_that_cannot_be_prepared_voids_the_decision() {
    let mut world = World::new(refresh(|_| {}));
    let blocker = || {
        let message = "Secret aas-sp is not in this namespace".to_owned();
        EffectResult::Blocked(Blocker { reason: Reason::SecretNotFound, message, remedy: Remedy::ClusterChange })
    };
    let outcome = world.reconcile_with(|_, request| {
        matches!(request, DriverRequest::Prepare { .. }).then(|| DriverResponse::NotPrepared(Box::new(blocker())))
    });
    assert!(!request_names(&world).iter().any(|name| ["intent", "submit"].contains(name)), "{:?}", world.requests);
    assert!(matches!(outcome.finish, Finish::Settled { requeue: Some(_) }));
    assert!(world.turn_is_backed() && !world.queue.holds(UID));
}

#[test]
fn operation_of_another_resource_is_not_adopted() {
    for claimed in [false, true] {
        let mut world = World::new(refresh(|_| {}));
        let _ = world.reconcile_with(|_, request| matches!(request, DriverRequest::Call { .. }).then_some(DriverResponse::TimedOut));
        world.now = at(90);
        let outcome = world.reconcile_with(|_, request| match request {
            DriverRequest::Call { call: PlannedCall::List(kind, _), .. } => {
                let clock_skew = Some(ClockSkew { min: SignedDuration::ZERO, max: SignedDuration::ZERO });
                let result = Ok(Listing { operations: vec![operation(Phase::InProgress)], clock_skew, ..Listing::default() });
                Some(DriverResponse::Called(Box::new(EffectResult::Listed { kind: *kind, result, claimed: ClaimedOperations::default() })))
            }
            DriverRequest::Reserve { .. } => Some(DriverResponse::Reserved { claimed }),
            _ => None,
        });
        assert!(request_names(&world).contains(&"reserve"), "{:?}", (&world.requests, world.run()));
        assert_eq!(outcome.finish == Finish::Conflict, claimed);
        assert_eq!(world.run().operation_id.is_none(), claimed);
    }
}

#[test]
fn response_to_another_request_ends_it_as_failed() {
    let mut world = World::new(refresh(|_| {}));
    let mut machine = world.machine();
    let mut request = machine.handle(DriverResponse::Start(world.now));
    let mut requests = 0;
    while !matches!(request, DriverRequest::Done(_)) {
        for wrong in [
            DriverResponse::Start(world.now),
            DriverResponse::Namespace { terminating: true },
            DriverResponse::Removed,
            DriverResponse::Prepared,
        ] {
            let is_right = matches!((&request, &wrong), (DriverRequest::Prepare { .. }, DriverResponse::Prepared));
            if !is_right {
                let DriverRequest::Done(outcome) = machine.clone().handle(wrong) else { panic!("it continues after {requests} requests") };
                assert_eq!(outcome.finish, Finish::Failed);
            }
        }
        let response = world.perform(&request);
        request = machine.handle(response);
        requests += 1;
    }
    assert!(requests > 8);
    assert!(matches!(machine.handle(DriverResponse::Prepared), DriverRequest::Done(outcome) if outcome.finish == Finish::Failed));
}

#[test]
fn detached_operation_is_followed_to_its_end_without_a_write() {
    let mut world = running();
    let in_memory = InMemoryState::default();
    let gone = world.view().changed(|object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z");
        object["metadata"]["annotations"] = json!({(RUN_REQUESTED_AT): ""});
    });
    let machine = Reconciliation::detached(gone, in_memory, settings());
    let outcome = world.drive(machine, |_, _| None);
    assert!(request_names(&world).contains(&"cancel"), "{:?}", world.requests);
    (world.now, world.phase) = (at(240), Phase::Cancelled);
    let machine = Reconciliation::detached(outcome.view, outcome.in_memory, settings());
    let outcome = world.drive(machine, |_, _| None);
    assert_eq!((request_names(&world), outcome.finish), (vec!["poll"], Finish::FinalizerRemoved));
}

#[test]
fn accepted_submission_of_deleted_resource_is_polled_by_id() {
    let mut world = World::new(refresh(|_| {}));
    let outcome = world.reconcile_with(|world, request| match request {
        DriverRequest::WriteStatus { intent: false, .. } => {
            world.server = None;
            Some(DriverResponse::Rejected(Rejection::NotFound))
        }
        _ => None,
    });
    assert_eq!((outcome.finish, outcome.tracking), (Finish::Gone, Tracking::Track));
    let known = outcome.in_memory.accepted_for(outcome.view.status()).map(|known| known.submission.clone());
    assert_eq!(known, Some(accepted()));
    let gone = outcome.view.changed(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z"));
    let in_memory = InMemoryState { accepted: outcome.in_memory.accepted, ..InMemoryState::default() };
    let outcome = world.drive(Reconciliation::detached(gone, in_memory, settings()), |_, _| None);
    assert!(request_names(&world).is_empty(), "{:?}", world.requests);
    let _ = world.drive(Reconciliation::detached(outcome.view, outcome.in_memory, settings()), |_, _| None);
    assert!(request_names(&world).contains(&"cancel") && !request_names(&world).contains(&"list"), "{:?}", world.requests);
}

#[test]
fn question_to_a_user_that_is_gone_is_unresolvable() {
    let mut world = World::new(refresh(|_| {}));
    let lost = SubmitResult::Unknown { message: "lost".to_owned() };
    let _ = world.reconcile_with(|_, request| {
        matches!(request, DriverRequest::Call { .. }).then(|| DriverResponse::Called(Box::new(EffectResult::Submitted(lost.clone()))))
    });
    let gone = world.view().changed(|object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:01:00Z");
        object["status"]["run"]["reason"] = json!("SubmissionUnknown");
    });
    let outcome = world.drive(Reconciliation::detached(gone, InMemoryState::default(), settings()), |_, _| None);
    assert_eq!(outcome.finish, Finish::Unresolvable, "{:?}", world.requests);
}
