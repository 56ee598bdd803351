//! The promise, as laws that hold in every state. The world knows the truth, the decision only what it was told.

use std::sync::Arc;

use tabular_operator::api::{ConflictPolicy, DeletionPolicy, HistoryEntry, Reason, Run, RunState, Status, Time};
use tabular_operator::engine::{Effect, Seen, Step};
use tabular_operator::operation::{Cancellation, Look, Operation, OperationId, Phase, Submission};

use crate::world::cluster::Object;
use crate::world::{Broken, Op, Owner, World};

fn broken(law: &'static str, found: impl Into<String>) -> Broken {
    Broken { law, found: found.into() }
}

fn holds(condition: bool, law: &'static str, found: impl FnOnce() -> String) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(broken(law, found())) }
}

/// At most one operation of a run is alive, whatever else is true.
pub const ONE_ALIVE: &str = "at most one live operation per run";
/// No second submission, unless the first is known not to have started or something allows it.
pub const ONCE: &str = "no second submission";
/// The intent is on record before the submission.
pub const INTENT: &str = "no submission without its intent";
/// Another client's operation is cancelled only by `conflictPolicy: Replace`, and our own never as another's.
pub const STRANGERS: &str = "another client's operation is its own";
/// What is followed is what was submitted.
pub const EVIDENCE: &str = "nothing is adopted against the evidence";
/// The finalizer goes when nothing of it is left running, or it is said.
pub const RELEASE: &str = "the finalizer goes only when nothing is left running";
/// An end in the status is the end at the service.
pub const TRUTH: &str = "an end in the status is the end at the service";
/// A finished run never changes.
pub const FINISHED: &str = "a finished run never changes";
/// Once faults stop, everything comes to its end.
pub const ENDS: &str = "once faults stop, every run ends and every deletion completes";
/// What waits for a person says so.
pub const VISIBLE: &str = "what waits for a person is Stalled";
/// And then nothing more is written.
pub const QUIET: &str = "nothing is written after the end";

/// What holds in every state.
pub fn always(world: &World) -> Result<(), Broken> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.word) {
        let mut live = world.live_of(index).map(|op| op.owner);
        if let Some(first) = live.next() {
            holds(live.all(|owner| run_of(owner) != run_of(first)), ONE_ALIVE, || {
                format!("resource {index} has {}", world.live_of(index).map(|op| op.id.to_string()).collect::<Vec<_>>().join(" and "))
            })?;
        }
        // What nobody can cancel may outlast its resource: what is said of it is the law of the release.
        if resource.gone && !resource.said && cancellable(world, index) {
            let live = live_or_coming(world, index);
            holds(live.is_empty(), RELEASE, || format!("resource {index} is gone, and {} runs; nothing is said of it", live.join(", ")))?;
        }
    }
    Ok(())
}

fn run_of(owner: Owner) -> Option<(usize, i32)> {
    match owner {
        Owner::Run { resource, number, .. } => Some((resource, number)),
        Owner::Stranger => None,
    }
}

/// What holds for each decision, whether it is written or not.
pub fn decision(_world: &World, _operator: usize, resource: usize, view: &Object, step: &Step) -> Result<(), Broken> {
    finished(resource, &view.status, &step.recorded)?;
    if step.effect == Effect::Submit {
        let run = step.recorded.run.as_ref();
        let intended = run.is_some_and(|run| run.state == RunState::Submitting) && step.recorded != *view.status;
        holds(intended, INTENT, || format!("resource {resource}: a submission is decided that records nothing"))?;
        let desired = &view.edition.desired;
        let seen_to = desired.finalizer && desired.deletion.is_none();
        holds(seen_to, INTENT, || format!("resource {resource}: a submission that nobody will see to the end of"))?;
    }
    Ok(())
}

fn finished(resource: usize, before: &Status, after: &Status) -> Result<(), Broken> {
    if let Some(old) = before.run.as_ref().filter(|run| run.state.ended()) {
        let fine = after.run.as_ref().is_some_and(|new| new.number > old.number || new == old);
        holds(fine, FINISHED, || {
            format!("resource {resource}: run {} had ended {:?}, and becomes {:?}", old.number, old.state, after.run)
        })?;
    }
    let entry = |number: i32| before.history.iter().find(|entry| entry.number == number);
    let changed = |new: &&HistoryEntry| entry(new.number).is_some_and(|old| old != *new);
    let changed = after.history.iter().find(changed);
    holds(changed.is_none(), FINISHED, || {
        format!("resource {resource}: the history of run {} changes", changed.map_or(0, |new| new.number))
    })
}

