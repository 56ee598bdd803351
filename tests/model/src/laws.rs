//! The promise, as laws that hold in every state. The world knows the truth, the decision only what it was told.

use std::sync::Arc;

use jiff::Timestamp;
use tabular_operator::api::{
    CancelCause, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, HistoryEntry, Reason, Run, RunState, Status, Time, TriggerType,
};
use tabular_operator::engine::reconcile::{Call, NextEffect, PendingDecision};
use tabular_operator::engine::{Effect, Event, Observation, QueueState, queue_state, resubmit_value};
use tabular_operator::operation::{CancelResult, Operation, OperationId, Origin, Phase, PollResult, Submission};

use crate::accepted;
use crate::world::cluster::Object;
use crate::world::{Broken, Guise, Op, Owner, Second, World, index_of, moment};

pub(crate) fn broken(law: &'static str, found: impl Into<String>) -> Broken {
    Broken { law, found: found.into() }
}

pub(crate) fn holds(condition: bool, law: &'static str, found: impl FnOnce() -> String) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(broken(law, found())) }
}

/// At most one operation of a run is alive, whatever else is true.
pub const ONE_ALIVE: &str = "at most one live operation per run";
/// No second submission, unless the first is known not to have started or something allows it.
pub const ONCE: &str = "no second submission";
/// A decision of a user answers one question.
pub const DECIDED: &str = "no user decision counts twice";
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
/// What cannot proceed is waited for by nobody.
pub const FAIR: &str = "nobody waits forever behind a resource that cannot proceed";
/// A run does not outlive its model.
pub const MODEL_GONE: &str = "a run ends when its model is deleted";
/// A turn that no record backs would keep others waiting for ever.
pub const TURN: &str = "a turn is held by the record";
/// And then nothing more is written.
pub const QUIET: &str = "nothing is written after the end";

/// A trigger starts one run.
pub const ONE_RUN: &str = "a trigger starts one run";
/// And each time of a schedule is handled.
pub const SCHEDULE: &str = "no time of a schedule is forgotten";
/// What `concurrencyPolicy: Forbid` leaves out.
pub const FORBIDDEN: &str = "under Forbid, what comes during a run starts nothing";

/// An operator that is to go begins nothing, and leaves nothing.
pub const UNINSTALL: &str = "after an uninstall nothing is left running, unless it is said";

/// How long an ending namespace holds what nobody can see to any more, as `engine::rules::deletion` has it.
const NAMESPACE_HELD: Second = 120;

/// What holds in every state.
pub fn always(world: &World) -> Result<(), Broken> {
    for (index, resource) in world.resources.iter().enumerate() {
        let live: Vec<&Op> = answerable(world, index).collect();
        let twice = live.iter().enumerate().find(|(at, op)| live[..*at].iter().any(|other| number_of(other) == number_of(op)));
        holds(twice.is_none(), ONE_ALIVE, || {
            format!("resource {index} has {}", live.iter().map(|op| op.id.to_string()).collect::<Vec<_>>().join(" and "))
        })?;
        let is_followed = || world.operators.iter().any(|operator| operator.follows(index));
        if resource.gone && !resource.said && !is_followed() {
            let live = live_or_coming(world, index);
            holds(live.is_empty(), RELEASE, || format!("resource {index} is gone, and {} runs; nothing is said of it", live.join(", ")))?;
        }
    }
    Ok(())
}

/// The run that an operation is of.
fn number_of(op: &Op) -> Option<i32> {
    match op.owner {
        Owner::Run { number, .. } => Some(number),
        Owner::Stranger => None,
    }
}

/// The operations of a resource that run and that the decision answers for.
fn answerable(world: &World, resource: usize) -> impl Iterator<Item = &Op> {
    let answered = world.resources[resource].answered;
    world.live_of(resource).filter(move |op| number_of(op).is_some_and(|number| number > answered))
}

/// Whether a decision is to submit.
#[must_use]
pub fn submits(decision: &PendingDecision) -> bool {
    matches!(decision.effect, NextEffect::Call(Call::Submit(_)))
}

