//! Continues a world without faults: all calls succeed, operations end, and users act where the status requests it. Then every run ends,
//! every deletion completes, and nothing more is written.
//!
//! From each explored state one such continuation is played to its end. Most of them soon reach a state of an earlier continuation, and
//! stop there.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use tabular_operator::api::{self, ConditionStatus, ConditionType, RunState};
use tabular_operator::operation::Phase;

use crate::invariants;
use crate::scenario::Budget;
use crate::world::{
    Action, Existence, LEASE_DURATION, LEASE_HOLD, Leadership, Pending, RequestOutcome, Resource, ResourceState, Seconds, Uninstall,
    UserAction, Violation, Visibility, World, is_unresolved,
};

/// The most steps of a continuation for each resource: two hours of Lease renewals. In that time a resource with a schedule is reconciled
/// again.
const MAX_STEPS: usize = 12_000;

/// The number of seconds within which resources without a fault must end.
const FAIRNESS_LIMIT: Seconds = 900;

/// The number of steps after a restart that must write nothing.
const RESTART_STEPS: usize = 200;

/// The states of earlier continuations. All of those ended without a violation.
#[derive(Debug, Default)]
pub struct KnownStates {
    shards: [Mutex<HashSet<u64>>; 16],
}

impl KnownStates {
    fn has(&self, fingerprint: u64) -> bool {
        self.shards[(fingerprint % 16) as usize].lock().is_ok_and(|shard| shard.contains(&fingerprint))
    }

    fn add(&self, fingerprints: Vec<u64>) {
        for fingerprint in fingerprints {
            if let Ok(mut shard) = self.shards[(fingerprint % 16) as usize].lock() {
                shard.insert(fingerprint);
            }
        }
    }

