//! Invariants of each state: running operations, turns, and the removal of finalizers.

use jiff::Timestamp;
use tabular_operator::api::{DeletionPolicy, Reason};
use tabular_operator::engine::{Event, QueueState, queue_state};

use super::accountability::{accountable, cancellable, live_or_coming, number_of};
use super::names::{ONE_OPERATION, RELEASE, TURN, UNINSTALL, holds};
use crate::world::object::Object;
use crate::world::{Op, Seconds, Violation, World};

/// How long the deletion of a namespace waits for an operation whose end cannot be observed, as in `engine::rules::deletion`.
const NAMESPACE_TIMEOUT: Seconds = 120;

/// Checks each state.
pub fn always(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate() {
        let live: Vec<&Op> = accountable(world, index).collect();
        let twice = live.iter().enumerate().find(|(at, op)| live[..*at].iter().any(|other| number_of(other) == number_of(op)));
        holds(twice.is_none(), ONE_OPERATION, || {
            format!("resource {index} has {}", live.iter().map(|op| op.id.to_string()).collect::<Vec<_>>().join(" and "))
        })?;
        let is_tracked = || world.operators.iter().any(|operator| operator.tracks(index));
        if resource.is_deleted && !resource.reported && !is_tracked() {
            let live = live_or_coming(world, index);
            holds(live.is_empty(), RELEASE, || {
                format!("resource {index} was deleted while {} is running, without an event", live.join(", "))
            })?;
        }
    }
    Ok(())
}

/// Checks that a turn that is held while no reconciliation is in progress is backed by the record, or by an intent whose write had no
/// response.
pub fn turn(world: &World, operator: usize, resource: usize) -> Result<(), Violation> {
    let state = &world.operators[operator].states[resource];
    let it = &world.resources[resource];
    // After a stale view it may be held until the next reconciliation, which follows immediately.
    let is_over = state.task.is_none() && !state.dirty && !state.in_memory.reread;
    if world.resources.len() == 1 || !is_over || !world.operators[operator].holds_turn(resource) {
        return Ok(());
    }
    let is_holding = |object: &Object| queue_state(&object.status, world.wall(operator), &world.settings) == QueueState::Holding;
    holds(it.versions.iter().any(is_holding), TURN, || format!("resource {resource} holds the turn of its model without a record"))
}

/// Checks the removal of a finalizer by an uninstall.
pub fn finalizer_removed_by_uninstall(world: &World, resource: usize) -> Result<(), Violation> {
    let live = live_or_coming(world, resource);
    holds(world.resources[resource].left_running || live.is_empty(), UNINSTALL, || {
        format!("resource {resource} lost its finalizer while {} is running", live.join(", "))
    })
}

/// Checks the removal of the operator.
pub fn uninstalled(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.is_deleted) {
        let live = live_or_coming(world, index);
        holds(resource.left_running || live.is_empty(), UNINSTALL, || format!("resource {index}: {} is running", live.join(", ")))?;
    }
    Ok(())
}

/// Checks the removal of the finalizer.
pub fn release(world: &World, operator: usize, resource: usize, view: &Object, events: &[Event]) -> Result<(), Violation> {
    let desired = &view.revision.desired;
    let is_reported = events.iter().any(|event| event.reason == Reason::Released);
    // The clock may have been set back since the decision.
    let back = world.scenario.clock_steps.iter().map(|by| -by).max().unwrap_or(0).max(0);
    let has_timed_out = |requested: Timestamp| world.wall(operator).duration_since(requested).as_secs() >= NAMESPACE_TIMEOUT - back;
    // The namespace may be deleted after the resource, and then no version of the resource shows it.
    let is_terminating = world.resources[resource].namespace_terminating
        && desired.deletion.as_ref().is_some_and(|deletion| has_timed_out(deletion.requested));
    let may_release =
        desired.requests.release || desired.policy.deletion == DeletionPolicy::Orphan || is_terminating || !cancellable(world, resource);
    holds(!is_reported || may_release, RELEASE, || format!("resource {resource} is released without a request"))?;
    if is_reported {
        return Ok(());
    }
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), RELEASE, || format!("resource {resource} is released while {} is running, without an event", live.join(", ")))
}