/// What holds for each decision, whether it is written or not.
pub fn decision(world: &World, resource: usize, view: &Object, decision: &PendingDecision) -> Result<(), Broken> {
    let after = decision.status.as_ref().unwrap_or(&view.status);
    if !world.resources[resource].is_edited(&view.status) {
        finished(resource, &view.status, after)?;
    }
    if submits(decision) {
        let intended = after.run.as_ref().is_some_and(|run| run.state == RunState::Submitting) && decision.status.is_some();
        holds(intended || after == &view.status, INTENT, || format!("resource {resource}: a submission is decided that records nothing"))?;
        let desired = &view.edition.desired;
        let seen_to = desired.finalizer && desired.deletion.is_none();
        holds(seen_to, INTENT, || format!("resource {resource}: a submission that nobody will see to the end of"))?;
    }
    let desired = &view.edition.desired;
    let forbids = desired.policy.concurrency == ConcurrencyPolicy::Forbid && desired.deletion.is_none();
    let under_way = after.run.as_ref().filter(|run| matches!(run.state, RunState::Running | RunState::Cancelling));
    // What a run is being cancelled for begins, whatever the policy has become.
    if let Some(run) = under_way.filter(|run| forbids && run.cancel_cause != Some(CancelCause::Replacement)) {
        // What was queued before, under another policy, is dropped as soon as triggers are looked at.
        let queued = after.queued.as_ref().filter(|queued| view.status.queued.as_ref() != Some(*queued));
        holds(queued.is_none(), FORBIDDEN, || format!("resource {resource}: {queued:?} is to follow run {}", run.number))?;
    }
    Ok(())
}

/// A turn that is held while no reconciliation is in progress is backed by the record, or by an intent whose write had no response.
pub fn turn(world: &World, operator: usize, resource: usize) -> Result<(), Broken> {
    let mind = &world.operators[operator].minds[resource];
    let it = &world.resources[resource];
    // On an old view it may be held until the reconciliation that follows at once.
    let is_over = mind.task.is_none() && !mind.dirty && !mind.transient.reread;
    if world.resources.len() == 1 || !is_over || !world.operators[operator].holds_turn(resource) {
        return Ok(());
    }
    let backs = |object: &Object| queue_state(&object.status, world.wall(operator), &world.settings) == QueueState::Holding;
    holds(it.versions.iter().any(backs), TURN, || format!("resource {resource} holds the turn of its model, and no record of it says so"))
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
pub fn write(world: &World, operator: usize, resource: usize, decision: &PendingDecision, after: &Status) -> Result<(), Broken> {
    let before = &world.resources[resource].now().status;
    if !world.resources[resource].is_edited(before) {
        finished(resource, before, after)?;
    }
    accepted::write(world, operator, resource, &decision.events, after)?;
    if let Some(question) = decided(world, resource, after) {
        let it = &world.resources[resource];
        let said = it.now().edition.desired.requests.resubmit.as_deref() == Some(&*question);
        holds(said && !it.decided.contains(&question), DECIDED, || {
            format!(
                "resource {resource}: {question} is answered by {:?} after {:?}",
                it.now().edition.desired.requests.resubmit,
                it.decided
            )
        })?;
    }
    let Some(run) = &after.run else { return Ok(()) };
    let old = before.run.as_ref().filter(|old| old.number == run.number);
    let known = old.and_then(|old| old.operation_id.as_ref());
    if let Some(id) = run.operation_id.as_ref().filter(|id| Some(*id) != known) {
        follows(world, operator, resource, run, id, decision.accepted.is_some())?;
    }
    if before.run.as_ref().is_none_or(|old| old.number < run.number) {
        begins(world, operator, resource, run)?;
    }
    if run.state.ended() && old.is_none_or(|old| !old.state.ended()) {
        ended(world, operator, resource, (run, decided(world, resource, after).is_some()))?;
        late_answers(world, operator, resource, after)?;
    }
    Ok(())
}

/// The question that a step takes for answered: the submission is made again, because a person says so.
#[must_use]
pub fn decided(world: &World, resource: usize, after: &Status) -> Option<String> {
    let before = world.resources[resource].now().status.run.as_ref()?;
    let after = after.run.as_ref().filter(|after| after.number == before.number && after.attempt == before.attempt)?;
    let held = before.state == RunState::Submitting && before.reason == Reason::SubmissionUnknown.as_str();
    let again = matches!(after.state, RunState::Waiting | RunState::Cancelled);
    (held && again).then(|| resubmit_value(before))
}

/// What holds for a run at its first record: nothing that began an earlier one begins it.
fn begins(world: &World, operator: usize, resource: usize, run: &Run) -> Result<(), Broken> {
    let (it, trigger) = (&world.resources[resource], &run.trigger);
    // Other work has no value of its own, and may be asked for again.
    let told = trigger.r#type != TriggerType::Change || !trigger.value.is_empty();
    holds(!(told && it.begun.contains(trigger)), ONE_RUN, || format!("resource {resource}: {trigger:?} has begun a run before"))?;
    if trigger.r#type != TriggerType::Schedule {
        return Ok(());
    }
    let time = trigger.value.parse().unwrap_or(Timestamp::MAX);
    let times = it.begun.iter().filter(|earlier| earlier.r#type == TriggerType::Schedule);
    let in_order = times.filter_map(|earlier| earlier.value.parse::<Timestamp>().ok()).all(|earlier| earlier < time);
    // What was accepted was due then, and runs though the clock was set back since.
    let is_due = time <= world.wall(operator) || it.now().status.queued.as_ref() == Some(trigger);
    holds(in_order && is_due, ONE_RUN, || format!("resource {resource}: {trigger:?} is not due, or was left behind"))
}

/// What holds of schedules once everything is calm.
pub fn none_forgotten(world: &World) -> Result<(), Broken> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.gone && resource.deleted.is_none()) {
        let Some(next) = resource.now().status.next_schedule_time else { continue };
        let clock = world.operators.iter().map(|operator| operator.clock).min().unwrap_or_default();
        holds(next.timestamp() > moment(world.now + clock - 1), SCHEDULE, || format!("resource {index}: {next} has come and gone"))?;
    }
    Ok(())
}

