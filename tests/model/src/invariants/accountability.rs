//! The operations that the operator is accountable for, and the exemptions.

use tabular_operator::api::{Reason, Run, RunState, Status};
use tabular_operator::engine::resubmit_value;

use crate::world::{Op, Owner, World};

/// The number of the run that an operation belongs to.
pub(super) fn number_of(op: &Op) -> Option<i32> {
    match op.owner {
        Owner::Run { number, .. } => Some(number),
        Owner::OtherClient => None,
    }
}

/// The running operations of a resource, without those that the operator is not accountable for.
pub(super) fn accountable(world: &World, resource: usize) -> impl Iterator<Item = &Op> {
    let exempt_up_to = world.resources[resource].exempt_up_to;
    let is_of_run = move |op: &&Op| number_of(op).is_some_and(|number| number > exempt_up_to);
    world.live_of(resource).filter(is_of_run).filter(|op| !is_beyond_limit(world, op))
}

/// Whether an operation has run for longer than the service runs any.
pub(super) fn is_beyond_limit(world: &World, op: &Op) -> bool {
    world.now - op.started_at > world.settings.max_refresh_duration.as_secs().cast_signed()
}

/// The value of the annotation `resubmit` that a decision applied: the submission is repeated.
#[must_use]
pub fn applied_resubmit(world: &World, resource: usize, after: &Status) -> Option<String> {
    let before = world.resources[resource].now().status.run.as_ref()?;
    let after = after.run.as_ref().filter(|after| after.number == before.number && after.attempt == before.attempt)?;
    let is_unresolved = before.state == RunState::Submitting && before.reason == Reason::SubmissionUnknown.as_str();
    let restarts = matches!(after.state, RunState::Waiting | RunState::Cancelled);
    (is_unresolved && restarts).then(|| resubmit_value(before))
}

/// Whether a resource tracks an operation, or has tracked it.
#[must_use]
pub fn has(status: &Status, id: &str) -> bool {
    let of_run = |run: &Run| run.operation_id.as_deref() == Some(id) || run.previous_operation_ids.iter().any(|earlier| earlier == id);
    status.run.as_ref().is_some_and(of_run) || status.history.iter().any(|entry| entry.operation_id.as_deref() == Some(id))
}

/// The runs, by resource and number, that the operator is not accountable for after a decision is written:
/// - A user decided that its submission started no operation.
/// - A user named another resource's or client's operation for it.
/// - It adopts the operation of a resource that was deleted with its record, and the two cannot be distinguished. This is a known gap.
/// - An event reports that its operation may still be running, because its resource is released ([`Reason::Released`]).
/// - It is a sync, which cannot be cancelled, that was polled to its deadline, and the message reports that.
#[must_use]
pub fn exemptions(world: &World, resource: usize, after: &Status) -> Vec<(usize, i32)> {
    let Some(run) = after.run.as_ref() else { return Vec::new() };
    let ours = (resource, run.number);
    if applied_resubmit(world, resource, after).is_some() {
        return vec![ours];
    }
    if run.state.ended() && (run.reason == Reason::Released.as_str() || abandoned_at_deadline(world, resource, run)) {
        return vec![ours];
    }
    let op = run.operation_id.as_deref().and_then(|id| world.service.ops.iter().find(|op| op.id.as_str() == id));
    let Some(op) = op else { return Vec::new() };
    let is_named = world.resources[resource].now().revision.desired.requests.adopt.as_deref() == Some(op.id.as_str());
    match op.owner {
        Owner::Run { resource: of, number, .. } if of == resource && (number == run.number || !is_named) => Vec::new(),
        Owner::Run { resource: of, number, .. } if is_named || (world.scenario.adopts_orphans && world.resources[of].is_deleted) => {
            vec![ours, (of, number)]
        }
        Owner::OtherClient if is_named => vec![ours],
        Owner::Run { .. } | Owner::OtherClient => Vec::new(),
    }
}

/// Whether a run ended at its deadline although its operation is still running, and the message reports that.
pub(super) fn abandoned_at_deadline(world: &World, resource: usize, run: &Run) -> bool {
    let is_reported = run.message.contains("may still be running at the service");
    !cancellable(world, resource) && run.reason == Reason::DeadlineExceeded.as_str() && is_reported
}

/// Whether the service can cancel the operation of a resource.
pub(super) fn cancellable(world: &World, resource: usize) -> bool {
    world.resources[resource].now().revision.desired.operation.request.kind().capabilities().cancel
}

/// What is running for a resource, or may still start, and the operator is accountable for.
pub(super) fn live_or_coming(world: &World, resource: usize) -> Vec<String> {
    let exempt_up_to = world.resources[resource].exempt_up_to;
    let coming =
        world.in_transit(resource).filter(|submission| matches!(submission.owner, Owner::Run { number, .. } if number > exempt_up_to));
    accountable(world, resource).map(|op| op.id.to_string()).chain(coming.map(|_| "a submission on its way".to_owned())).collect()
}
