//! A run that is not submitted: it waits for its turn, for another client, for a fix, or for its next attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::refusals::Asked;
use super::{completion, evidence, model_names, refusals, triggers};
use crate::api::{ConflictPolicy, Reason, Run, RunState, Time};
use crate::engine::draft::{self, Pass};
use crate::engine::next::Next;
use crate::engine::{Cure, Effect, Fault, Scratch, Seen, Turn, TurnUse, conditions, text, timing, turn_use};
use crate::operation::{Operation, OperationKind, Origin, Resolution, Submission, Trouble, TroubleKind, UnnamedOperation};

/// The message of a run whose submission is in progress.
pub(super) const BEING_SUBMITTED: &str = "being submitted to the service";

/// Decides for a run that is not submitted, or whose submission started no operation.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>) -> Next {
    let was_submitted = pass.record.run.as_ref().is_some_and(|run| run.state == RunState::Submitting);
    if was_submitted && let Some(next) = not_started(pass) { next } else { wait(pass) }
}

fn wait(pass: &mut Pass<'_>) -> Next {
    let desired = pass.desired;
    model_names::renew(pass);
    let (moved, kind) = (has_moved(pass), pass.kind());
    let Some(run) = pass.record.run.as_mut() else {
        return Next::keep(Effect::Nothing, None);
    };
    if desired.leaving.is_some() {
        return Next::record(Effect::Nothing, None);
    }
    if let Some(fault) = &desired.fault {
        return hindered(pass, fault);
    }
    if desired.policy.suspend {
        let message = "suspended: the run resumes when spec.suspend is set to false";
        run.tell(RunState::Waiting, Reason::Suspended, message);
        (run.waiting_since_time, run.waiting_for) = (None, None);
        return Next::record(Effect::Nothing, None);
    }
    if run.why() == Some(Reason::Suspended) {
        run.tell(RunState::Waiting, Reason::Submitting, "about to be submitted");
    }
    let deadline = run.waiting_since_time.and_then(|since| timing::after(since, desired.policy.wait_deadline));
    if deadline.is_some_and(|deadline| pass.now >= deadline) {
        let waited_for = run.waiting_for.clone().unwrap_or_else(|| "its turn".to_owned());
        let seconds = desired.policy.wait_deadline.as_secs();
        let refusal =
            Some(&run.message).filter(|_| run.why().is_some_and(refusals::refuses)).map(|said| format!("; the last refusal: {said}"));
        let message =
            format!("nothing was submitted: waited {seconds} s (waitDeadlineSeconds) for {waited_for}{}", refusal.unwrap_or_default());
        // Triggers that came while it waited were part of it, so they are handled too.
        triggers::settle(desired, &mut pass.record);
        return completion::end(pass, RunState::TimedOut, Reason::WaitDeadlineExceeded, message);
    }
    let until_deadline = deadline.map(|deadline| timing::between(pass.now, deadline));

    match &pass.situation.seen {
        Seen::Nothing => {
            let until_attempt = run.next_attempt_time.and_then(|time| timing::until(time.timestamp(), pass.now));
            if let Some(pause) = until_attempt.or_else(|| pass.not_before()) {
                return Next::record(Effect::Nothing, Some(until_deadline.map_or(pause, |deadline| deadline.min(pause))));
            }
            if model_names::lookup_is_due(pass) {
                return Next::keep(Effect::Resolve, None);
            }
            take_turn(pass)
        }
        Seen::Resolved(Resolution::Found(ids)) => {
            model_names::found(pass, ids);
            take_turn(pass)
        }
        Seen::Resolved(Resolution::Unclear(message)) => unresolved(pass, message),
        // The resolved ids were lost in between.
        Seen::Turn(_) | Seen::Listing { .. } if model_names::unknown(run) => Next::keep(Effect::Nothing, Some(Duration::ZERO)),
        // The result is of the model that the spec named before.
        Seen::Turn(_) | Seen::Listing { .. } | Seen::Trouble(_) | Seen::Fault(_) if moved => {
            run.tell(RunState::Waiting, Reason::Submitting, "about to be submitted");
            pass.scratch = Scratch::default();
            Next::record(Effect::Nothing, Some(Duration::ZERO))
        }
        Seen::Turn(Turn::Behind(ahead)) => {
            run.waiting_since_time.get_or_insert_with(|| Time::from(pass.now));
            run.waiting_for = Some(text::bounded(ahead, text::NAME));
            run.tell(RunState::Waiting, Reason::WaitingForTurn, format!("waits for its turn on the model, behind {ahead}"));
            // A resource that leaves the queue wakes the next one; the requeue is a safety net.
            let pause = until_deadline.map_or(timing::SERVICE, |deadline| deadline.min(timing::SERVICE));
            pass.scratch.next_look = None;
            Next::record(Effect::Nothing, Some(pause))
        }
        Seen::Turn(Turn::Granted) => {
            if asks_first(run, kind) {
                if !desired.finalizer {
                    return Next::keep(Effect::AddFinalizer, None);
                }
                // Only running operations matter, and the list has them whenever they started.
                let now = pass.now;
                return Next::keep(Effect::List(OperationKind::Refresh, now), None);
            }
            submit(pass)
        }
        // This list was read for a lost submission. It does not show which refreshes are running.
        Seen::Listing { kind: OperationKind::Sync, .. } => Next::record(Effect::Nothing, Some(Duration::ZERO)),
        Seen::Listing { kind: OperationKind::Refresh, result: Ok(listing), taken } => {
            let blocking = listing.operations.iter().find(|operation| !operation.phase.ended());
            match blocking {
                None if let Some(unnamed) = listing.unnamed => blocked_by_unnamed(pass, unnamed),
                None if listing.may_hide_running && !kind.offers().refused_during_refresh => untold(pass),
                None => submit(pass),
                Some(operation) => {
                    let rival = evidence::rival(operation, taken, listing.ahead, pass.situation.settings);
                    let ours = rival.is_some() || taken.is_watched(&operation.id) || taken.is_candidate(&operation.id);
                    blocked_by(pass, operation, ours)
                }
            }
        }
        Seen::Listing { kind: OperationKind::Refresh, result: Err(trouble), .. }
        | Seen::Resolved(Resolution::Trouble(trouble))
        | Seen::Trouble(trouble) => refusals::refused(pass, trouble, Asked::Question),
        Seen::Fault(fault) => hindered(pass, fault),
        // Whether the cancellation of the other client's refresh succeeded or not, only the list shows when it has ended.
        Seen::Cancellation(_) => {
            let pause = pass.situation.settings.poll_min;
            pass.stop_for(pause)
        }
        Seen::Submission(_) | Seen::Look(_) | Seen::Presence(_) => Next::keep(Effect::Nothing, Some(timing::CLUSTER)),
    }
}

