//! A run that is not submitted: it waits for its turn, for another client, for a fix, or for its next attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::refusals::FailedStep;
use super::user_decisions::resubmit_value;
use super::{completion, evidence, finalizer, model_names, refusals, triggers};
use crate::api::{ConflictPolicy, Reason, Run, RunState, Time};
use crate::engine::draft::{self, Draft};
use crate::engine::next::Next;
use crate::engine::{
    Blocker, ClaimedOperations, DecisionMemory, Effect, EffectResult, QueueState, Remedy, Turn, conditions, queue_state, text, timing,
};
use crate::operation::{
    Listing, ModelLookup, Operation, OperationKind, Origin, ServiceError, ServiceErrorKind, SubmitResult, UnnamedOperation,
};

/// The message of a run whose submission is in progress.
pub(super) const BEING_SUBMITTED: &str = "being submitted to the service";

/// Decides for a run that is not submitted, or whose submission started no operation.
pub(in crate::engine) fn decide(draft: &mut Draft<'_>) -> Next {
    let was_submitted = draft.status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting);
    if was_submitted && let Some(next) = not_started(draft) { next } else { wait(draft) }
}

fn wait(draft: &mut Draft<'_>) -> Next {
    let desired = draft.desired;
    model_names::sync_with_spec(draft);
    let (moved, kind) = (has_moved(draft), draft.kind());
    let Some(run) = draft.status.run.as_mut() else {
        return Next::unchanged(Effect::None, None);
    };
    if desired.drain.is_some() {
        return Next::record(Effect::None, None);
    }
    if let Some(blocker) = &desired.blocker {
        return blocked(draft, blocker);
    }
    if desired.policy.suspend {
        let message = "suspended: the run resumes when spec.suspend is set to false";
        run.set_state(RunState::Waiting, Reason::Suspended, message);
        (run.waiting_since_time, run.waiting_for) = (None, None);
        return Next::record(Effect::None, None);
    }
    if run.reason() == Some(Reason::Suspended) {
        run.set_state(RunState::Waiting, Reason::Submitting, "about to be submitted");
    }
    let deadline = run.waiting_since_time.and_then(|since| timing::timestamp_after(since, desired.policy.wait_deadline));
    if deadline.is_some_and(|deadline| draft.now >= deadline) {
        let waited_for = run.waiting_for.clone().unwrap_or_else(|| "its turn".to_owned());
        let refused = run.reason().is_some_and(refusals::refuses);
        let refusal = refused.then(|| format!("; the last refusal: {}", run.message));
        let (seconds, refusal) = (desired.policy.wait_deadline.as_secs(), refusal.unwrap_or_default());
        let message = format!("nothing was submitted: waited {seconds} s (waitDeadlineSeconds) for {waited_for}{refusal}");
        triggers::drop_joined(draft);
        return completion::end(draft, RunState::TimedOut, Reason::WaitDeadlineExceeded, message);
    }
    let until_deadline = deadline.map(|deadline| timing::remaining(deadline, draft.now));

    match &draft.input.effect_result {
        EffectResult::None => {
            let until_attempt = run.next_attempt_time.and_then(|time| timing::time_until(time.timestamp(), draft.now));
            if let Some(delay) = until_attempt.or_else(|| draft.poll_due_in()) {
                return Next::record(Effect::None, Some(until_deadline.map_or(delay, |deadline| deadline.min(delay))));
            }
            if model_names::is_resolution_due(draft) {
                return Next::unchanged(Effect::ResolveModel, None);
            }
            acquire_turn(draft)
        }
        EffectResult::ModelResolved(ModelLookup::Found(ids)) => {
            model_names::found(draft, ids);
            acquire_turn(draft)
        }
        EffectResult::ModelResolved(ModelLookup::Ambiguous(message)) => unresolved(draft, message),
        // The result is of the model that the spec named before. It is recorded even if the ids of the new one are unknown: otherwise a
        // submission that proved absent would be searched again.
        EffectResult::Turn(_) | EffectResult::Listed { .. } | EffectResult::CallFailed(_) | EffectResult::Blocked(_) if moved => {
            run.set_state(RunState::Waiting, Reason::Submitting, "about to be submitted");
            draft.memory = DecisionMemory::default();
            Next::record(Effect::None, Some(Duration::ZERO))
        }
        // The resolved ids were lost in between.
        EffectResult::Turn(_) | EffectResult::Listed { .. } if model_names::unknown(run) => {
            Next::unchanged(Effect::None, Some(Duration::ZERO))
        }
        EffectResult::Turn(Turn::Behind(ahead)) => {
            run.waiting_since_time.get_or_insert_with(|| Time::from(draft.now));
            run.waiting_for = Some(text::bounded(ahead, text::NAME));
            run.set_state(RunState::Waiting, Reason::WaitingForTurn, format!("waits for its turn on the model, behind {ahead}"));
            // A resource that leaves the queue wakes the next one; the requeue is a safety net.
            let delay = until_deadline.map_or(timing::SERVICE_RECHECK, |deadline| deadline.min(timing::SERVICE_RECHECK));
            draft.memory.poll_not_before = None;
            Next::record(Effect::None, Some(delay))
        }
        EffectResult::Turn(Turn::Granted) => {
            if lists_before_submit(run, kind) {
                if let Some(next) = finalizer::add_before_submission(desired) {
                    return next;
                }
                // Only running operations matter, and the list has them whenever they started.
                let now = draft.now;
                return Next::unchanged(Effect::List(OperationKind::Refresh, now), None);
            }
            submit(draft)
        }
        // This list was read for a lost submission. It does not show which refreshes are running.
        EffectResult::Listed { kind: OperationKind::Sync, .. } => Next::record(Effect::None, Some(Duration::ZERO)),
        EffectResult::Listed { kind: OperationKind::Refresh, result: Ok(listing), claimed } => listed(draft, listing, claimed),
        EffectResult::Listed { kind: OperationKind::Refresh, result: Err(error), .. }
        | EffectResult::ModelResolved(ModelLookup::Failed(error))
        | EffectResult::CallFailed(error) => refusals::failed_before_start(draft, error, FailedStep::BeforeSubmission),
        EffectResult::Blocked(blocker) => blocked(draft, blocker),
        // Whether the cancellation of the other client's refresh succeeded or not, only the list shows when it has ended.
        EffectResult::CancelRequested(_) => {
            let delay = draft.input.settings.poll_min;
            draft.record_and_delay(delay)
        }
        EffectResult::Submitted(_) | EffectResult::Polled(_) | EffectResult::ModelChecked(_) => {
            Next::unchanged(Effect::None, Some(timing::CLUSTER_RECHECK))
        }
    }
}

