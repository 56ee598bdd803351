//! A resource that is being deleted: no operation is left running without being tracked, and the deletion is not blocked forever.

use model::script::{CallOutcome, SubmitOutcome, World, blocked, secs, service_error};
use tabular_operator::api::{ADOPT, CancelCause, ConditionType, DeletionPolicy, RELEASE, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{Blocker, DecisionMemory, Effect, EffectResult, Remedy};
use tabular_operator::operation::{CancelResult, ServiceErrorKind, SubmitResult};

fn running() -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(1_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

#[test]
fn deletion_cancels_and_waits_for_the_end() {
    let mut world = running();
    world.service.cancels_after = Some(secs(20));
    world.delete().run_for(secs(15)).is(RunState::Cancelling, Reason::Cancelling);
    assert!(!world.gone());
    world.run_for(secs(20));
    assert!(world.gone() && world.service.cancels.len() == 1);
    assert_eq!(world.event_count(Reason::Deleted), 1);
}

#[test]
fn deletion_without_operation_is_immediate() {
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    world.annotate(RUN_REQUESTED_AT, Some("a")).delete().run_for(secs(1));
    assert!(world.gone() && world.service.submits == 1);
    let mut world = World::new(|_| {});
    world.ahead = Some("another".to_owned());
    world.run_for(secs(20)).delete().run_for(secs(1));
    assert!(world.gone() && world.service.submits == 0);
}

#[test]
fn deletion_resolves_a_submission_first() {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.lag) = (secs(1_000), secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(2)).delete().run_for(secs(50));
    assert!(!world.gone());
    world.run_for(secs(200));
    assert!(world.gone() && world.service.cancels.len() == 1);

    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2)).delete().run_for(secs(140));
    assert!(!world.gone());
    world.run_for(secs(60));
    assert!(world.gone() && world.service.submits == 1);
}