/// What holds for each status that is written.
pub fn write(world: &World, operator: usize, resource: usize, step: &Step, accepted: Option<&Seen>) -> Result<(), Broken> {
    let (before, after) = (&world.resources[resource].now().status, &step.recorded);
    finished(resource, before, after)?;
    let Some(run) = &after.run else { return Ok(()) };
    let old = before.run.as_ref().filter(|old| old.number == run.number);
    let known = old.and_then(|old| old.operation_id.as_ref());
    if let Some(id) = run.operation_id.as_ref().filter(|id| Some(*id) != known) {
        follows(world, operator, resource, run, id, accepted.is_some())?;
    }
    if run.state.ended() && old.is_none_or(|old| !old.state.ended()) {
        ended(world, resource, run)?;
        late_answers(world, operator, resource, step)?;
    }
    Ok(())
}

/// Whatever answer still comes to a question that was asked before the end, the run stays as it ended, and nothing is cancelled or
/// submitted for it.
fn late_answers(world: &World, operator: usize, resource: usize, step: &Step) -> Result<(), Broken> {
    let now = world.resources[resource].now();
    let view = Object { status: Arc::new(step.recorded.clone()), ..now.clone() };
    let looks = world.service.ops.iter().flat_map(|op| {
        let running = Operation { phase: Phase::InProgress, end: None, ..world.service.describe(op) };
        let failed = Operation { phase: Phase::Failed, ..running.clone() };
        [running, failed].map(|operation| Look::Found { operation: Box::new(operation), retry_after: None, location: None })
    });
    let id = world.service.ops.first().map(|op| op.id.clone());
    let accepted = id.map(|id| Submission::Accepted { id, location: None, activity_id: None, retry_after: None });
    let late = looks
        .chain([Look::Gone])
        .map(Seen::Look)
        .chain([Seen::Cancellation(Cancellation::Accepted), Seen::Cancellation(Cancellation::NothingToCancel)])
        .chain(accepted.map(Seen::Submission))
        .chain([Seen::Submission(Submission::Unanswered { message: "no answer".to_owned() })]);
    for seen in late {
        let said = format!("{seen:?}");
        let after = world.decide(operator, resource, &view, seen);
        let same = finished(resource, &view.status, &after.recorded).is_ok();
        let idle = !matches!(after.effect, Effect::Submit | Effect::Cancel(_));
        holds(same && idle, FINISHED, || {
            format!("resource {resource}: run {:?} had ended; then {said} comes late, and {:?} follows", view.status.run, after.effect)
        })?;
    }
    Ok(())
}

/// What a run follows is its own, or cannot be told from it, or a person has named it.
fn follows(world: &World, operator: usize, resource: usize, run: &Run, id: &str, accepted: bool) -> Result<(), Broken> {
    let Some(op) = world.service.ops.iter().find(|op| op.id.as_str() == id) else {
        return Err(broken(EVIDENCE, format!("resource {resource} follows {id}, which nobody has")));
    };
    let ours = op.owner == Owner::Run { resource, number: run.number, attempt: run.attempt };
    let named = world.resources[resource].now().edition.desired.requests.adopt.as_deref() == Some(id);
    if ours || named {
        return Ok(());
    }
    let mut against = Vec::new();
    if accepted {
        against.push("the service gave it to somebody else".to_owned());
    }
    let intent = run.submitted_time.map_or(world.wall(operator), Time::timestamp);
    let began = crate::world::moment(op.began + world.operators[operator].clock);
    // Where the service does not say the time, its clock may be five minutes off.
    let doubt = if world.service.tells_time { 5 } else { 305 };
    if intent.duration_since(began).as_secs() > doubt {
        against.push(format!("it began {} s before the intent", intent.duration_since(began).as_secs()));
    }
    if world.resources[resource].now().edition.desired.work.request != *op.request {
        against.push("it does something else".to_owned());
    }
    // A resource that is gone has taken its record with it.
    let followed = |other: &Status| {
        let of_run = other.run.as_ref().is_some_and(|run| run.operation_id.as_deref() == Some(id));
        of_run || other.history.iter().any(|entry| entry.operation_id.as_deref() == Some(id))
    };
    if world.resources.iter().enumerate().any(|(index, other)| index != resource && !other.gone && followed(&other.now().status)) {
        against.push("another resource follows it".to_owned());
    }
    if let Owner::Run { resource: of, number, .. } = op.owner
        && of == resource
    {
        against.push(format!("it was run {number}'s"));
    }
    holds(against.is_empty(), EVIDENCE, || {
        format!("resource {resource} takes {id} for run {} attempt {}: {}", run.number, run.attempt, against.join(", "))
    })
}

