//! References from the same commit may arrive a little later: a missing one is Reconciling at first, and Stalled after the grace period.

use std::time::Duration;

use model::script::{World, blocked, failed, missing, secs};
use tabular_operator::api::{ConditionStatus, ConditionType, RUN_REQUESTED_AT, Reason, RunState, Status};
use tabular_operator::engine::QueueState;
use tabular_operator::operation::{Phase, ServiceErrorKind};

/// What may be missing for a while, as a call finds out that is being prepared.
const MISSING: [Reason; 4] =
    [Reason::SecretNotFound, Reason::SecretForbidden, Reason::ServiceAccountNotFound, Reason::ServiceAccountForbidden];

fn without(reason: Reason) -> World {
    let mut world = World::new(|_| {});
    world.preparation_failure = blocked(reason);
    world
}

fn was_stalled(world: &World) -> bool {
    let stalled = |status: &Status| status.conditions.iter().any(|condition| condition.r#type == ConditionType::Stalled);
    world.statuses.iter().any(stalled)
}

#[test]
fn missing_reference_stalls_once_after_the_grace_period() {
    for reason in MISSING {
        let mut world = without(reason);
        world.run_for(secs(1)).awaits(reason);
        let writes = world.writes;
        world.run_for(secs(58)).awaits(reason);
        assert_eq!(world.writes, writes, "{reason}: a pass without news writes nothing");
        world.run_for(secs(1)).is_stalled(reason);
        world.run_for(secs(3_600)).is_stalled(reason);
        assert_eq!((world.writes, world.event_count(reason)), (writes + 1, 1), "{reason}");
        world.preparation_failure = None;
        let fixed = world.now();
        world.run_until(RunState::Running);
        assert!(world.now().duration_since(fixed).as_secs() <= 61, "{reason}: it is checked every minute");
        assert_eq!((world.status().missing_since_time, world.service.submits), (None, 1));
    }
}

#[test]
fn missing_reference_is_checked_at_growing_intervals() {
    for reason in [Reason::SecretNotFound, Reason::SecretInvalid] {
        let mut world = without(reason);
        world.run_for(secs(1));
        let mut pauses = Vec::new();
        for _ in 0..60 {
            let pause = Duration::try_from(world.due().unwrap().duration_since(world.now())).unwrap();
            world.run_for(pause);
            pauses.push(pause);
        }
        assert!(pauses[0] <= secs(5) && pauses[59] == secs(60), "{reason}: {pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= secs(60)), "{reason}: {pauses:?}");
        // Another run that cannot start is checked again within seconds.
        world.preparation_failure = None;
        world.run_until(RunState::Succeeded).preparation_failure = blocked(reason);
        world.annotate(RUN_REQUESTED_AT, Some("1")).run_for(secs(7)).shows(reason, reason == Reason::SecretNotFound);
        assert!(world.due().is_some_and(|due| due.duration_since(world.now()).as_secs() <= 5), "{reason}");
    }
}

#[test]
fn reference_within_the_grace_period_never_stalls() {
    for reason in MISSING {
        let mut world = without(reason);
        world.run_for(secs(50)).awaits(reason);
        world.preparation_failure = None;
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        assert!(!was_stalled(&world), "{reason}");
    }
}

#[test]
fn missing_token_permission_has_the_grace_period() {
    let mut world = World::new(|_| {});
    world.preparation_failure = failed(ServiceErrorKind::AssertionRefused);
    world.run_for(secs(59)).awaits(Reason::ServiceAccountForbidden);
    world.run_for(secs(1)).is_stalled(Reason::ServiceAccountForbidden);
}

#[test]
fn permanent_fault_stalls_immediately() {
    for reason in [Reason::SecretInvalid, Reason::ServiceAccountInvalid, Reason::OperatorIdentityInvalid] {
        without(reason).run_for(secs(1)).is_stalled(reason);
    }
    for (kind, reason) in [
        (ServiceErrorKind::CredentialsRefused, Reason::CredentialsRefused),
        (ServiceErrorKind::AccessDenied, Reason::AccessDenied),
        (ServiceErrorKind::NotFound, Reason::ModelNotFound),
    ] {
        let mut world = World::new(|_| {});
        world.preparation_failure = failed(kind);
        world.run_for(secs(1)).is_stalled(reason);
    }
}

#[test]
fn grace_period_is_unchanged_by_a_restart() {
    let mut world = without(Reason::SecretNotFound);
    for _ in 0..7 {
        world.restart().run_for(secs(8)).awaits(Reason::SecretNotFound);
    }
    world.restart().run_for(secs(4)).is_stalled(Reason::SecretNotFound);
    for _ in 0..7 {
        world.restart().run_for(secs(8)).is_stalled(Reason::SecretNotFound);
    }
    assert_eq!(world.event_count(Reason::SecretNotFound), 1);
}

#[test]
fn grace_period_starts_when_the_reference_is_missed() {
    let mut world = World::new(|_| {});
    world.service.length = secs(5);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    // Months later, the Secret is deleted and made again.
    world.advance(secs(90 * 24 * 3_600));
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(59)).awaits(Reason::SecretNotFound);
    world.preparation_failure = None;
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert!(!was_stalled(&world));
    // Nor with a condition that was False for another reason.
    world.service.outcomes.push_back(Phase::Failed);
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(60)).is(RunState::Failed, Reason::RefreshFailed);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.advance(secs(3_600));
    world.annotate(RUN_REQUESTED_AT, Some("c")).run_for(secs(59)).awaits(Reason::SecretNotFound);
    world.run_for(secs(1)).is_stalled(Reason::SecretNotFound);
}

