//! A new trigger during a run: Queue, Replace, Forbid. And attempts.

use model::script::{World, missing, model, secs};
use tabular_operator::api::{CANCEL_REQUESTED_AT, ConcurrencyPolicy, RUN_REQUESTED_AT, Reason, RunState, TriggerType};
use tabular_operator::engine::{Blocker, Remedy};
use tabular_operator::operation::Phase;

fn running(policy: ConcurrencyPolicy) -> World {
    let mut world = World::new(|spec| spec.concurrency_policy = policy);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

#[test]
fn queue_starts_one_run_for_many_triggers() {
    let mut world = running(ConcurrencyPolicy::Queue);
    for value in ["a", "b", "c"] {
        world.annotate(RUN_REQUESTED_AT, Some(value)).run_for(secs(2));
    }
    assert_eq!(world.status().queued.as_ref().unwrap().r#type, TriggerType::Request);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits, world.run().trigger.value.as_str()), (2, 2, "c"));
    assert_eq!(world.status().queued, None);
}

#[test]
fn end_before_a_queued_run_is_not_finished() {
    let mut world = running(ConcurrencyPolicy::Queue);
    world.edit(|spec| spec.trigger.get_or_insert_default().token = Some("v2".to_owned())).run_for(secs(600));
    let ended = |status: &&tabular_operator::api::Status| status.run.as_ref().is_some_and(|run| run.number == 1 && run.state.ended());
    let end = world.statuses.iter().find(ended).unwrap();
    let ready = end.conditions.iter().find(|condition| condition.r#type == tabular_operator::api::ConditionType::Ready).unwrap();
    assert_eq!(ready.status, tabular_operator::api::ConditionStatus::Unknown);
    assert_eq!(world.event_count(Reason::Succeeded), 2, "both ends are reported");
}

#[test]
fn replace_cancels_and_starts_again() {
    let mut world = running(ConcurrencyPolicy::Replace);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits, world.service.cancels.len()), (2, 2, 1));
    let first = &world.status().history[1];
    assert_eq!((first.number, first.state), (1, RunState::Cancelled));
}

#[test]
fn replace_does_not_cancel_for_a_blocked_run() {
    let mut world = running(ConcurrencyPolicy::Replace);
    world.edit(|spec| (spec.suspend, spec.model) = (true, model("Other"))).run_for(secs(600));
    assert_eq!((world.service.cancels.len(), world.run().number), (0, 1));
    world.edit(|spec| spec.suspend = false).run_for(secs(600));
    assert_eq!(world.run().number, 2);
}

#[test]
fn forbid_drops_a_trigger_and_reports_it_once() {
    let mut world = running(ConcurrencyPolicy::Forbid);
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(5));
    world.restart().run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.event_count(Reason::TriggerDropped)), (1, 1));
    world.annotate(RUN_REQUESTED_AT, Some("b")).run_for(secs(600));
    assert_eq!(world.run().number, 2, "after the run a trigger counts again");
}

#[test]
fn forbid_drops_a_trigger_during_downtime() {
    let mut world = running(ConcurrencyPolicy::Forbid);
    world.annotate(RUN_REQUESTED_AT, Some("a")).advance(secs(600)).restart().run_for(secs(600));
    assert_eq!((world.run().number, world.event_count(Reason::TriggerDropped)), (1, 1));
}

#[test]
fn failed_operation_is_retried_up_to_backoff_limit() {
    let mut world = World::new(|spec| spec.backoff_limit = 2);
    world.service.outcomes.extend([Phase::Failed, Phase::TimedOut, Phase::Failed]);
    world.run_for(secs(10)).run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    assert!(world.run().message.contains("op-0 failed"), "{}", world.run().message);
    world.run_for(secs(1_000)).is(RunState::Failed, Reason::RefreshFailed);
    assert_eq!((world.run().attempt, world.service.submits, world.status().history.len()), (3, 3, 1));
    assert_eq!(world.status().history[0].attempts, 3);
    assert!(world.statuses.iter().all(|status| status.run.as_ref().is_none_or(|run| run.number == 1)));
}

#[test]
fn cancelled_or_lost_operation_is_not_retried() {
    let mut world = World::new(|spec| spec.backoff_limit = 5);
    world.service.outcomes.push_back(Phase::Cancelled);
    world.run_for(secs(600)).is(RunState::Cancelled, Reason::Cancelled);
    let mut world = World::new(|spec| spec.backoff_limit = 5);
    world.run_for(secs(10));
    world.service.length = secs(9_000);
    world.service.ops[0].lost = true;
    world.run_for(secs(600)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn attempt_has_no_operation_before_it_is_submitted() {
    let mut world = World::new(|spec| spec.backoff_limit = 2);
    world.service.length = secs(3);
    world.service.outcomes.extend([Phase::Failed, Phase::Failed]);
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    let mut operations: Vec<(i32, &str)> = Vec::new();
    for run in world.statuses.iter().filter_map(|status| status.run.as_ref()) {
        let Some(id) = run.operation_id.as_deref() else { continue };
        if operations.last() != Some(&(run.attempt, id)) {
            operations.push((run.attempt, id));
        }
    }
    assert_eq!(operations, [(1, "op-0"), (2, "op-1"), (3, "op-2")]);
    // A run that ends before its next attempt names the last operation.
    let mut world = World::new(|spec| spec.backoff_limit = 1);
    world.service.outcomes.push_back(Phase::Failed);
    world.run_until(RunState::Waiting).is(RunState::Waiting, Reason::BackingOff);
    assert_eq!((world.run().attempt, world.run().operation_id.as_deref()), (2, None));
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    assert_eq!(world.status().history[0].operation_id.as_deref(), Some("op-0"));
    // One that ends before its first attempt names none of an earlier run.
    world.ahead = Some("another".to_owned());
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    world.annotate(CANCEL_REQUESTED_AT, Some("b")).run_for(secs(60)).is(RunState::Cancelled, Reason::CancelledOnRequest);
    let entry = &world.status().history[0];
    assert_eq!((entry.number, entry.operation_id.as_deref()), (2, None));
}

#[test]
fn blocked_attempt_shows_its_cause_at_once() {
    let failing = || {
        let mut world = World::new(|spec| spec.backoff_limit = 1);
        world.service.outcomes.push_back(Phase::Failed);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        world
    };
    let mut suspended = failing();
    suspended.edit(|spec| spec.suspend = true).run_until(RunState::Waiting).is(RunState::Waiting, Reason::Suspended);
    let mut blocked = failing();
    blocked.spec_blocker = Some(Blocker { remedy: Remedy::SpecChange, ..missing(Reason::InvalidSpec) });
    blocked.changed().run_until(RunState::Waiting).is(RunState::Waiting, Reason::InvalidSpec);
}