/// Whatever answer still comes to a question that was asked before the end, the run stays as it ended, and nothing is cancelled or
/// submitted for it.
fn late_answers(world: &World, operator: usize, resource: usize, after: &Status) -> Result<(), Broken> {
    let now = world.resources[resource].now();
    let view = Object { status: Arc::new(after.clone()), ..now.clone() };
    let looks = world.service.ops.iter().flat_map(|op| {
        let running = Operation { phase: Phase::InProgress, end: None, ..world.service.describe(op, Guise::Plain) };
        let failed = Operation { phase: Phase::Failed, ..running.clone() };
        [running, failed].map(|operation| PollResult::Found { operation: Box::new(operation), retry_after: None, location: None })
    });
    let id = world.service.ops.first().map(|op| op.id.clone());
    let accepted = id.map(|id| Submission::Accepted { id, location: None, activity_id: None, retry_after: None });
    let late = looks
        .chain([PollResult::NotFound])
        .map(Observation::Polled)
        .chain([Observation::CancelRequested(CancelResult::Accepted), Observation::CancelRequested(CancelResult::NotRunning)])
        .chain(accepted.map(Observation::Submission))
        .chain([Observation::Submission(Submission::Unknown { message: "no answer".to_owned() })]);
    for seen in late {
        let said = format!("{seen:?}");
        let after = world.decide(operator, resource, &view, seen);
        let same = finished(resource, &view.status, &after.status).is_ok();
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
    let mut others = world.resources.iter().enumerate().filter(|(index, other)| *index != resource && !other.gone);
    let mut against = Vec::new();
    if others.any(|(_, other)| has(&other.now().status, id)) {
        against.push("another resource follows it".to_owned());
    }
    // A person is believed, but not that one operation is of two resources.
    if ours || named {
        return holds(against.is_empty(), EVIDENCE, || format!("resource {resource} takes {id}, as a person says: {}", against.join(", ")));
    }
    if accepted {
        against.push("the service gave it to somebody else".to_owned());
    }
    let intent = run.submitted_time.map_or(world.wall(operator), Time::timestamp);
    // By the operator's clock, where the service tells its own. Otherwise what it shows is all that anybody has to go by.
    let ahead = if world.service.tells_time { world.operators[operator].clock } else { world.service.ahead };
    let earlier = intent.duration_since(moment(op.began + ahead)).as_secs();
    if earlier > 0 {
        against.push(format!("it began {earlier} s before the intent"));
    }
    if world.resources[resource].now().edition.desired.work.request != *op.request {
        against.push("it does something else".to_owned());
    }
    if op.shown_as(Guise::Plain).origin() != Origin::Client {
        against.push("the service does not show that a client submitted it".to_owned());
    }
    // Of a resource that is gone this operator may still know it.
    if world.taken((operator, resource), (op.request.kind(), &run.model.key()), [&op.id]).released.contains(&id.to_lowercase()) {
        against.push("it was let go".to_owned());
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

/// Whether a resource follows an operation, or has followed it.
#[must_use]
pub fn has(status: &Status, id: &str) -> bool {
    let of_run = |run: &Run| run.operation_id.as_deref() == Some(id) || run.previous_operation_ids.iter().any(|earlier| earlier == id);
    status.run.as_ref().is_some_and(of_run) || status.history.iter().any(|entry| entry.operation_id.as_deref() == Some(id))
}

/// The runs, each by its resource and number, whose operations the decision answers for no more once a step is written:
/// - a person has said that its submission started nothing, and a person is believed;
/// - a person has named another's operation for it, and a person is believed;
/// - it takes one that a resource began which is gone, with its record, and which cannot be told from its own: a known gap;
/// - it is a sync, which nobody can cancel, that was followed to its deadline, and this is said.
#[must_use]
pub fn answered(world: &World, resource: usize, after: &Status) -> Vec<(usize, i32)> {
    let Some(run) = after.run.as_ref() else { return Vec::new() };
    let ours = (resource, run.number);
    if decided(world, resource, after).is_some() {
        return vec![ours];
    }
    if run.state.ended() && given_up(world, resource, run) {
        return vec![ours];
    }
    let op = run.operation_id.as_deref().and_then(|id| world.service.ops.iter().find(|op| op.id.as_str() == id));
    let Some(op) = op else { return Vec::new() };
    let named = world.resources[resource].now().edition.desired.requests.adopt.as_deref() == Some(op.id.as_str());
    match op.owner {
        Owner::Run { resource: of, number, .. } if of == resource && (number == run.number || !named) => Vec::new(),
        Owner::Run { resource: of, number, .. } if named || (world.scenario.orphans && world.resources[of].gone) => {
            vec![ours, (of, number)]
        }
        Owner::Stranger if named => vec![ours],
        Owner::Run { .. } | Owner::Stranger => Vec::new(),
    }
}

/// Whether a run ended at its deadline though its operation goes on, and says so.
fn given_up(world: &World, resource: usize, run: &Run) -> bool {
    let says_so = run.message.contains("may still be running at the service");
    !cancellable(world, resource) && run.reason == Reason::DeadlineExceeded.as_str() && says_so
}

/// What is written of an end is the end at the service.
fn ended(world: &World, operator: usize, resource: usize, (run, is_decided): (&Run, bool)) -> Result<(), Broken> {
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
        // What nobody can cancel is let go, when it is time.
        Some(Reason::DeadlineExceeded) if !cancellable(world, resource) => {
            let deadline = world.resources[resource].now().edition.desired.policy.active_deadline.as_secs().cast_signed();
            let followed = run.submitted_time.map_or(0, |at| world.wall(operator).duration_since(at.timestamp()).as_secs());
            given_up(world, resource, run) && followed >= deadline
        }
        Some(Reason::DeadlineExceeded | Reason::Replaced | Reason::Cancelled | Reason::Uninstalled) => {
            vanished || phase == Some(Phase::Cancelled)
        }
        // Nothing of it was submitted, or it has ended, and not well.
        Some(Reason::CancelledOnRequest) => vanished || matches!(phase, Some(Phase::Cancelled | Phase::Failed | Phase::TimedOut)),
        // Nothing of it was submitted, or an earlier attempt of it has ended.
        Some(Reason::WaitDeadlineExceeded | Reason::Conflict | Reason::RequestRejected) => over,
        _ => false,
    };
    holds(true_end, TRUTH, || {
        format!("resource {resource}: run {} ends {:?} ({}), and at the service {phase:?}", run.number, run.state, run.reason)
    })?;
    // A person who says that nothing was started is believed.
    if is_decided || given_up(world, resource, run) {
        return Ok(());
    }
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), TRUTH, || {
        format!("resource {resource}: run {} has ended ({}), and {} runs", run.number, run.reason, live.join(", "))
    })
}