/// Submits if the list shows that no refresh is running.
fn listed(draft: &mut Draft<'_>, listing: &Listing, claimed: &ClaimedOperations) -> Next {
    let refuses = draft.kind().capabilities().refused_during_refresh;
    if let Some(operation) = listing.operations.iter().find(|operation| !operation.phase.ended()) {
        let competing = evidence::competing_submission(operation, claimed, listing.clock_skew, draft.input.settings);
        let is_own = competing.is_some() || claimed.is_active(&operation.id) || claimed.is_candidate(&operation.id);
        return blocked_by(draft, operation, is_own);
    }
    // Whether a row of unknown origin blocks a refresh, the service shows by its response to the submission.
    if let Some(unnamed) = listing.unnamed.filter(|unnamed| unnamed.is_external || !refuses) {
        return blocked_by_unnamed(draft, unnamed);
    }
    if listing.may_hide_running && !refuses {
        return list_inconclusive(draft);
    }
    submit(draft)
}

/// Requests the run's turn. A run that has moved to another model is recorded first: its position in the queue follows from the record,
/// and the reason that it was stalled for applied to the other model.
fn acquire_turn(draft: &mut Draft<'_>) -> Next {
    if !has_moved(draft) {
        return Next::unchanged(Effect::AcquireTurn, None);
    }
    if let Some(run) = draft.status.run.as_mut().filter(|run| run.reason().is_some_and(conditions::is_stalled)) {
        run.set_state(RunState::Waiting, Reason::Submitting, "about to be submitted");
    }
    Next::record(Effect::AcquireTurn, None)
}