#[test]
fn deletion_with_several_candidates_waits_for_a_user() {
    for key in [ADOPT, RELEASE] {
        let mut world = World::new(|_| {});
        (world.service.length, world.service.lag) = (secs(3), secs(60));
        world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
        world.run_for(secs(10));
        world.start_other_refresh(3, "full");
        world.service.ops[0].visible = world.service.ops[1].visible;
        world.delete().run_for(secs(10_000)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert!(!world.gone() && world.run().message.contains(RELEASE), "{}", world.run().message);
        world.annotate(key, Some(if key == ADOPT { "op-0" } else { "true" })).run_for(secs(60));
        assert!(world.gone());
    }
}

#[test]
fn started_operation_is_recorded_before_it_is_orphaned() {
    let worlds = [World::new(|spec| spec.deletion_policy = DeletionPolicy::Orphan), World::sync(|_| {})];
    for mut world in worlds {
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.run_for(secs(1)).delete();
        let id = tabular_operator::operation::OperationId::parse("op-6").unwrap();
        let accepted = SubmitResult::Accepted { id, location: None, activity_id: None, retry_after: None };
        let decision = world.decide(world.status(), &DecisionMemory::default(), EffectResult::Submitted(accepted));
        assert_eq!((decision.effect, decision.requeue_after), (Effect::None, Some(std::time::Duration::ZERO)));
        assert_eq!(decision.status.run.as_ref().unwrap().operation_id.as_deref(), Some("op-6"));
        let decision = world.decide(&decision.status, &decision.memory, EffectResult::None);
        assert_eq!(decision.effect, Effect::RemoveFinalizer);
        assert!(decision.events[0].message.contains("op-6"), "{:?}", decision.events);
    }
}

#[test]
fn cancellation_of_nothing_does_not_end_a_running_operation() {
    let mut world = running();
    (world.service.cancels_after, world.service.cancel_answer) = (None, Some(CancelResult::NotRunning));
    world.delete().run_for(secs(600));
    assert!(!world.gone());
    world.run_for(secs(600));
    assert!(world.gone(), "it ended of itself");
}

#[test]
fn poll_precedes_the_next_cancellation() {
    for answer in [CancelResult::NotRunning, CancelResult::Failed(service_error(ServiceErrorKind::ServerError))] {
        let mut world = running();
        (world.settings().poll_min, world.settings().poll_max) = (secs(30), secs(30));
        world.service.cancel_answer = Some(answer);
        world.delete().run_for(secs(600));
        assert!(world.gone() && world.service.cancels.len() < 4, "{} cancellations", world.service.cancels.len());
    }
}

#[test]
fn deletion_ends_with_an_unknown_operation() {
    let mut world = running();
    world.run_for(secs(200));
    world.service.ops[0].lost = true;
    world.delete().run_for(secs(60));
    assert!(world.gone());
}

#[test]
fn deleted_lost_submission_is_never_recorded_as_waiting() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let before = world.statuses.len();
    world.delete().run_for(secs(600));
    assert!(world.gone());
    let mut runs = world.statuses[before..].iter().filter_map(|status| status.run.as_ref());
    assert!(runs.all(|run| run.state == RunState::Submitting), "{:#?}", &world.statuses[before..]);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn orphan_and_release_report_what_may_still_run() {
    let mut orphan = running();
    orphan.edit(|spec| spec.deletion_policy = DeletionPolicy::Orphan).delete().run_for(secs(2));
    let mut release = running();
    release.annotate(RELEASE, Some("true")).run_for(secs(5)).is(RunState::Running, Reason::Running);
    release.delete().run_for(secs(2));
    for world in [orphan, release] {
        assert!(world.gone() && world.service.cancels.is_empty());
        assert_eq!(world.event_count(Reason::Released), 1);
        assert!(world.events.iter().any(|event| event.message.contains("op-0 may still be running")));
    }
}

#[test]
fn missing_secret_blocks_deletion_but_not_of_a_namespace() {
    let mut world = running();
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.delete().run_for(secs(10_000)).is(RunState::Running, Reason::SecretNotFound);
    assert!(!world.gone());
    let mut world = running();
    (world.preparation_failure, world.namespace_terminating) = (blocked(Reason::SecretNotFound), true);
    world.delete().run_for(secs(100));
    assert!(!world.gone(), "the Secret may come back for a moment");
    world.run_for(secs(60));
    assert!(world.gone() && world.event_count(Reason::Released) == 1);
}

#[test]
fn namespace_deletion_is_blocked_for_two_minutes() {
    let kinds = [
        ServiceErrorKind::Unreachable,
        ServiceErrorKind::Throttled,
        ServiceErrorKind::ServerError,
        ServiceErrorKind::CredentialsRefused,
        ServiceErrorKind::AssertionRefused,
        ServiceErrorKind::AccessDenied,
        ServiceErrorKind::NotFound,
        ServiceErrorKind::Paused,
        ServiceErrorKind::Rejected,
    ];
    // An operation with a known id, and one without a response.
    for (kind, outcome) in kinds.into_iter().flat_map(|kind| [(kind, SubmitOutcome::Answered), (kind, SubmitOutcome::LostAfter)]) {
        let mut world = World::new(|_| {});
        world.service.length = secs(100_000);
        world.service.submit_outcomes.push_back(outcome.clone());
        let blocked = service_error(kind);
        if matches!(outcome, SubmitOutcome::Answered) {
            world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        } else {
            world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(blocked.clone())));
            world.run_for(secs(10));
        }
        world.service.call_outcomes.extend((0..1_000).map(|_| CallOutcome::Failed(blocked.clone())));
        world.namespace_terminating = true;
        world.delete().run_for(secs(115));
        assert!(!world.gone(), "{kind:?}: it may pass");
        world.run_for(secs(6));
        assert!(world.gone() && world.event_count(Reason::Released) == 1, "{kind:?} {outcome:?}");
        let said = world.events.iter().find(|event| event.reason == Reason::Released).unwrap();
        assert!(said.message.contains("may still be running"), "{}", said.message);
    }
}

#[test]
fn namespace_deletion_does_not_wait_for_ignored_cancellation() {
    let mut world = running();
    (world.service.cancels_after, world.namespace_terminating) = (None, true);
    world.delete().run_for(secs(115));
    assert!(!world.gone());
    world.run_for(secs(6));
    assert!(world.gone() && world.event_count(Reason::Released) == 1);
}

#[test]
fn namespace_deletion_does_not_wait_for_a_user_decision() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.service.truncated = true;
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.namespace_terminating = true;
    world.delete().run_for(secs(130));
    assert!(world.gone() && world.event_count(Reason::Released) == 1);
}