/// Whether the service can be told to cancel what a resource asks for.
fn cancellable(world: &World, resource: usize) -> bool {
    world.resources[resource].now().edition.desired.work.request.kind().capabilities().cancel
}

/// What of a resource runs, or may begin by itself, and the decision answers for.
fn live_or_coming(world: &World, resource: usize) -> Vec<String> {
    let answered = world.resources[resource].answered;
    let coming = world.on_their_way(resource).filter(|post| matches!(post.owner, Owner::Run { number, .. } if number > answered));
    answerable(world, resource).map(|op| op.id.to_string()).chain(coming.map(|_| "a submission on its way".to_owned())).collect()
}

/// What holds for each submission, at the moment that it is sent.
pub fn submission(world: &World, operator: usize, resource: usize, (view, model): (&Object, u8)) -> Result<(), Broken> {
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
    holds(run.model.names().is_none() && index_of(&run.model) == model, INTENT, || {
        format!("resource {resource}: run {} is submitted to another model than is on record", run.number)
    })?;
    let heard = world.operators[operator].heard;
    holds(heard.is_none(), UNINSTALL, || format!("resource {resource} submits run {} on the eve of an uninstall", run.number))?;
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), ONCE, || {
        format!("resource {resource} submits run {} attempt {} while {} runs", run.number, run.attempt, live.join(", "))
    })?;
    if run.number <= it.answered {
        return Ok(());
    }
    for op in &world.service.ops {
        let Owner::Run { resource: of, number, attempt } = op.owner else { continue };
        // What the service has lost nobody can know of: it does not show it, as if it had never begun.
        if of != resource || number != run.number || op.vanished {
            continue;
        }
        let phase = op.ended.map(|(_, phase)| phase);
        let again = attempt < run.attempt && matches!(phase, Some(Phase::Failed | Phase::TimedOut));
        let allowed = run.attempt <= view.edition.desired.policy.backoff_limit + 1;
        holds(again && allowed, ONCE, || {
            format!("resource {resource} submits run {number} attempt {} after {} (attempt {attempt}, {phase:?})", run.attempt, op.id)
        })?;
    }
    Ok(())
}