    /// The number of states.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Plays the continuation to its end, and calls `on_step` after each step.
///
/// # Errors
/// The violated invariant.
pub fn run(world: &World, known: &KnownStates, mut on_step: impl FnMut(&str, &World)) -> Result<(), Violation> {
    let mut world = world.clone();
    world.budget = Budget::default();
    let mut fingerprints = Vec::new();
    // The states since a user last acted, with the versions of the resources.
    let mut visited: HashMap<u64, Vec<u32>> = HashMap::new();
    let (mut steps, start) = (0, world.now);
    let max_steps = MAX_STEPS * world.resources.len();
    loop {
        steps += 1;
        if steps > max_steps {
            return Err(Violation {
                invariant: invariants::LIVENESS,
                details: format!("no end after {max_steps} steps: {}", summary(&world)),
            });
        }
        while let Some(action) = recovery(&world, start)? {
            world.apply(action)?;
            on_step(&action.to_string(), &world);
        }
        let mut is_repeated = false;
        // Calls for an impaired resource, or on deleted models, are retried without end.
        let retries = world.impaired || world.service.visibility != Visibility::All;
        if !retries && world.operators.iter().all(|operator| operator.states.iter().all(|state| state.task.is_none())) {
            let fingerprint = world.fingerprint(false);
            if known.has(fingerprint) {
                break;
            }
            fingerprints.push(fingerprint);
            // A schedule is checked forever. If that leads back to a known state, nothing else will happen.
            if let Some(before) = visited.insert(fingerprint, versions(&world)) {
                is_repeated = true;
                if before != versions(&world) {
                    return Err(Violation { invariant: invariants::QUIESCENCE, details: format!("an endless cycle: {}", summary(&world)) });
                }
            }
        }
        if let Some(action) = next(&world).filter(|_| !is_repeated) {
            world.apply(action)?;
            on_step(&action.to_string(), &world);
        } else if let Some((resource, user_action)) = required_action(&world)? {
            visited.clear();
            if user_action == UserAction::Resubmit {
                world.resource(resource).remove_annotation(api::ADOPT);
                world.resource(resource).remove_annotation(api::RESUBMIT);
            }
            world.apply_user_action(resource, user_action);
            on_step(&format!("a user changes resource {resource}: {user_action:?}"), &world);
        } else {
            check_ended(&world)?;
            invariants::schedules_handled(&world)?;
            invariants::upstream_runs_handled(&world)?;
            invariants::checks_answered(&world)?;
            check_restart(&world, &mut on_step)?;
            break;
        }
    }
    known.add(fingerprints);
    Ok(())
}

/// The faults that end now: lost access ends immediately, a model is published again when no run uses it, and the impairment ends when all
/// other resources have ended their runs.
fn recovery(world: &World, start: Seconds) -> Result<Option<Action>, Violation> {
    let late = world.now - start > FAIRNESS_LIMIT;
    let is_in_progress = |resource: &Resource| {
        let run = resource.now().status.run.as_ref().filter(|run| !run.state.ended() && run.state != RunState::Waiting);
        !resource.is_deleted && run.is_some() && !needs_decision(resource)
    };
    // An impaired resource cannot learn that its model was deleted.
    let mut learns =
        world.resources.iter().enumerate().filter(|(index, _)| world.impairment_of(*index).is_none()).map(|(_, resource)| &**resource);
    match world.service.visibility {
        Visibility::Hidden => return Ok(Some(Action::SetVisibility { visibility: Visibility::All })),
        Visibility::Deleted if !learns.any(is_in_progress) => {
            return Ok(Some(Action::SetVisibility { visibility: Visibility::All }));
        }
        Visibility::Deleted if late => return Err(Violation { invariant: invariants::MODEL_GONE, details: summary(world) }),
        Visibility::Deleted | Visibility::All => {}
    }
    if !world.impaired {
        return Ok(None);
    }
    let pending = |resource: &&std::sync::Arc<Resource>| {
        let ended = resource.now().status.run.as_ref().is_some_and(|run| run.state.ended());
        let needs_user = resource.suspended() || needs_decision(resource);
        // A dependent of the impaired resource has nothing to do yet.
        let awaits_upstream = resource.now().status.run.is_none() && resource.now().revision.manifest.upstream_name() == Some("resource-0");
        !resource.is_deleted && !needs_user && !awaits_upstream && (!ended || resource.deleted.is_some())
    };
    // An uninstall waits for the impaired resource too.
    if world.uninstall != Uninstall::None || world.resources.iter().skip(1).find(pending).is_none() {
        return Ok(Some(Action::Impair { impaired: false }));
    }
    if late { Err(Violation { invariant: invariants::FAIRNESS, details: summary(world) }) } else { Ok(None) }
}

fn versions(world: &World) -> Vec<u32> {
    world.resources.iter().map(|resource| resource.now().version).collect()
}

/// The next action without faults; `None` if nothing is left to do.
fn next(world: &World) -> Option<Action> {
    match world.uninstall {
        Uninstall::Removed => return Some(Action::Install),
        Uninstall::Drained(_) => {
            let listed = world.resources.iter().position(|resource| resource.listed_version.is_some());
            return Some(listed.map_or(Action::Uninstall, |resource| Action::RemoveFinalizer { resource }));
        }
        Uninstall::None | Uninstall::Draining(_) => {}
    }
    for (operator, it) in world.operators.iter().enumerate() {
        if !it.up {
            return Some(Action::Start { operator });
        }
        if world.has_unobserved_drain(operator) {
            return Some(Action::ObserveDrain { operator });
        }
        for (resource, state) in it.states.iter().enumerate() {
            match state.task.as_ref().map(|task| &task.pending) {
                None => {}
                Some(Pending::Request(_)) => return Some(Action::Perform { operator, resource, outcome: RequestOutcome::Done }),
                Some(Pending::Response(_)) => return Some(Action::Deliver { operator, resource }),
            }
        }
        match it.leadership {
            Leadership::NoElection => {}
            Leadership::Leader { until } if world.now >= until => return Some(Action::Exit { operator }),
            Leadership::Leader { until } if world.lease.holder == operator && until < world.now + LEASE_HOLD => {
                return Some(Action::Renew { operator, confirmed: true });
            }
            Leadership::Standby if world.now >= world.lease.renewed + LEASE_DURATION => return Some(Action::AcquireLease { operator }),
            Leadership::Leader { .. } | Leadership::Standby => {}
        }
        if world.leads(operator) {
            let due = |state: &ResourceState| state.is_due(world.now) && state.existence != Existence::Forgotten;
            if let Some(resource) = it.states.iter().position(due) {
                return Some(Action::Reconcile { operator, resource, age: 0 });
            }
        }
    }
    if !world.late.is_empty() {
        return Some(Action::PerformLateWrite { write: 0 });
    }
    if !world.service.pending_submissions.is_empty() {
        return Some(Action::DeliverSubmission { submission: 0 });
    }
    if let Some(op) = world.service.ops.iter().position(|op| op.live()) {
        let phase = if world.service.ops[op].cancelling { Phase::Cancelled } else { Phase::Succeeded };
        return Some(Action::EndOperation { op, phase });
    }
    if world.uninstall != Uninstall::None && world.is_drained() {
        return Some(Action::CompleteDrain);
    }
    // A resource that needs a decision may be reconciled forever because of an invalid decision.
    let pending = |(resource, state): (usize, &ResourceState)| {
        state.due.is_some()
            && state.existence != Existence::Forgotten
            && (state.existence == Existence::Detached || !needs_decision(&world.resources[resource]))
    };
    let leaders: Vec<usize> = (0..world.operators.len()).filter(|operator| world.leads(*operator)).collect();
    let is_pending = leaders.iter().any(|operator| world.operators[*operator].states.iter().enumerate().any(pending));
    let hidden = world.service.ops.iter().any(|op| !op.visible);
    // The holder of the Lease observes an uninstall at its next renewal.
    let is_unobserved = leaders.iter().any(|operator| world.operators[*operator].observed_drain != world.uninstall.drain_request());
    (is_pending || hidden || is_unobserved || leaders.is_empty()).then_some(Action::Tick)
}

/// Whether a resource needs a user's decision on its submission.
fn needs_decision(resource: &Resource) -> bool {
    is_unresolved(&resource.now().status)
}

/// The user action that the status requests. The resource must be Stalled then.
fn required_action(world: &World) -> Result<Option<(usize, UserAction)>, Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.is_deleted) {
        let object = resource.now();
        if needs_decision(resource) {
            let stalled = |kind, status| object.status.conditions.iter().any(|it| it.r#type == kind && it.status == status);
            if !stalled(ConditionType::Stalled, ConditionStatus::True) {
                return Err(Violation {
                    invariant: invariants::STALLED,
                    details: format!("resource {index} needs a decision and is not Stalled"),
                });
            }
            return Ok(Some((index, if resource.deleted.is_some() { UserAction::Release } else { UserAction::Resubmit })));
        }
        if resource.suspended() {
            return Ok(Some((index, UserAction::Suspend)));
        }
    }
    Ok(None)
}