/// Whether the recorded run is for another model than the spec names now.
fn has_moved(draft: &Draft<'_>) -> bool {
    let recorded = draft.input.status.run.as_ref().filter(|run| !run.state.ended());
    recorded.zip(draft.status.run.as_ref()).is_some_and(|(recorded, run)| recorded.model.key() != run.model.key())
}

/// Handles names that match no model, or several. The service does not report a fix, so they are resolved again.
fn unresolved(draft: &mut Draft<'_>, why: &str) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.set_state(RunState::Waiting, Reason::ModelNotResolved, why);
        (run.waiting_since_time, run.waiting_for) = (None, None);
    }
    draft.memory.resolved = None;
    draft.record_and_delay(timing::SERVICE_RECHECK)
}

/// Handles a blocker: no run starts until a user acts, and then the wait for a turn starts again.
fn blocked(draft: &mut Draft<'_>, blocker: &Blocker) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.set_state(RunState::Waiting, blocker.reason, &blocker.message);
        (run.waiting_since_time, run.waiting_for) = (None, None);
    }
    match blocker.remedy {
        Remedy::SpecChange => Next::record(Effect::None, None),
        Remedy::ClusterChange => {
            let delay = timing::cluster_recheck(draft.blocked_for());
            draft.record_and_delay(delay)
        }
    }
}

/// Whether the list of refreshes is read before a submission: if the service may not refuse a second operation itself, and after it
/// refused this attempt, so that the next try costs no write. An attempt of which nothing was sent needs no list.
fn lists_before_submit(run: &Run, kind: OperationKind) -> bool {
    if !kind.capabilities().refused_during_refresh {
        return true;
    }
    let sent = run.submitted_time.is_some() && run.next_attempt_time.is_none();
    match run.reason() {
        Some(Reason::ModelBusy) => true,
        Some(reason) => sent && refusals::refuses(reason),
        None => false,
    }
}

/// Records the intent and submits. No other function does.
pub(super) fn submit(draft: &mut Draft<'_>) -> Next {
    let Some(run) = draft.status.run.as_mut() else {
        return Next::unchanged(Effect::None, None);
    };
    if let Some(next) = finalizer::add_before_submission(draft.desired) {
        return next;
    }
    run.previous_operation_ids = run.clone().into_operations();
    (run.operation_id, run.location, run.service_state) = (None, None, None);
    run.submitted_time = Some(Time::from(draft.now));
    // The time of its wait is kept until the service accepts it, because a refused submission does not end the wait.
    (run.waiting_for, run.next_attempt_time) = (None, None);
    (run.started_time, run.ended_time, run.duration, run.progress) = (None, None, None, None);
    run.candidates.clear();
    run.failed_objects.clear();
    run.messages.clear();
    run.set_state(RunState::Submitting, Reason::Submitting, BEING_SUBMITTED);
    // A value that was set before the submission does not decide about it.
    run.resubmissions += i32::from(draft.desired.requests.resubmit.as_deref() == Some(&*resubmit_value(run)));
    triggers::mark_joined(draft.desired, &mut draft.status);
    // Refusals are counted over all tries, so that the delays grow and each kind of refusal is reported once.
    let DecisionMemory { consecutive_errors, refusals, last_event_reason, .. } = draft.memory;
    draft.memory = DecisionMemory {
        consecutive_errors,
        refusals,
        last_event_reason,
        own_intent: Some(Time::from(draft.now)),
        ..DecisionMemory::default()
    };
    Next::record(Effect::Submit, None)
}