/// Requests the run's turn. A run that has moved to another model is recorded first: its position in the queue follows from the record,
/// and the reason that it was stalled for applied to the other model.
fn take_turn(pass: &mut Pass<'_>) -> Next {
    if !has_moved(pass) {
        return Next::keep(Effect::TakeTurn, None);
    }
    if let Some(run) = pass.record.run.as_mut().filter(|run| run.why().is_some_and(conditions::stalls)) {
        run.tell(RunState::Waiting, Reason::Submitting, "about to be submitted");
    }
    Next::record(Effect::TakeTurn, None)
}

/// Whether the recorded run is for another model than the spec names now.
fn has_moved(pass: &Pass<'_>) -> bool {
    let recorded = pass.situation.recorded.run.as_ref().filter(|run| !run.state.ended());
    recorded.zip(pass.record.run.as_ref()).is_some_and(|(recorded, run)| recorded.model.key() != run.model.key())
}

/// Handles names that match no model, or several. The service does not report a fix, so they are resolved again.
fn unresolved(pass: &mut Pass<'_>, why: &str) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Waiting, Reason::ModelNotResolved, why);
        (run.waiting_since_time, run.waiting_for) = (None, None);
    }
    pass.scratch.resolved = None;
    pass.stop_for(timing::SERVICE)
}

/// Handles a fault: no run starts until a user acts, and then the wait for a turn starts again.
fn hindered(pass: &mut Pass<'_>, fault: &Fault) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Waiting, fault.reason, &fault.message);
        (run.waiting_since_time, run.waiting_for) = (None, None);
    }
    match fault.cure {
        Cure::Spec => Next::record(Effect::Nothing, None),
        Cure::Cluster => {
            let pause = timing::cluster(pass.hindered_for());
            pass.stop_for(pause)
        }
    }
}

/// Whether the list of refreshes is read before a submission: if the service may not refuse a second operation itself, and after it
/// refused this attempt, so that the next try costs no write. An attempt of which nothing was sent needs no list.
fn asks_first(run: &Run, kind: OperationKind) -> bool {
    if !kind.offers().refused_during_refresh {
        return true;
    }
    let sent = run.submitted_time.is_some() && run.next_attempt_time.is_none();
    match run.why() {
        Some(Reason::ModelBusy) => true,
        Some(reason) => sent && refusals::refuses(reason),
        None => false,
    }
}

