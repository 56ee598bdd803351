//! A run whose intent is recorded: the service may or may not have its operation.
//!
//! The services have no idempotency keys, so the operator does not submit again while the outcome is unknown. It reads the list until the
//! list shows the operation or can no longer be late, or until a user decides.

use std::time::Duration;

use super::errors::{self, ErrorClass};
use super::evidence::{self, Ambiguity, Evidence};
use super::{cancel_request, completion, interrupts, missing_model, user_decisions};
use crate::api::{self, Candidate, Reason, Run, RunState, Time};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{ClaimedOperations, DecisionMemory, Effect, EffectResult, queue_state, text, timing};
use crate::operation::{Listing, Operation, OperationId, OperationRef, Origin, PollResult, ServiceError, ServiceErrorKind, SubmitResult};

/// The most candidates that the status shows.
const MAX_CANDIDATES: usize = 10;
/// How the message of a run starts whose list cannot be read.
const LIST_FAILED: &str = "the response to the submission was lost, and the service's list cannot be read";

/// Decides for a run that is recorded as Submitting.
pub(in crate::engine) fn decide(draft: &mut Draft<'_>) -> Next {
    let is_resolved = matches!(
        draft.input.effect_result,
        EffectResult::Submitted(
            SubmitResult::Accepted { .. }
                | SubmitResult::NothingToDo { .. }
                | SubmitResult::NotStarted(_)
                | SubmitResult::Busy { .. }
                | SubmitResult::Deferred { .. }
        )
    );
    let has_trigger = !is_resolved && interrupts::accept_triggers(draft);
    match by_result(draft) {
        // A trigger that was accepted is recorded.
        Next::Unchanged { effect, requeue } if has_trigger => Next::Record { effect, requeue },
        next => next,
    }
}