/// Whose operation a run is to follow, where it is not its own and no fault of the decision: a person has named it, or it was begun by
/// a resource that is gone and has taken its record with it, and cannot be told from the run's own.
#[must_use]
pub fn misled(world: &World, resource: usize, step: &Step) -> Option<Owner> {
    let run = step.recorded.run.as_ref()?;
    let id = run.operation_id.as_deref()?;
    let op = world.service.ops.iter().find(|op| op.id.as_str() == id)?;
    let named = world.resources[resource].now().edition.desired.requests.adopt.as_deref() == Some(id);
    let orphan = |of: usize| world.scenario.orphans && world.resources[of].gone;
    let another = match op.owner {
        Owner::Run { resource: of, number, .. } if of == resource => number != run.number && named,
        Owner::Run { resource: of, .. } => named || orphan(of),
        Owner::Stranger => named,
    };
    another.then_some(op.owner)
}

/// What is written of an end is the end at the service.
fn ended(world: &World, resource: usize, run: &Run) -> Result<(), Broken> {
    let op = run.operation_id.as_deref().and_then(|id| world.service.ops.iter().find(|op| op.id.as_str() == id));
    let phase = op.and_then(|op| op.ended).map(|(_, phase)| phase);
    let vanished = op.is_none_or(|op| op.vanished);
    let over = vanished || phase.is_some();
    let reason = Reason::parse(&run.reason);
    let true_end = match reason {
        Some(Reason::Succeeded) => phase == Some(Phase::Succeeded),
        Some(Reason::RefreshFailed | Reason::SyncFailed) => phase == Some(Phase::Failed),
        Some(Reason::TimedOut) => phase == Some(Phase::TimedOut),
        Some(Reason::OperationLost | Reason::RequestDropped) => vanished,
        // What nobody can cancel is let go.
        Some(Reason::DeadlineExceeded) if !cancellable(world, resource) => true,
        Some(Reason::DeadlineExceeded | Reason::Replaced | Reason::Cancelled) => vanished || phase == Some(Phase::Cancelled),
        // Nothing of it was submitted, or it has ended, and not well.
        Some(Reason::CancelledOnRequest) => vanished || matches!(phase, Some(Phase::Cancelled | Phase::Failed | Phase::TimedOut)),
        // Nothing of it was submitted, or an earlier attempt of it has ended.
        Some(Reason::WaitDeadlineExceeded | Reason::Conflict | Reason::RequestRejected) => over,
        _ => false,
    };
    holds(true_end, TRUTH, || {
        format!("resource {resource}: run {} ends {:?} ({}), and at the service {phase:?}", run.number, run.state, run.reason)
    })?;
    if world.resources[resource].word || !cancellable(world, resource) {
        return Ok(());
    }
    let live: Vec<String> = live_or_coming(world, resource);
    holds(live.is_empty(), TRUTH, || {
        format!("resource {resource}: run {} has ended ({}), and {} runs", run.number, run.reason, live.join(", "))
    })
}

/// Whether the service can be told to cancel what a resource asks for.
fn cancellable(world: &World, resource: usize) -> bool {
    world.resources[resource].now().edition.desired.work.request.kind().offers().cancel
}

/// What of a resource runs, or may begin by itself.
fn live_or_coming(world: &World, resource: usize) -> Vec<String> {
    let live = world.live_of(resource).map(|op: &Op| op.id.to_string());
    live.chain(world.on_their_way(resource).map(|_| "a submission on its way".to_owned())).collect()
}