/// Records the intent and submits. No other function does.
pub(super) fn submit(pass: &mut Pass<'_>) -> Next {
    let Some(run) = pass.record.run.as_mut() else {
        return Next::keep(Effect::Nothing, None);
    };
    if !pass.desired.finalizer {
        // The finalizer is added before the first operation can exist. Not before the turn is granted: a write before the request
        // for the turn would let another resource overtake this one.
        return Next::keep(Effect::AddFinalizer, None);
    }
    run.earlier_operation_ids = run.clone().into_operations();
    (run.operation_id, run.location, run.service_state) = (None, None, None);
    run.submitted_time = Some(Time::from(pass.now));
    // The time of its wait is kept until the service accepts it, because a refused submission does not end the wait.
    (run.waiting_for, run.next_attempt_time) = (None, None);
    (run.started_time, run.ended_time, run.duration, run.progress) = (None, None, None, None);
    run.candidates.clear();
    run.failed_objects.clear();
    run.messages.clear();
    run.tell(RunState::Submitting, Reason::Submitting, BEING_SUBMITTED);
    triggers::submit(pass.desired, &mut pass.record);
    // Refusals are counted over all tries, so that the delays grow and each kind of refusal is reported once.
    let Scratch { troubles, refusals, told, .. } = pass.scratch;
    pass.scratch = Scratch { troubles, refusals, told, own_intent: Some(Time::from(pass.now)), ..Scratch::default() };
    Next::record(Effect::Submit, None)
}

/// Handles a run whose submission started no operation. `None` if the rules of any waiting run apply.
fn not_started(pass: &mut Pass<'_>) -> Option<Next> {
    match &pass.situation.seen {
        Seen::Submission(Submission::Refused(trouble)) => {
            model_names::renew(pass);
            Some(refusals::refused(pass, trouble, Asked::Submission))
        }
        Seen::Submission(Submission::Deferred { message }) => {
            model_names::renew(pass);
            if let Some(run) = pass.record.run.as_mut() {
                run.submitted_time = None;
            }
            let trouble = Trouble { kind: TroubleKind::Unreachable, message: message.clone(), retry_after: None, activity_id: None };
            Some(refusals::refused(pass, &trouble, Asked::Submission))
        }
        Seen::Submission(Submission::Busy { message }) => Some(busy(pass, message)),
        Seen::Listing { .. } => never_arrived(pass),
        // A user has decided so.
        Seen::Nothing => Some(resubmit(pass)),
        Seen::Submission(Submission::Accepted { .. } | Submission::Completed { .. } | Submission::Unanswered { .. })
        | Seen::Resolved(_)
        | Seen::Turn(_)
        | Seen::Look(_)
        | Seen::Cancellation(_)
        | Seen::Presence(_)
        | Seen::Trouble(_)
        | Seen::Fault(_) => Some(Next::keep(Effect::Nothing, None)),
    }
}

/// The service refuses a second operation on the model.
fn busy(pass: &mut Pass<'_>, message: &str) -> Next {
    if pass.desired.policy.conflict == ConflictPolicy::Fail {
        let message = format!("another client's operation on the model is running, and conflictPolicy is Fail: {message}");
        return completion::end(pass, RunState::Failed, Reason::Conflict, message);
    }
    model_names::renew(pass);
    let mut waited = Duration::ZERO;
    if let Some(run) = pass.record.run.as_mut() {
        let since = run.waiting_since_time.get_or_insert_with(|| Time::from(pass.now));
        waited = timing::between(since.timestamp(), pass.now);
        run.waiting_for = Some("another client's operation".to_owned());
        let message = format!("the service is busy: waits for another client's operation on the model ({message})");
        run.tell(RunState::Waiting, Reason::ModelBusy, message);
    }
    // The list shows which operation it is. If it shows none, each further refusal doubles the delay.
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = timing::busy(pass.situation.settings, waited).max(timing::retry(pass.scratch.troubles, pass.seed()));
    pass.stop_for(pause)
}

/// Handles a submission that certainly started no operation: the service would show it by now.
fn never_arrived(pass: &mut Pass<'_>) -> Option<Next> {
    let kept_its_turn = turn_use(pass.situation.recorded, pass.now, pass.situation.settings) == TurnUse::Holds;
    let since = Time::from(pass.intent());
    if let Some(run) = pass.record.run.as_mut() {
        // The time since the intent counts as waiting, so that a service that loses every submission is not tried forever.
        run.waiting_since_time.get_or_insert(since);
        run.tell(RunState::Waiting, Reason::Retrying, "the submission never reached the service");
    }
    pass.notice(Reason::Resubmitted, "the submission never reached the service");
    // Another resource may have had the turn meanwhile, and then this one requests it again. Otherwise the rules of a waiting run
    // apply: suspension, deadline, another client's refresh in this list.
    (!kept_its_turn).then(|| Next::record(Effect::Nothing, Some(Duration::ZERO)))
}