#[test]
fn grace_period_restarts_with_a_new_generation() {
    let mut world = without(Reason::SecretNotFound);
    world.run_for(secs(300)).is_stalled(Reason::SecretNotFound);
    world.edit(|spec| spec.history_limit = 3).run_for(secs(59)).awaits(Reason::SecretNotFound);
    world.run_for(secs(1)).is_stalled(Reason::SecretNotFound);
}

#[test]
fn successive_missing_references_share_a_grace_period() {
    let mut world = without(Reason::SecretForbidden);
    world.run_for(secs(40)).awaits(Reason::SecretForbidden);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(19)).awaits(Reason::SecretNotFound);
    world.run_for(secs(1)).is_stalled(Reason::SecretNotFound);
    assert_eq!((world.event_count(Reason::SecretForbidden), world.event_count(Reason::SecretNotFound)), (1, 1));
}

#[test]
fn grace_period_restarts_when_the_clock_is_set_back() {
    let mut world = without(Reason::SecretNotFound);
    world.run_for(secs(30)).awaits(Reason::SecretNotFound);
    world.step_clock(-3_600);
    world.run_for(secs(59)).awaits(Reason::SecretNotFound);
    world.run_for(secs(1)).is_stalled(Reason::SecretNotFound);
}

#[test]
fn running_operation_without_reference_frees_its_turn() {
    let mut world = World::new(|_| {});
    world.service.length = secs(600);
    world.run_for(secs(100)).is(RunState::Running, Reason::Running);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(40)).awaits(Reason::SecretNotFound).is(RunState::Running, Reason::SecretNotFound);
    assert_eq!(world.queue_state(), QueueState::None);
    world.run_for(secs(60)).is_stalled(Reason::SecretNotFound).is(RunState::Running, Reason::SecretNotFound);
    world.preparation_failure = None;
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    assert_eq!(world.status().missing_since_time, None);
}

#[test]
fn run_without_reference_blocks_no_other_and_no_deadline_runs() {
    let mut world = without(Reason::SecretNotFound);
    world.edit(|spec| spec.wait_deadline_seconds = 10);
    world.run_for(secs(30)).awaits(Reason::SecretNotFound);
    assert_eq!(world.queue_state(), QueueState::None);
    world.preparation_failure = None;
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn missing_followed_refresh_has_the_grace_period() {
    for new in [|| World::sync(|_| {}).dependent(), || World::sync(|_| {}).dependent().without_model()] {
        let mut world = new();
        let upstream = world.upstream.take();
        world.spec_blocker = Some(missing(Reason::UpstreamNotFound));
        world.run_for(secs(59)).awaits(Reason::UpstreamNotFound);
        assert_eq!((world.writes, world.event_count(Reason::UpstreamNotFound)), (1, 1));
        let mut late = new();
        (late.spec_blocker, late.upstream) = (Some(missing(Reason::UpstreamNotFound)), None);
        late.run_for(secs(60)).is_stalled(Reason::UpstreamNotFound);
        assert_eq!((late.writes, late.event_count(Reason::UpstreamNotFound)), (2, 1));
        (world.upstream, world.spec_blocker) = (upstream, None);
        world.run_for(secs(6));
        assert_eq!((world.ready(), was_stalled(&world)), (ConditionStatus::True, false));
    }
    // Also if a run is due that cannot start.
    let mut world = World::sync(|_| {}).dependent().without_model();
    (world.upstream, world.spec_blocker) = (None, Some(missing(Reason::UpstreamNotFound)));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(59)).awaits(Reason::UpstreamNotFound);
    world.run_for(secs(1)).is_stalled(Reason::UpstreamNotFound);
}

#[test]
fn follow_cycle_has_no_grace_period() {
    let mut world = World::sync(|_| {}).dependent();
    world.spec_blocker = Some(missing(Reason::UpstreamCycle));
    world.run_for(secs(1)).is_stalled(Reason::UpstreamCycle);
}

#[test]
fn unresolved_submission_waits_for_its_secret() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(model::script::SubmitOutcome::LostAfter);
    world.reconcile_once(None);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(50)).awaits(Reason::SecretNotFound).is(RunState::Submitting, Reason::SecretNotFound);
    world.run_for(secs(30)).is_stalled(Reason::SecretNotFound);
    world.preparation_failure = None;
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.service.submits, 1);
}