fn by_result(draft: &mut Draft<'_>) -> Next {
    if matches!(draft.input.effect_result, EffectResult::CallFailed(_) | EffectResult::Blocked(_)) && !user_decisions::is_needed(draft) {
        // The list could not be read after the poll, so the poll is next again.
        draft.memory.rejected_adopt = None;
    }
    match &draft.input.effect_result {
        EffectResult::Submitted(SubmitResult::Accepted { id, location, activity_id, retry_after }) => {
            accepted(draft, id, location.as_deref(), activity_id.as_deref(), *retry_after)
        }
        // No operation was necessary: the requested state holds.
        EffectResult::Submitted(SubmitResult::NothingToDo { message }) => {
            completion::end(draft, RunState::Succeeded, Reason::Succeeded, message.clone())
        }
        EffectResult::Submitted(SubmitResult::Unknown { message }) => {
            if let Some(run) = draft.status.run.as_mut() {
                let message = format!("the response to the submission was lost, so the operator reads the service's list: {message}");
                run.set_state(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let delay = draft.input.settings.poll_min;
            draft.record_and_delay(delay)
        }
        EffectResult::Submitted(SubmitResult::NotStarted(error)) if errors::class(error.kind) == ErrorClass::Permanent => {
            completion::end(draft, RunState::Failed, Reason::RequestRejected, error.message.clone())
        }
        EffectResult::Submitted(SubmitResult::NotStarted(_) | SubmitResult::Busy { .. } | SubmitResult::Deferred { .. }) => {
            Next::ApplyWaitingRules
        }
        EffectResult::None if user_decisions::is_needed(draft) => await_user_decision(draft),
        // After a restart, or after a lost response.
        EffectResult::None => match draft.poll_due_in() {
            Some(delay) => Next::record(Effect::None, Some(delay)),
            None => search(draft),
        },
        EffectResult::Listed { kind, result: Ok(listing), claimed } if *kind == draft.kind() => resolve_by_list(draft, listing, claimed),
        EffectResult::Polled(PollResult::Found { operation, .. })
            if user_decisions::operation_to_adopt(draft).is_some_and(|id| id.eq_ignoring_case(operation.id.as_str())) =>
        {
            // The list has shown that a candidate did not start earlier, by the clock of the service.
            let is_candidate = |run: &Run| run.candidates.iter().any(|candidate| operation.id.eq_ignoring_case(&candidate.operation_id));
            if evidence::started_before(operation, draft.intent()) && !draft.status.run.as_ref().is_some_and(is_candidate) {
                return reject_adopt(draft, "the operation started before the submission");
            }
            adopt(draft, operation)
        }
        // Without a list, nothing else shows that the operation does not exist. The list is read next, and its result is recorded.
        EffectResult::Polled(PollResult::NotFound | PollResult::Failed(_)) if !user_decisions::is_needed(draft) => {
            let delay = draft.input.settings.poll_min;
            draft.record_and_delay(delay)
        }
        EffectResult::Polled(PollResult::NotFound) if user_decisions::operation_to_adopt(draft).is_some() => {
            reject_adopt(draft, "the service does not show the operation")
        }
        EffectResult::Polled(PollResult::Failed(error))
            if error.kind == ServiceErrorKind::Rejected && user_decisions::operation_to_adopt(draft).is_some() =>
        {
            let why = format!("the service refuses to show the operation ({})", error.message);
            reject_adopt(draft, &why)
        }
        EffectResult::Listed { result: Err(error), .. }
            if !user_decisions::is_needed(draft) && missing_model::is_uncertain(draft, error) =>
        {
            missing_model::check_model()
        }
        EffectResult::ModelChecked(existence) => match missing_model::error_of(draft, existence) {
            Some(error) => list_failed(draft, &error, timing::SERVICE_RECHECK),
            None => missing_model::decide(draft),
        },
        EffectResult::Listed { result: Err(error), .. }
        | EffectResult::Polled(PollResult::Failed(error))
        | EffectResult::CallFailed(error) => list_failed(draft, error, Duration::ZERO),
        EffectResult::Blocked(blocker) => {
            let message = format!("the response to the submission was lost, and the submission cannot be resolved: {}", blocker.message);
            record_unresolved(draft, blocker.reason, &message, &blocker.message);
            // The messages of a blocker and of single failures in between must not replace each other at every try.
            draft.memory.consecutive_errors = 0;
            let delay = timing::cluster_recheck(timing::elapsed(draft.intent(), draft.now));
            draft.record_and_delay(delay)
        }
        EffectResult::ModelResolved(_)
        | EffectResult::Listed { .. }
        | EffectResult::Turn(_)
        | EffectResult::Polled(PollResult::Found { .. } | PollResult::NotFound)
        | EffectResult::CancelRequested(_) => Next::unchanged(Effect::None, Some(timing::CLUSTER_RECHECK)),
    }
}

/// Handles an accepted submission. The id may be known from an earlier run: if the service returns no id for a sync, the client
/// makes one, and two syncs of the same state get the same id.
fn accepted(
    draft: &mut Draft<'_>,
    id: &OperationId,
    location: Option<&str>,
    activity_id: Option<&str>,
    retry_after: Option<Duration>,
) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.location = location.and_then(text::location);
        run.activity_id = activity_id.map(|id| text::bounded(id, text::WORD));
        run.started_time = Some(Time::from(draft.now));
    }
    let delay = draft.input.settings.poll_min.max(timing::retry_after(retry_after));
    let next = track(draft, id, delay);
    draft.memory.not_yet_listed = true;
    next
}

/// Records the operation's id, by which the run is tracked from now on.
fn track(draft: &mut Draft<'_>, id: &OperationId, delay: Duration) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.operation_id = Some(id.to_string());
        run.candidates.clear();
        run.waiting_since_time = None;
        run.set_state(RunState::Running, Reason::Running, format!("the service runs operation {id}"));
    }
    if cancel_request::is_pending(draft) && !draft.kind().capabilities().cancel {
        cancel_request::report_not_cancellable(draft);
    }
    let due = interrupts::apply_triggers(draft);
    draft.memory = DecisionMemory { progress_written_at: Some(draft.now), ..DecisionMemory::default() };
    // A trigger, a cancellation or a deletion may have come already.
    let continues = interrupts::cancel_cause(draft, due).is_none() && !draft.is_deleting();
    draft.record_and_delay(if continues { delay } else { Duration::ZERO })
}

