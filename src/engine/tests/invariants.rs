//! Invariants, checked at each step of each scenario and each simulation.

use super::service::Owner;
use super::world::World;
use crate::api::{
    Condition, ConditionStatus, ConditionType, ConflictPolicy, DeletionPolicy, EventPolicy, Reason, Run, RunState, Status, Time,
    TriggerType,
};
use crate::engine::{Decision, Desired, Effect};
use crate::operation::{ModelExistence, OperationId, OperationKind, Phase};

/// Invariants of each decision, whether it is executed or not.
pub(super) fn decision(world: &World, desired: &Desired, before: &Status, decision: &Decision) {
    let after = &decision.status;
    if after != before {
        conditions(after, desired.generation);
        if after.conditions != before.conditions {
            references(world, after);
        }
        let size = serde_json::to_vec(after).unwrap().len();
        assert!(size <= 64 * 1024, "a status of {size} bytes");
        assert!(after.history.len() <= desired.policy.history_limit, "more history than asked for");
        let back: Status = serde_json::from_slice(&serde_json::to_vec(after).unwrap()).unwrap();
        assert_eq!(&back, after, "what is written is not what is read back");
    }
    // A user may have edited the status.
    let ours = |run: &Run| world.statuses.iter().any(|status| status.run.as_ref() == Some(run));
    if let Some(old) = before.run.as_ref().filter(|run| run.state.ended() && ours(run)) {
        let new = after.run.as_ref().expect("a run that ended is not forgotten");
        assert!(new.number > old.number || new == old, "a run that had ended changed: {old:?} to {new:?}");
    }
    if let (Some(old), Some(new)) = (before.run.as_ref().filter(|run| ours(run)), &after.run) {
        assert!(new.number >= old.number && (new.number > old.number || new.attempt >= old.attempt), "a run went back");
    }
    if before.run.as_ref().is_some_and(|run| !run.state.ended()) && decision.effect == Effect::None && desired.has_finalizer {
        assert_eq!(after.observed_generation, desired.generation, "an edit was not acknowledged");
    }
    match &decision.effect {
        Effect::Submit | Effect::AcquireTurn | Effect::FindModel | Effect::Poll(_) | Effect::List(..) | Effect::Cancel(_) => {
            assert!(decision.model.names().is_none() && !decision.model.is_empty(), "{:?} without the ids of the model", decision.effect);
        }
        Effect::None | Effect::ResolveModel | Effect::AddFinalizer | Effect::RemoveAnnotation(_) | Effect::RemoveFinalizer => {}
    }
    if decision.effect == Effect::Submit {
        let run = after.run.as_ref().expect("an intent");
        assert!(after != before, "a submission without a write before it");
        assert_eq!((run.state, run.submitted_time), (RunState::Submitting, Some(world.now.into())), "a submission without its intent");
        assert_eq!(run.request_digest, desired.operation.digest, "the intent is for other work");
        assert_eq!(run.resolved_from, desired.operation.model.names(), "the intent is for other names");
        assert!(run.resolved_from.is_some() || run.model == desired.operation.model, "the intent is for another model");
        assert_eq!(decision.model, run.model, "submitted to another model than is recorded");
        assert!(desired.has_finalizer && desired.deletion.is_none(), "a submission whose operation would not be tracked");
        assert!(!desired.policy.suspend && desired.blocker.is_none());
    }
}