#[test]
fn namespace_that_is_deleted_after_its_resource_is_noticed() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.service.truncated = true;
    world.run_for(secs(300)).is(RunState::Submitting, Reason::SubmissionUnknown);
    world.delete().run_for(secs(600));
    assert!(!world.gone());
    // It does not change the resource.
    world.namespace_terminating = true;
    world.run_for(secs(130));
    assert!(world.gone() && world.event_count(Reason::Released) == 1);
}

#[test]
fn late_operator_still_cancels_what_a_deleted_namespace_has() {
    for is_recorded in [false, true] {
        let mut world = running();
        world.namespace_terminating = true;
        world.delete().advance(secs(600));
        if is_recorded {
            world.edit_status(|status| {
                let run = status.run.as_mut().unwrap();
                (run.state, run.cancel_cause) = (RunState::Cancelling, Some(CancelCause::Deletion));
            });
        }
        world.restart().run_for(secs(60));
        assert!(world.gone() && world.service.cancels.len() == 1, "{is_recorded}: {:?}", world.service.cancels);
    }
}

#[test]
fn unanswered_submission_blocks_the_deletion() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(1)).delete();
    let unanswered = EffectResult::Submitted(SubmitResult::Unknown { message: "no answer".to_owned() });
    let mut recorded = world.status().clone();
    let run = recorded.run.as_mut().unwrap();
    (run.state, run.operation_id) = (RunState::Submitting, None);
    let decision = world.decide(&recorded, &DecisionMemory::default(), unanswered);
    assert_eq!((decision.effect, decision.status.run.unwrap().state), (Effect::None, RunState::Submitting));
}

#[test]
fn submission_that_started_nothing_blocks_no_deletion() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(1)).delete();
    let message = || "nothing was submitted".to_owned();
    for result in [
        SubmitResult::NotStarted(service_error(ServiceErrorKind::QuotaExceeded)),
        SubmitResult::NotStarted(service_error(ServiceErrorKind::Rejected)),
        SubmitResult::Busy { message: message() },
        SubmitResult::Deferred { message: message() },
    ] {
        let decision = world.decide(world.status(), &DecisionMemory::default(), EffectResult::Submitted(result.clone()));
        assert_eq!((decision.effect, decision.status.run.unwrap().state), (Effect::RemoveFinalizer, RunState::Submitting), "{result:?}");
    }
}

#[test]
fn refused_submission_does_not_block_the_deletion() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::Refused(service_error(ServiceErrorKind::QuotaExceeded)));
    world.run_for(secs(1)).delete().run_for(secs(1));
    assert!(world.gone());
}

#[test]
fn crash_at_any_step_of_a_deletion_leaves_nothing_running() {
    for step in 0..16 {
        let mut world = running();
        world.crash_in = Some(step);
        world.delete().run_for(secs(1));
        world.crash_in = None;
        world.run_for(secs(300));
        let now = world.now();
        assert!(world.gone() && !world.service.ops[0].live(now), "crash at step {step}");
    }
}

#[test]
fn repeatedly_refused_cancellation_is_reported_and_retried() {
    let mut world = World::new(|_| ());
    world.service.length = secs(150);
    world.service.cancel_answer = Some(CancelResult::Failed(service_error(ServiceErrorKind::Rejected)));
    world.service.cancels_after = None;
    // A single refusal is not reported; the second request follows after two seconds.
    world.run_until(RunState::Running).delete().run_for(secs(1)).is(RunState::Cancelling, Reason::Cancelling);
    assert_eq!(world.service.cancels.len(), 1);
    world.run_for(secs(8)).is(RunState::Cancelling, Reason::Retrying);
    assert!((2..=4).contains(&world.service.cancels.len()), "{}", world.service.cancels.len());
    assert!(world.run().message.contains("is still running but cannot be cancelled: Rejected"), "{}", world.run().message);
    let (writes, cancels) = (world.writes, world.service.cancels.len());
    world.run_for(secs(60)).is(RunState::Cancelling, Reason::Retrying);
    assert_eq!((world.writes, world.event_count(Reason::Retrying)), (writes, 1), "reported once");
    assert!(world.service.cancels.len() > cancels, "asked for again");
    world.run_for(secs(120));
    assert!(world.gone());
}