/// Adopts the operation of a submission whose response was lost.
fn adopt(draft: &mut Draft<'_>, operation: &Operation) -> Next {
    draft.emit(Reason::Adopted, format!("operation {} is the one that was submitted", operation.id));
    let now = draft.now;
    if let Some(run) = draft.status.run.as_mut() {
        run.activity_id = operation.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
        run.started_time = operation.start.or(Some(now)).map(Time::from);
        run.service_state = Some(text::bounded(&operation.service_status, text::WORD));
    }
    // An immediate poll shows its state; its end is recorded like any other.
    let id = operation.id.clone();
    track(draft, &id, Duration::ZERO)
}

/// Searches the operation in the service's list. If the list could not be used, the operation that the annotation `adopt` names is polled
/// in turn with it.
fn search(draft: &mut Draft<'_>) -> Next {
    let tried = draft.memory.rejected_adopt.take();
    let is_stuck = draft.status.run.as_ref().is_some_and(queue_state::is_stuck);
    if let Some(id) = user_decisions::operation_to_adopt(draft).filter(|id| is_stuck && tried.as_ref() != Some(id)) {
        draft.memory.rejected_adopt = Some(id.clone());
        return Next::unchanged(Effect::Poll(OperationRef::by_id(id)), None);
    }
    let (kind, since) = (draft.kind(), draft.intent());
    draft.memory.listed_at = Some(draft.now);
    Next::unchanged(Effect::List(kind, since), None)
}

/// Waits for a user's decision on the submission. If both annotations are set, `adopt` is tried, because it submits nothing.
fn await_user_decision(draft: &mut Draft<'_>) -> Next {
    let adopt = user_decisions::operation_to_adopt(draft);
    let rejected_for = draft.poll_due_in().filter(|_| adopt.is_some() && adopt == draft.memory.rejected_adopt);
    if let Some(id) = adopt.filter(|_| rejected_for.is_none()) {
        let is_other = draft.memory.rejected_adopt.take().is_some_and(|rejected| rejected != id);
        return match draft.poll_due_in().filter(|_| !is_other) {
            Some(delay) => Next::record(Effect::None, Some(delay)),
            None => Next::unchanged(Effect::Poll(OperationRef::by_id(id)), None),
        };
    }
    if user_decisions::is_resubmit(draft) {
        if let Some(run) = draft.status.run.as_mut() {
            // The decision counts with this record; the next decision has another value.
            run.resubmissions = run.resubmissions.saturating_add(1);
        }
        return Next::ApplyWaitingRules;
    }
    Next::record(Effect::None, rejected_for)
}

/// Rejects the operation that the annotation `adopt` names: the annotation is removed, and an event states the remedy.
fn reject_adopt(draft: &mut Draft<'_>, why: &str) -> Next {
    let skipped = draft.desired.skipped_writes;
    if skipped.metadata || skipped.annotations {
        draft.memory.rejected_adopt = user_decisions::operation_to_adopt(draft);
        return draft.keep_and_delay(timing::SERVICE_RECHECK);
    }
    let value = draft.desired.requests.adopt.as_deref().unwrap_or_default();
    user_decisions::ignore(draft, api::ADOPT, value, why);
    Next::unchanged(Effect::RemoveAnnotation(api::ADOPT), None)
}

