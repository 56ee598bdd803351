//! Invariants of submissions and cancellations, checked when they are sent.

use tabular_operator::api::{ConflictPolicy, RunState};
use tabular_operator::operation::{OperationId, Origin, Phase};

use super::accountability::live_or_coming;
use super::names::{INTENT, ONCE, OTHER_CLIENTS, UNINSTALL, holds, violation};
use crate::world::object::Object;
use crate::world::{Owner, Violation, World, index_of};

/// Checks each submission when it is sent.
pub fn submission(world: &World, operator: usize, resource: usize, (view, model): (&Object, u8)) -> Result<(), Violation> {
    let Some(run) = view.status.run.as_ref() else { return Err(violation(INTENT, "a submission without a run")) };
    let it = &world.resources[resource];
    // Older versions are not known any more.
    let is_this = |version: &Object| version.version == view.version && version.status == view.status;
    let on_record = view.version < it.versions[0].version || it.versions.iter().any(is_this);
    let fresh = run
        .submitted_time
        .is_some_and(|at| world.wall(operator).duration_since(at.timestamp()).as_secs() <= world.scenario.call_timeout + 1);
    holds(run.state == RunState::Submitting && on_record && fresh, INTENT, || {
        format!("resource {resource}: run {} attempt {} is submitted, and the record shows {:?}", run.number, run.attempt, run.state)
    })?;
    holds(run.model.names().is_none() && index_of(&run.model) == model, INTENT, || {
        format!("resource {resource}: run {} is submitted to another model than the recorded one", run.number)
    })?;
    let drain = world.operators[operator].observed_drain;
    holds(drain.is_none(), UNINSTALL, || format!("resource {resource} submits run {} during an uninstall", run.number))?;
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), ONCE, || {
        format!("resource {resource} submits run {} attempt {} while {} runs", run.number, run.attempt, live.join(", "))
    })?;
    if run.number <= it.exempt_up_to {
        return Ok(());
    }
    for op in &world.service.ops {
        let Owner::Run { resource: of, number, attempt } = op.owner else { continue };
        // An operation that the service has lost is not shown, as if it had never started.
        if of != resource || number != run.number || op.lost {
            continue;
        }
        let phase = op.ended.map(|(_, phase)| phase);
        // An operation that the service gave up may be shown as cancelled.
        let is_given_up = world.service.failure_cause.is_some() && phase == Some(Phase::Cancelled);
        let again = attempt < run.attempt && (is_given_up || matches!(phase, Some(Phase::Failed | Phase::TimedOut)));
        let allowed = run.attempt <= view.revision.desired.policy.backoff_limit + 1;
        holds(again && allowed, ONCE, || {
            format!("resource {resource} submits run {number} attempt {} after {} (attempt {attempt}, {phase:?})", run.attempt, op.id)
        })?;
    }
    Ok(())
}

/// Checks each cancellation when it is sent.
pub fn cancellation(world: &World, resource: usize, view: &Object, id: &OperationId) -> Result<(), Violation> {
    let Some(op) = world.service.ops.iter().find(|op| op.id == *id) else { return Ok(()) };
    holds(op.request.kind().capabilities().cancel, OTHER_CLIENTS, || format!("resource {resource} cancels the sync {id}"))?;
    // The operation of the run is its own, or was adopted under [`EVIDENCE`].
    if view.status.run.as_ref().and_then(|run| run.operation_id.as_deref()) == Some(id.as_str()) {
        return Ok(());
    }
    let replaces = view.revision.desired.policy.conflict == ConflictPolicy::Replace;
    match op.owner {
        // The operation of a deleted resource belongs to no resource, and neither does one that a user decided not to exist.
        Owner::Run { resource: of, number, .. } => {
            let it = &world.resources[of];
            holds(replaces && (it.is_deleted || number <= it.exempt_up_to), OTHER_CLIENTS, || {
                format!("resource {resource} cancels {id} of resource {of} as another client's")
            })
        }
        Owner::OtherClient => holds(replaces && op.appearance.origin() == Origin::Client, OTHER_CLIENTS, || {
            format!("resource {resource} cancels another client's {id}, shown as {:?}", op.appearance)
        }),
    }
}