fn check_ended(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.is_deleted) {
        let run = resource.now().status.run.as_ref();
        if resource.deleted.is_some() || run.is_some_and(|run| !run.state.ended()) {
            return Err(Violation {
                invariant: invariants::LIVENESS,
                details: format!("resource {index} does not proceed: {}", summary(world)),
            });
        }
        if let Some(queued) = &resource.now().status.queued {
            return Err(Violation {
                invariant: invariants::ACCEPTED,
                details: format!("resource {index}: {queued:?} was accepted and never runs"),
            });
        }
    }
    Ok(())
}

/// Checks that restarted operators write nothing and have nothing to do.
fn check_restart(world: &World, on_step: &mut impl FnMut(&str, &World)) -> Result<(), Violation> {
    let mut world = world.clone();
    let (before, ops) = (versions(&world), world.service.ops.len());
    for operator in 0..world.operators.len() {
        let leadership = world.operators[operator].leadership;
        if world.leads(operator) {
            world.budget.crashes = 1;
            world.apply(Action::Crash { operator })?;
            world.apply(Action::Start { operator })?;
            world.operators[operator].leadership = leadership;
        }
    }
    for _ in 0..RESTART_STEPS {
        let Some(action) = next(&world) else { break };
        world.apply(action)?;
        on_step(&action.to_string(), &world);
    }
    if versions(&world) != before || world.service.ops.len() != ops {
        return Err(Violation { invariant: invariants::QUIESCENCE, details: summary(&world) });
    }
    Ok(())
}

/// A summary of the resources in one line.
#[must_use]
pub fn summary(world: &World) -> String {
    let of = |(index, resource): (usize, &std::sync::Arc<Resource>)| {
        let object = resource.now();
        let run = object.status.run.as_ref().map_or_else(
            || "no run".to_owned(),
            |run| {
                let operation = run.operation_id.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
                format!("run {} attempt {} {:?} ({}){operation}", run.number, run.attempt, run.state, run.reason)
            },
        );
        let suffix = if resource.is_deleted {
            " [gone]"
        } else if resource.deleted.is_some() {
            " [deleted]"
        } else {
            ""
        };
        format!("resource {index} v{}{suffix}: {run}", object.version)
    };
    world.resources.iter().enumerate().map(of).collect::<Vec<_>>().join("; ")
}