/// Handles a user's decision that the submission started no operation: the run waits for its turn again.
fn resubmit(pass: &mut Pass<'_>) -> Next {
    let message = "will be submitted again, as requested by the annotation resubmit";
    pass.notice(Reason::Resubmitted, message);
    model_names::renew(pass);
    if let Some(run) = pass.record.run.as_mut() {
        // The user ruled out all candidates, so no later submission started one of them either.
        let candidates = std::mem::take(&mut run.candidates);
        draft::remember(&mut run.ruled_out_operation_ids, candidates.into_iter().map(|candidate| candidate.operation_id));
        run.tell(RunState::Waiting, Reason::Retrying, message);
    }
    pass.scratch = Scratch::default();
    Next::record(Effect::Nothing, Some(Duration::ZERO))
}

/// Handles a list that shows no running refresh but may hide one, where the service would not refuse: it is read again, until the deadline.
fn untold(pass: &mut Pass<'_>) -> Next {
    let message = "the service's list of refreshes is too long to read completely, or has rows without an id, so it does not show whether one is running";
    let trouble = Trouble { kind: TroubleKind::InvalidAnswer, message: message.to_owned(), retry_after: None, activity_id: None };
    let next = refusals::refused(pass, &trouble, Asked::Question);
    if let Some(run) = pass.record.run.as_mut() {
        run.waiting_for = Some("a list of refreshes that shows whether one is running".to_owned());
    }
    next
}

/// Handles a refresh that blocks the run.
fn blocked_by(pass: &mut Pass<'_>, operation: &Operation, of_our_own: bool) -> Next {
    pass.scratch.troubles = 0;
    // The list may lag behind the end of this run's own last attempt.
    let mine = |run: &Run| operation.id.same(run.operation_id.as_deref().unwrap_or_default()) || run.knows(&operation.id);
    let of_our_own = of_our_own || pass.record.run.as_ref().is_some_and(mine);
    if pass.desired.policy.conflict == ConflictPolicy::Fail && !of_our_own {
        triggers::settle(pass.desired, &mut pass.record);
        let message = format!("refresh {} of another client is running, and conflictPolicy is Fail", operation.id);
        return completion::end(pass, RunState::Failed, Reason::Conflict, message);
    }
    // The services cancel only operations that a client of this API has submitted.
    let replace = pass.desired.policy.conflict == ConflictPolicy::Replace && !of_our_own && operation.origin == Origin::Client;
    let id = operation.id.clone();
    let whose = match (of_our_own, operation.origin) {
        (true, _) => "by this operator",
        (false, Origin::Client) => "by another client",
        (false, Origin::Unknown | Origin::External) => NOT_CANCELLABLE,
    };
    let holder = format!("refresh {id} {whose}{}", since(operation.start));
    let now = pass.now;
    let pause = wait_for(pass, if replace { "cancels and waits for" } else { "waits for" }, holder);
    if replace && pass.cancel_is_due() {
        pass.scratch.cancelled_at = Some(now);
        pass.notice(Reason::ConflictReplaced, format!("cancels refresh {id} of another client: conflictPolicy is Replace"));
        return Next::record(Effect::Cancel(id), None);
    }
    pass.stop_for(pause)
}

/// The origin of a refresh that a schedule, a person or the service itself started.
const NOT_CANCELLABLE: &str = "by a schedule, a person or the service, which cannot be cancelled,";

/// Handles a running refresh without an id. It is certainly not this operator's.
fn blocked_by_unnamed(pass: &mut Pass<'_>, unnamed: UnnamedOperation) -> Next {
    pass.scratch.troubles = 0;
    if pass.desired.policy.conflict == ConflictPolicy::Fail {
        triggers::settle(pass.desired, &mut pass.record);
        let message = "a refresh of another client is running, and conflictPolicy is Fail".to_owned();
        return completion::end(pass, RunState::Failed, Reason::Conflict, message);
    }
    let holder = format!("a refresh {NOT_CANCELLABLE}{}", since(unnamed.start));
    let pause = wait_for(pass, "waits for", holder);
    pass.stop_for(pause)
}

fn since(start: Option<Timestamp>) -> String {
    start.map(|start| format!(" since {}", Time::from(start))).unwrap_or_default()
}

/// Records what the run waits for; returns the delay until the next list.
fn wait_for(pass: &mut Pass<'_>, verb: &str, holder: String) -> Duration {
    let now = pass.now;
    let mut waited = Duration::ZERO;
    if let Some(run) = pass.record.run.as_mut() {
        let since = run.waiting_since_time.get_or_insert_with(|| Time::from(now));
        waited = timing::between(since.timestamp(), now);
        run.tell(RunState::Waiting, Reason::ModelBusy, format!("{verb} {holder}"));
        run.waiting_for = Some(holder);
    }
    timing::poll(pass.situation.settings, waited, pass.seed())
}