/// What holds when an uninstall takes a finalizer off.
pub fn stripped(world: &World, resource: usize) -> Result<(), Broken> {
    let live = live_or_coming(world, resource);
    holds(world.resources[resource].goes_on || live.is_empty(), UNINSTALL, || {
        format!("resource {resource} is left without a finalizer, and {} runs", live.join(", "))
    })
}

/// What holds when the operator goes.
pub fn uninstalled(world: &World) -> Result<(), Broken> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
        let live = live_or_coming(world, index);
        holds(resource.goes_on || live.is_empty(), UNINSTALL, || format!("of resource {index} {} runs", live.join(", ")))?;
    }
    Ok(())
}

/// What holds for each cancellation, at the moment that it is sent.
pub fn cancellation(world: &World, resource: usize, view: &Object, id: &OperationId) -> Result<(), Broken> {
    let Some(op) = world.service.ops.iter().find(|op| op.id == *id) else { return Ok(()) };
    // What it follows is its own, or was taken for it under the law of the evidence.
    if view.status.run.as_ref().and_then(|run| run.operation_id.as_deref()) == Some(id.as_str()) {
        return Ok(());
    }
    let replaces = view.edition.desired.policy.conflict == ConflictPolicy::Replace;
    match op.owner {
        // Whose resource is gone is nobody's any more, and so is what a person has said not to be there.
        Owner::Run { resource: of, number, .. } => {
            let it = &world.resources[of];
            holds(replaces && (it.gone || number <= it.answered), STRANGERS, || {
                format!("resource {resource} cancels {id}, which is resource {of}'s, as another client's")
            })
        }
        Owner::Stranger => holds(replaces && op.guise.origin() == Origin::Client, STRANGERS, || {
            format!("resource {resource} cancels another client's {id}, shown as {:?}", op.guise)
        }),
    }
}

/// What holds when the finalizer is dropped.
pub fn release(world: &World, operator: usize, resource: usize, view: &Object, events: &[Event]) -> Result<(), Broken> {
    let desired = &view.edition.desired;
    let said = events.iter().any(|notice| notice.reason == Reason::Released);
    // The clock may have been set back since the decision.
    let back = world.scenario.jumps.iter().map(|by| -by).max().unwrap_or(0).max(0);
    let held = |requested: Timestamp| world.wall(operator).duration_since(requested).as_secs() >= NAMESPACE_HELD - back;
    // The namespace may end after the resource was deleted, and then no version of it says so.
    let ending =
        world.resources[resource].namespace_terminating && desired.deletion.as_ref().is_some_and(|deletion| held(deletion.requested));
    let asked = desired.requests.release || desired.policy.deletion == DeletionPolicy::Orphan || ending || !cancellable(world, resource);
    holds(!said || asked, RELEASE, || format!("resource {resource} is let go without being asked to"))?;
    if said {
        return Ok(());
    }
    let live = live_or_coming(world, resource);
    holds(live.is_empty(), RELEASE, || format!("resource {resource} is let go, and {} runs; nothing is said of it", live.join(", ")))
}