/// Resolves the submission by the list.
fn resolve_by_list(draft: &mut Draft<'_>, listing: &Listing, claimed: &ClaimedOperations) -> Next {
    (draft.memory.consecutive_errors, draft.memory.model_missing_since) = (0, None);
    let settings = draft.input.settings;
    let Some(evidence) = Evidence::of(draft, listing, claimed) else {
        return Next::unchanged(Effect::None, None);
    };
    let certain_after = timing::visibility_timeout(settings);
    let waited = timing::elapsed(draft.intent(), draft.now);
    let certain = draft.memory.listed_at.is_some_and(|listed_at| timing::elapsed(draft.intent(), listed_at) >= certain_after);
    let candidates: Vec<&Operation> = listing.operations.iter().filter(|operation| evidence.may_match(operation)).collect();
    // If a client has submitted one of the operations, those of unknown origin do not count.
    let by_clients: Vec<&Operation> = candidates.iter().copied().filter(|operation| operation.origin == Origin::Client).collect();
    // The same holds for rows without an id, which are no candidates.
    let truncated = listing.truncated || (listing.has_unknown_rows && by_clients.is_empty());
    let possible = if by_clients.is_empty() { candidates.clone() } else { by_clients };
    // Details that the service did not show may come with the next list, but the operator does not wait for them forever.
    let unread = possible.iter().any(|operation| operation.incomplete) && waited < 2 * certain_after;
    // Another resource's unresolved submission may have started the operation too; that resource may resolve it soon.
    let competing =
        possible.iter().filter_map(|operation| evidence::competing_submission(operation, claimed, listing.clock_skew, settings)).max();
    let claimed_by_others = competing.is_some() || possible.iter().any(|operation| claimed.is_candidate(&operation.id));
    let resolution = match possible.as_slice() {
        _ if claimed_by_others && !certain => Resolution::Inconclusive(None),
        _ if competing.is_some_and(|intent| timing::elapsed(intent, draft.now) < 2 * certain_after) => Resolution::Inconclusive(None),
        _ if claimed_by_others => Resolution::Ambiguous(
            "the submission of another resource, which is also unresolved, may have started the candidate operation".to_owned(),
        ),
        [one] => match evidence.ambiguity(one, certain) {
            None if !truncated => Resolution::Match((*one).clone()),
            _ if !certain || unread => Resolution::Inconclusive(None),
            _ if truncated => unreadable_list(),
            None => Resolution::Match((*one).clone()),
            // A running operation shows its objects at its end. Some lists never show an end.
            Some(Ambiguity::ObjectsNotShown) if !one.phase.ended() && waited < draft.desired.policy.active_deadline => {
                Resolution::Inconclusive(Some(one.id.clone()))
            }
            Some(ambiguity) => Resolution::Ambiguous(ambiguity.to_string()),
        },
        _ if !certain || unread => Resolution::Inconclusive(None),
        _ if truncated => unreadable_list(),
        [] => Resolution::NotStarted,
        several => Resolution::Ambiguous(format!("the submission may have started any of {} operations", several.len())),
    };
    // A user sees all candidates, because the operation may be one of unknown origin.
    let candidates: Vec<Operation> = candidates.into_iter().cloned().collect();
    match resolution {
        Resolution::Match(operation) => adopt(draft, &operation),
        // Certainly no operation started: the service would show it by now.
        Resolution::NotStarted => Next::ApplyWaitingRules,
        Resolution::Ambiguous(why) => require_user_decision(draft, &why, &candidates),
        Resolution::Inconclusive(candidate) => {
            let lost = "the response to the submission was lost";
            let message = match candidate {
                None => format!("{lost}: the operator reads the service's list until it shows the operation"),
                Some(id) => {
                    format!("{lost}: the submission may have started operation {id}, which shows its tables and partitions when it ends")
                }
            };
            if let Some(run) =
                draft.status.run.as_mut().filter(|run| run.reason() != Some(Reason::ResolvingSubmission) || run.message != message)
            {
                run.set_state(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let delay = timing::poll_interval(settings, waited, draft.seed());
            let certain_in = certain_after.saturating_sub(waited).max(settings.poll_min);
            draft.record_and_delay(if certain { delay } else { delay.min(certain_in) })
        }
    }
}

/// What a list shows of a submission whose response was lost.
enum Resolution {
    /// This operation is the one.
    Match(Operation),
    /// It never started.
    NotStarted,
    /// A later list will show more: of this operation, if it is a candidate.
    Inconclusive(Option<OperationId>),
    /// Only a user can decide.
    Ambiguous(String),
}

/// The list does not show everything that matters.
fn unreadable_list() -> Resolution {
    Resolution::Ambiguous("the service's list is too long to read completely, or has rows without an id or a start".to_owned())
}

/// Requests a decision of a user: which operation the submission started.
fn require_user_decision(draft: &mut Draft<'_>, why: &str, candidates: &[Operation]) -> Next {
    let ids: Vec<&str> = candidates.iter().take(3).map(|operation| operation.id.as_str()).collect();
    let which =
        if ids.is_empty() { String::new() } else { format!(" ({}{})", ids.join(", "), if candidates.len() > 3 { ", …" } else { "" }) };
    if let Some(run) = draft.status.run.as_mut() {
        run.candidates = candidates
            .iter()
            .take(MAX_CANDIDATES)
            .map(|operation| Candidate {
                operation_id: operation.id.to_string(),
                started_time: operation.start.map(Time::from),
                status: text::bounded(&operation.service_status, text::WORD),
            })
            .collect();
    }
    user_decisions::require(draft, &format!("the response to the submission was lost, and {why}{which}"));
    draft.memory.poll_not_before = None;
    // A user may have decided in advance.
    let decided = user_decisions::operation_to_adopt(draft).is_some() || user_decisions::is_resubmit(draft);
    Next::record(Effect::None, decided.then_some(Duration::ZERO))
}

/// Handles a list that cannot be read: the submission stays unresolved. The list is not requested again before `least` has passed.
fn list_failed(draft: &mut Draft<'_>, error: &ServiceError, least: Duration) -> Next {
    draft.memory.consecutive_errors = draft.memory.consecutive_errors.saturating_add(1);
    let delay = errors::delay(error, (draft.memory.consecutive_errors, 0), draft.seed()).max(least);
    let message = format!("{LIST_FAILED}: {}", error.message);
    let waited = timing::elapsed(draft.intent(), draft.now);
    let late = waited >= timing::visibility_timeout(draft.input.settings);
    // An outage passes. But if the list cannot be read for as long as an operation may run, a user must decide.
    let too_long = waited >= draft.desired.policy.active_deadline;
    match errors::class(error.kind) {
        // The service has no such list: the list of syncs is not documented.
        ErrorClass::Permanent if late && !user_decisions::is_needed(draft) => {
            return require_user_decision(draft, &format!("the service's list cannot be read ({})", error.message), &[]);
        }
        ErrorClass::Transient if too_long && !user_decisions::is_needed(draft) => {
            return require_user_decision(draft, &format!("the service's list cannot be read ({})", error.message), &[]);
        }
        ErrorClass::ActionRequired => record_unresolved(draft, errors::reason(error.kind), &message, &error.message),
        // A transient error is worth a write only if it lasts.
        ErrorClass::Transient | ErrorClass::Permanent => {
            let lasts = errors::is_persistent(error, draft.memory.consecutive_errors);
            let reason = if lasts && error.kind != ServiceErrorKind::Rejected { Reason::Retrying } else { Reason::ResolvingSubmission };
            // Operations of unknown owners have the same reason as a failure that lasts.
            let is_recorded = draft.status.run.as_ref().is_some_and(|run| {
                let is_retrying = run.reason() == Some(Reason::Retrying);
                if is_retrying && reason == Reason::Retrying {
                    run.message.starts_with(LIST_FAILED)
                } else {
                    is_retrying || run.reason() == Some(reason)
                }
            });
            if !is_recorded && !user_decisions::is_needed(draft) {
                record_unresolved(draft, reason, &message, &error.message);
            }
        }
    }
    // From then on it blocks no other resource, however long the delay is.
    let until_free = timing::arrival_timeout(draft.input.settings).saturating_sub(timing::elapsed(draft.intent(), draft.now));
    draft.delay_poll(delay);
    Next::record(Effect::None, Some(if until_free.is_zero() { delay } else { delay.min(until_free) }))
}

/// Records why the submission cannot be resolved. A submission that is held for a user's decision stays held.
fn record_unresolved(draft: &mut Draft<'_>, reason: Reason, message: &str, cause: &str) {
    if user_decisions::is_needed(draft) {
        user_decisions::require(draft, &format!("the operation that the annotation adopt names cannot be polled: {cause}"));
    } else if let Some(run) = draft.status.run.as_mut() {
        run.set_state(RunState::Submitting, reason, message);
    }
}