/// Handles a run whose submission started no operation. `None` if the rules of any waiting run apply.
fn not_started(draft: &mut Draft<'_>) -> Option<Next> {
    match &draft.input.effect_result {
        EffectResult::Submitted(SubmitResult::NotStarted(error)) => {
            model_names::sync_with_spec(draft);
            Some(refusals::failed_before_start(draft, error, FailedStep::Submission))
        }
        EffectResult::Submitted(SubmitResult::Deferred { message }) => {
            model_names::sync_with_spec(draft);
            if let Some(run) = draft.status.run.as_mut() {
                run.submitted_time = None;
            }
            let error = ServiceError::new(ServiceErrorKind::Unreachable, message);
            Some(refusals::failed_before_start(draft, &error, FailedStep::Submission))
        }
        EffectResult::Submitted(SubmitResult::Busy { message }) => Some(busy(draft, message)),
        EffectResult::Listed { .. } => submit_again_after_absence(draft),
        // A user has decided so.
        EffectResult::None => Some(resubmit(draft)),
        EffectResult::Submitted(SubmitResult::Accepted { .. } | SubmitResult::NothingToDo { .. } | SubmitResult::Unknown { .. })
        | EffectResult::ModelResolved(_)
        | EffectResult::Turn(_)
        | EffectResult::Polled(_)
        | EffectResult::CancelRequested(_)
        | EffectResult::ModelChecked(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => Some(Next::unchanged(Effect::None, None)),
    }
}

/// The service refuses a second operation on the model.
fn busy(draft: &mut Draft<'_>, message: &str) -> Next {
    // The list shows whether it is another client's operation. If it shows none, the second refusal ends the run.
    if draft.desired.policy.conflict == ConflictPolicy::Fail && draft.memory.consecutive_errors > 0 {
        let message = format!("another client's operation on the model is running, and conflictPolicy is Fail: {message}");
        return completion::end(draft, RunState::Failed, Reason::Conflict, message);
    }
    model_names::sync_with_spec(draft);
    let mut waited = Duration::ZERO;
    if let Some(run) = draft.status.run.as_mut() {
        let since = run.waiting_since_time.get_or_insert_with(|| Time::from(draft.now));
        waited = timing::elapsed(since.timestamp(), draft.now);
        run.waiting_for = Some("another client's operation".to_owned());
        let message = format!("the service is busy: waits for another client's operation on the model ({message})");
        run.set_state(RunState::Waiting, Reason::ModelBusy, message);
    }
    // The list shows which operation it is. If it shows none, each further refusal doubles the delay.
    draft.memory.consecutive_errors = draft.memory.consecutive_errors.saturating_add(1);
    let delay = timing::busy_delay(draft.input.settings, waited).max(timing::retry_delay(draft.memory.consecutive_errors, draft.seed()));
    draft.record_and_delay(delay)
}

/// Handles a submission that certainly started no operation: the service would show it by now.
fn submit_again_after_absence(draft: &mut Draft<'_>) -> Option<Next> {
    let kept_turn = queue_state(draft.input.status, draft.now, draft.input.settings) == QueueState::Holding;
    let since = Time::from(draft.intent());
    if let Some(run) = draft.status.run.as_mut() {
        // The time since the intent counts as waiting, so that a service that loses every submission is not tried forever.
        run.waiting_since_time.get_or_insert(since);
        run.set_state(RunState::Waiting, Reason::Retrying, "the submission never reached the service");
    }
    draft.emit(Reason::Resubmitted, "the submission never reached the service");
    // Another resource may have had the turn meanwhile, and then this one requests it again. Otherwise the rules of a waiting run
    // apply: suspension, deadline, another client's refresh in this list.
    (!kept_turn).then(|| Next::record(Effect::None, Some(Duration::ZERO)))
}

/// Handles a user's decision that the submission started no operation: the run waits for its turn again.
fn resubmit(draft: &mut Draft<'_>) -> Next {
    let message = "will be submitted again, as requested by the annotation resubmit";
    draft.emit(Reason::Resubmitted, message);
    model_names::sync_with_spec(draft);
    if let Some(run) = draft.status.run.as_mut() {
        // The user ruled out all candidates, so no later submission started one of them either.
        let candidates = std::mem::take(&mut run.candidates);
        draft::remember(&mut run.excluded_operation_ids, candidates.into_iter().map(|candidate| candidate.operation_id));
        // The time until the user decided is no wait for the model.
        (run.waiting_since_time, run.waiting_for) = (None, None);
        run.set_state(RunState::Waiting, Reason::Retrying, message);
    }
    draft.memory = DecisionMemory::default();
    Next::record(Effect::None, Some(Duration::ZERO))
}

/// Handles a list that shows no running refresh but may hide one, where the service would not refuse: it is read again, until the deadline.
fn list_inconclusive(draft: &mut Draft<'_>) -> Next {
    let message = "the service's list of refreshes is too long to read completely, or has rows without an id, so it does not show whether one is running";
    let error = ServiceError::new(ServiceErrorKind::InvalidResponse, message);
    let next = refusals::failed_before_start(draft, &error, FailedStep::BeforeSubmission);
    if let Some(run) = draft.status.run.as_mut() {
        run.waiting_for = Some("a list of refreshes that shows whether one is running".to_owned());
    }
    next
}

/// Handles a refresh that blocks the run.
fn blocked_by(draft: &mut Draft<'_>, operation: &Operation, is_own: bool) -> Next {
    draft.memory.consecutive_errors = 0;
    // The list may lag behind the end of this run's own last attempt.
    let is_own_attempt =
        |run: &Run| operation.id.eq_ignoring_case(run.operation_id.as_deref().unwrap_or_default()) || run.has_previous(&operation.id);
    let is_own = is_own || draft.status.run.as_ref().is_some_and(is_own_attempt);
    if draft.desired.policy.conflict == ConflictPolicy::Fail && !is_own {
        triggers::drop_joined(draft);
        let message = format!("refresh {} of another client is running, and conflictPolicy is Fail", operation.id);
        return completion::end(draft, RunState::Failed, Reason::Conflict, message);
    }
    // The services cancel only operations that a client of this API has submitted.
    let replace = draft.desired.policy.conflict == ConflictPolicy::Replace && !is_own && operation.origin == Origin::Client;
    let id = operation.id.clone();
    let whose = match (is_own, operation.origin) {
        (true, _) => "by this operator",
        (false, Origin::Client) => "by another client",
        (false, Origin::Unknown | Origin::External) => NOT_CANCELLABLE,
    };
    let holder = format!("refresh {id} {whose}{}", since(operation.start));
    let verb = if replace { "cancels and waits for" } else { "waits for" };
    let is_recorded = draft.status.run.as_ref().is_some_and(|run| run.message.starts_with(&format!("{verb} refresh {id} ")));
    let delay = wait_for(draft, verb, holder);
    if replace && !is_recorded {
        // The cancellations of another refresh do not count.
        (draft.memory.cancelled_at, draft.memory.cancels) = (None, 0);
    }
    if replace && draft.cancel_is_due() {
        draft.memory.cancelled_at = Some(draft.now);
        draft.count_cancel();
        if !is_recorded {
            draft.emit(Reason::ConflictReplaced, format!("cancels refresh {id} of another client: conflictPolicy is Replace"));
        }
        return Next::record(Effect::Cancel(id), None);
    }
    draft.record_and_delay(delay)
}

/// The origin of a refresh that a schedule, a user or the service itself started.
const NOT_CANCELLABLE: &str = "by a schedule, a user or the service, which cannot be cancelled,";

/// Handles a running refresh without an id.
fn blocked_by_unnamed(draft: &mut Draft<'_>, unnamed: UnnamedOperation) -> Next {
    draft.memory.consecutive_errors = 0;
    if draft.desired.policy.conflict == ConflictPolicy::Fail {
        triggers::drop_joined(draft);
        let message = "a refresh of another client is running, and conflictPolicy is Fail".to_owned();
        return completion::end(draft, RunState::Failed, Reason::Conflict, message);
    }
    let holder = format!("a refresh {NOT_CANCELLABLE}{}", since(unnamed.start));
    let delay = wait_for(draft, "waits for", holder);
    draft.record_and_delay(delay)
}

fn since(start: Option<Timestamp>) -> String {
    start.map(|start| format!(" since {}", Time::from(start))).unwrap_or_default()
}

/// Records what the run waits for; returns the delay until the next list.
fn wait_for(draft: &mut Draft<'_>, verb: &str, holder: String) -> Duration {
    let (now, mut waited) = (draft.now, Duration::ZERO);
    if let Some(run) = draft.status.run.as_mut() {
        let since = run.waiting_since_time.get_or_insert_with(|| Time::from(now));
        waited = timing::elapsed(since.timestamp(), now);
        run.set_state(RunState::Waiting, Reason::ModelBusy, format!("{verb} {holder}"));
        run.waiting_for = Some(holder);
    }
    timing::poll_interval(draft.input.settings, waited, draft.seed())
}