/// A missing reference is Reconciling for the grace period, counted from the record, and Stalled after that.
fn references(world: &World, status: &Status) {
    let find = |kind: ConditionType| status.conditions.iter().find(|condition| condition.r#type == kind);
    let reason = Reason::parse(&find(ConditionType::Ready).unwrap().reason);
    let Some(reason) = reason.filter(|reason| reason.event_policy() == EventPolicy::Awaited) else { return };
    let since = status.missing_since_time.expect("a missing reference without its time");
    assert!(since <= Time::from(world.now), "missing since a time to come");
    let may_arrive = world.now < since.timestamp() + world.settings.reference_grace;
    let shown = (find(ConditionType::Reconciling).is_some(), find(ConditionType::Stalled).is_some());
    assert_eq!(shown, (may_arrive, !may_arrive), "{reason} since {since}");
}

/// Checks that a recorded end is the end at the service.
pub(super) fn written(world: &World, before: &Status, after: &Status) {
    upstream(world, before, after);
    let Some(run) = after.run.as_ref().filter(|run| run.state.ended()) else { return };
    if before.run.as_ref().is_some_and(|old| old.number == run.number && old.state.ended()) {
        return;
    }
    let op = |id: &str| world.service.ops.iter().find(|op| op.id.as_str() == id);
    let shown = run.operation_id.as_deref().and_then(op).map(|op| (op.vanished, op.phase(world.now)));
    let reason = Reason::parse(&run.reason).unwrap();
    match reason {
        Reason::Succeeded if run.operation_id.is_none() => assert!(!world.service.replicas, "nothing ran, and it succeeded"),
        Reason::Succeeded => assert_eq!(shown.map(|(_, phase)| phase), Some(Phase::Succeeded)),
        Reason::RefreshFailed | Reason::SyncFailed => assert_eq!(shown.map(|(_, phase)| phase), Some(Phase::Failed)),
        Reason::OperationLost => assert!(
            shown.is_none_or(|(vanished, _)| vanished || world.service.unknown == Some(ModelExistence::Absent)),
            "an operation is lost that is there"
        ),
        // It cannot be cancelled, and the message states that.
        Reason::DeadlineExceeded if world.kind == OperationKind::Sync => {
            assert!(run.message.contains("may still be running at the service"), "{}", run.message);
            return;
        }
        Reason::DeadlineExceeded | Reason::Replaced => {
            assert!(shown.is_none_or(|(vanished, phase)| vanished || phase == Phase::Cancelled));
        }
        Reason::CancelledOnRequest => {
            // Another attempt may have run and failed before it; a success is never reported like this.
            assert!(shown.is_none_or(|(vanished, phase)| vanished || phase.ended() && phase != Phase::Succeeded));
        }
        Reason::WaitDeadlineExceeded | Reason::Conflict | Reason::RequestRejected => {
            // Another attempt may have run and failed before it.
            assert!(shown.is_none_or(|(vanished, phase)| vanished || phase.ended()), "ended unsubmitted, and an operation runs");
        }
        _ => {}
    }
    // An operation that cannot be cancelled is reported as cancelled only if none has started.
    if !world.user_decided && (world.kind == OperationKind::Refresh || reason == Reason::CancelledOnRequest) {
        assert!(mine_alive(world).is_empty(), "run {} ended ({reason}) and its operation runs: {:?}", run.number, mine_alive(world));
    }
}

/// Checks that no upstream run starts two runs, and none before an earlier one.
fn upstream(world: &World, before: &Status, after: &Status) {
    let number = |status: &Status| status.run.as_ref().map_or(0, |run| run.number);
    let Some(run) = after.run.as_ref().filter(|run| run.trigger.r#type == TriggerType::AfterRefresh && run.number > number(before)) else {
        return;
    };
    // A recreated upstream counts from 1 again.
    let leader = |status: &Status| status.last_upstream_run.as_ref().map(|cursor| cursor.uid.clone());
    let first = |number: i32| world.statuses.iter().find(|status| status.run.as_ref().is_some_and(|run| run.number == number));
    let same = |status: &Status| status.run.as_ref().is_some_and(|old| old.trigger == run.trigger) && leader(status) == leader(after);
    assert!(!(1..run.number).filter_map(first).any(same), "{} has a second run", run.trigger.value);
}

/// The rules of kstatus and of Flux for a status.
pub(super) fn conditions(status: &Status, generation: i64) {
    assert!(status.observed_generation <= generation, "observedGeneration is ahead");
    let find = |kind| status.conditions.iter().find(|condition: &&Condition| condition.r#type == kind);
    // What a newer version has recorded stays until this one records something else.
    let newer = |reason: &str| status.run.as_ref().is_some_and(|run| run.reason == reason);
    for condition in status.conditions.iter().filter(|condition| !matches!(condition.r#type, ConditionType::Unrecognized(_))) {
        assert_eq!(condition.observed_generation, status.observed_generation, "{:?}", condition.r#type);
        assert_eq!(status.conditions.iter().filter(|other| other.r#type == condition.r#type).count(), 1);
        assert!(Reason::parse(&condition.reason).is_some() || newer(&condition.reason), "an undocumented reason {:?}", condition.reason);
        assert!(!condition.message.is_empty() && condition.message.len() <= 1024);
    }
    let (reconciling, stalled) = (find(ConditionType::Reconciling), find(ConditionType::Stalled));
    assert!(!(reconciling.is_some() && stalled.is_some()), "Reconciling and Stalled together");
    for present in [reconciling, stalled].into_iter().flatten() {
        assert_eq!(present.status, ConditionStatus::True, "{:?} is present and not True", present.r#type);
    }
    let ready = find(ConditionType::Ready).expect("Ready is always there");
    assert!(ready.status != ConditionStatus::True || reconciling.is_none() && stalled.is_none(), "Ready while Reconciling or Stalled");
    assert!(ready.status != ConditionStatus::Unknown || reconciling.is_some(), "Ready Unknown without Reconciling");
    // The outcome of the run besides Ready, never a fault of a reference.
    for fact in [find(ConditionType::Succeeded), find(ConditionType::Finished)].into_iter().flatten() {
        assert!(fact.message.len() < 64 && fact.message != ready.message, "{fact:?} repeats {ready:?}");
        let awaited = |reason: Reason| reason.event_policy() == EventPolicy::Awaited;
        assert!(fact.status != ConditionStatus::True || !Reason::parse(&fact.reason).is_some_and(awaited), "{fact:?}");
    }
    if find(ConditionType::Succeeded).is_some_and(|succeeded| succeeded.status == ConditionStatus::True) {
        assert_eq!(find(ConditionType::Succeeded).unwrap().reason, Reason::Succeeded.as_str());
    }
    if let Some(run) = &status.run {
        let (succeeded, finished) = (find(ConditionType::Succeeded).unwrap(), find(ConditionType::Finished).unwrap());
        assert_eq!(finished.status == ConditionStatus::True, succeeded.status != ConditionStatus::Unknown);
        if !run.state.ended() {
            assert_eq!(finished.status, ConditionStatus::False, "finished while a run is in progress");
        }
    }
}

fn mine_alive(world: &World) -> Vec<&OperationId> {
    // A sync that exceeded its deadline keeps running, besides those of later runs.
    let run = world.object.status.as_ref().and_then(|status| status.run.as_ref());
    let number = run.map_or(0, |run| run.number + i32::from(run.state.ended()));
    let released = |op: &super::service::Op| op.kind == OperationKind::Sync && matches!(op.owner, Owner::Run(of, _) if of < number);
    let ours = |op: &&super::service::Op| op.owner != Owner::OtherClient && op.live(world.now) && !released(op);
    world.service.ops.iter().filter(ours).map(|op| &op.id).collect()
}

/// At most one live operation for a run, and a second one only after the first is known to have failed.
pub(super) fn submission(world: &World, desired: &Desired, decision: &Decision) {
    if world.user_decided {
        return;
    }
    assert!(mine_alive(world).is_empty(), "submitted again while {:?} runs", mine_alive(world));
    assert!(world.service.in_flight.is_empty(), "submitted again while a submission is still on its way");
    if world.kind == OperationKind::Sync {
        let refreshes = |op: &&super::service::Op| op.kind == OperationKind::Refresh && op.live(world.now) && op.visible <= world.now;
        assert!(world.service.ops.iter().find(refreshes).is_none(), "synchronized during a refresh");
    }
    let run = decision.status.run.as_ref().unwrap();
    for op in &world.service.ops {
        let Owner::Run(number, attempt) = op.owner else { continue };
        if number == run.number && !op.vanished {
            assert!(attempt < run.attempt, "attempt {attempt} of run {number} is submitted twice");
            let given_up = op.failure.is_some() && op.phase(world.now) == Phase::Cancelled;
            let failed = given_up || matches!(op.phase(world.now), Phase::Failed | Phase::TimedOut);
            assert!(failed, "submitted again after {:?}", op.outcome);
            assert!(run.attempt <= desired.policy.backoff_limit + 1 || attempt < run.attempt, "more attempts than backoffLimit allows");
        }
    }
}

/// Another client's operation is cancelled only if `conflictPolicy` requests it; an own operation never counts as one.
pub(super) fn cancellation(world: &World, desired: &Desired, decision: &Decision, id: &OperationId) {
    assert!(world.kind.capabilities().cancel, "a sync is cancelled");
    let op = world.service.ops.iter().find(|op| op.id == *id);
    let run = decision.status.run.as_ref().unwrap();
    let upstream = run.operation_id.as_deref() == Some(id.as_str());
    match op.map(|op| op.owner) {
        Some(Owner::OtherClient) if !world.user_decided => {
            assert_eq!(desired.policy.conflict, ConflictPolicy::Replace, "another client's operation {id} is cancelled");
        }
        Some(Owner::Run(_, _)) => {
            assert!(upstream || world.user_decided, "an own operation {id} is cancelled as another client's: {run:?}");
        }
        Some(Owner::OtherClient) | None => {}
    }
}

/// The finalizer is removed when no operation of the resource is running, or an event reports that one may be.
pub(super) fn release(world: &World, desired: &Desired, decision: &Decision) {
    let said = decision.events.iter().any(|event| event.reason == Reason::Released);
    let may = !world.kind.capabilities().cancel
        || desired.requests.release
        || desired.policy.deletion == DeletionPolicy::Orphan
        || world.namespace_terminating;
    assert!(!said || may, "released without a request");
    if !said && !world.user_decided {
        assert!(mine_alive(world).is_empty(), "released while {:?} runs", mine_alive(world));
        assert!(world.service.in_flight.is_empty(), "released while a submission is on its way");
    }
}