/// The messages of the conditions that users read first.
fn shown(world: &World) -> String {
    let ready = world.condition(ConditionType::Ready).unwrap().message.clone();
    let others = [ConditionType::Reconciling, ConditionType::Stalled];
    assert!(others.iter().filter_map(|kind| world.condition(*kind)).all(|condition| condition.message == ready));
    ready
}

#[test]
fn blocked_deletion_names_its_cause_and_the_command() {
    let command = "kubectl annotate mref resource-0 --namespace bi tabular-operator.dev/release=true";
    let mut world = running();
    world.edit_metadata(|metadata| metadata.namespace = Some("bi".to_owned()));
    world.service.cancels_after = Some(secs(1_000));
    world.delete().run_for(secs(15)).is(RunState::Cancelling, Reason::Cancelling);
    assert!(shown(&world).starts_with("the deletion waits until operation op-0 has ended ("), "{}", shown(&world));
    assert!(shown(&world).ends_with(&format!("run `{command}`")), "{}", shown(&world));

    // What keeps it from ending is named, however long it is, and the command stays whole.
    let mut world = running();
    world.edit_metadata(|metadata| metadata.namespace = Some("b".repeat(63)));
    world.edit_metadata(|metadata| metadata.name = Some("s".repeat(253)));
    let blocker = Blocker { reason: Reason::SecretNotFound, message: "Secret aas-sp is gone ".repeat(60), remedy: Remedy::ClusterChange };
    world.preparation_failure = Some(EffectResult::Blocked(blocker));
    world.delete().run_for(secs(60));
    assert!(shown(&world).contains("Secret aas-sp is gone"), "{}", shown(&world));
    let command = format!("kubectl annotate mref {} --namespace {} tabular-operator.dev/release=true", "s".repeat(253), "b".repeat(63));
    assert!(shown(&world).ends_with(&format!("run `{command}`")), "{}", shown(&world));

    // A submission that a user has to decide is one that the deletion waits for.
    let mut world = World::new(|_| {});
    world.edit_metadata(|metadata| metadata.namespace = Some("bi".to_owned()));
    (world.service.length, world.service.lag) = (secs(1_000), secs(60));
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    world.run_for(secs(2)).delete().run_for(secs(10));
    assert!(
        shown(&world).starts_with("the deletion waits until it is known whether the submission started an operation ("),
        "{}",
        shown(&world)
    );
}

const OTHER_FINALIZER: &str = "example.com/backup";

fn add_other_finalizer(world: &mut World) {
    world.edit_metadata(|metadata| metadata.finalizers.get_or_insert_default().push(OTHER_FINALIZER.to_owned()));
}

#[test]
fn end_is_recorded_if_another_finalizer_keeps_the_resource() {
    for (release, deletion_policy, state, reason) in [
        ("false", DeletionPolicy::Cancel, RunState::Cancelled, Reason::Deleted),
        ("false", DeletionPolicy::Orphan, RunState::Cancelled, Reason::Released),
        ("true", DeletionPolicy::Cancel, RunState::Cancelled, Reason::Released),
    ] {
        let mut world = running();
        add_other_finalizer(&mut world);
        world.annotate(RELEASE, Some(release)).edit(|spec| spec.deletion_policy = deletion_policy);
        world.delete().run_for(secs(60)).is(state, reason);
        assert_eq!(world.metadata().finalizers.as_deref(), Some(&[OTHER_FINALIZER.to_owned()][..]));
        assert!(world.run().ended_time.is_some() && world.status().history[0].state == state);
        assert!(!world.condition(ConditionType::Ready).unwrap().message.contains("the deletion waits"));
        assert_eq!(world.event_count(reason), 1);
        let written = world.versions();
        world.run_for(secs(600));
        assert_eq!(world.versions(), written, "the operator no longer writes it");
    }
    let mut waiting = World::new(|_| {});
    waiting.run_for(secs(300)).ahead = Some("another".to_owned());
    waiting.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    add_other_finalizer(&mut waiting);
    waiting.delete().run_for(secs(60)).is(RunState::Cancelled, Reason::Deleted);
    assert_eq!((waiting.service.submits, waiting.metadata().finalizers.as_ref().map(Vec::len)), (1, Some(1)));
}