/// What holds for each submission, at the moment that it is sent.
pub fn submission(world: &World, operator: usize, resource: usize, view: &Object) -> Result<(), Broken> {
    let Some(run) = view.status.run.as_ref() else { return Err(broken(INTENT, "a submission without a run")) };
    let it = &world.resources[resource];
    // Of older versions nothing is known any more.
    let is_this = |version: &Object| version.version == view.version && version.status == view.status;
    let on_record = view.version < it.versions[0].version || it.versions.iter().any(is_this);
    let fresh = run
        .submitted_time
        .is_some_and(|at| world.wall(operator).duration_since(at.timestamp()).as_secs() <= world.scenario.call_timeout + 1);
    holds(run.state == RunState::Submitting && on_record && fresh, INTENT, || {
        format!("resource {resource}: run {} attempt {} is submitted with {:?} on record", run.number, run.attempt, run.state)
    })?;
    if it.word {
        return Ok(());
    }
    let live = if cancellable(world, resource) { live_or_coming(world, resource) } else { Vec::new() };
    holds(live.is_empty(), ONCE, || {
        format!("resource {resource} submits run {} attempt {} while {} runs", run.number, run.attempt, live.join(", "))
    })?;
    for op in &world.service.ops {
        let Owner::Run { resource: of, number, attempt } = op.owner else { continue };
        // What the service has dropped does not run.
        if of != resource || number != run.number || op.vanished {
            continue;
        }
        let phase = op.ended.map(|(_, phase)| phase);
        let again = attempt < run.attempt && matches!(phase, Some(Phase::Failed | Phase::TimedOut));
        let allowed = run.attempt <= view.edition.desired.policy.backoff_limit + 1 || it.versions.len() > 1;
        holds(again && allowed, ONCE, || {
            format!("resource {resource} submits run {number} attempt {} after {} (attempt {attempt}, {phase:?})", run.attempt, op.id)
        })?;
    }
    Ok(())
}

/// What holds for each cancellation, at the moment that it is sent.
pub fn cancellation(world: &World, resource: usize, view: &Object, step: &Step, id: &OperationId) -> Result<(), Broken> {
    let Some(op) = world.service.ops.iter().find(|op| op.id == *id) else { return Ok(()) };
    let followed = view.status.run.as_ref().and_then(|run| run.operation_id.as_deref()) == Some(id.as_str());
    let _ = step;
    match op.owner {
        Owner::Run { resource: of, .. } if of == resource => holds(followed || world.resources[resource].word, STRANGERS, || {
            format!("resource {resource} cancels its own {id} as another's")
        }),
        Owner::Run { resource: of, .. } => holds(followed || world.resources[resource].word, STRANGERS, || {
            format!("resource {resource} cancels {id}, which is resource {of}'s")
        }),
        Owner::Stranger => {
            let replaces = view.edition.desired.policy.conflict == ConflictPolicy::Replace;
            // One that it follows it has adopted: a person named it, or it is exactly like its own.
            holds(replaces || followed, STRANGERS, || format!("resource {resource} cancels another client's {id}"))
        }
    }
}

/// What holds when the finalizer is dropped.
pub fn release(world: &World, resource: usize, view: &Object, step: &Step) -> Result<(), Broken> {
    let desired = &view.edition.desired;
    let said = step.notices.iter().any(|notice| notice.reason == Reason::Released);
    let ending = desired.deletion.as_ref().is_some_and(|deletion| deletion.namespace_ending);
    let asked = desired.requests.release || desired.policy.deletion == DeletionPolicy::Orphan || ending || !cancellable(world, resource);
    holds(!said || asked, RELEASE, || format!("resource {resource} is let go without being asked to"))?;
    // That a synchronisation, which nobody can cancel, may go on was said when its deadline ended the run.
    let given_up = !cancellable(world, resource) && view.status.run.as_ref().is_some_and(|run| run.state == RunState::TimedOut);
    if said || given_up || world.resources[resource].word {
        return Ok(());
    }
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), RELEASE, || format!("resource {resource} is let go, and {} runs; nothing is said of it", live.join(", ")))
}
