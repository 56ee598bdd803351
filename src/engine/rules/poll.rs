//! The result of a poll: the operation is running, has ended, or is unknown to the service.

use std::time::Duration;

use jiff::Timestamp;

use super::completion::Missing;
use super::errors::{self, ErrorClass};
use super::evidence::Evidence;
use super::{completion, missing_model, progress};
use crate::api::{Reason, Run, RunState, Time};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Effect, EffectResult, text, timing};
use crate::operation::{Listing, ModelExistence, Operation, OperationId, OperationKind, PollResult, ServiceError, ServiceErrorKind};

/// Truncated lists in a row before an operation that the service does not show counts as lost.
const MAX_TRUNCATED_LISTS: u32 = 10;

/// Polls in a row that fail with an error of the service before the list is read.
const ERRORS_BEFORE_LIST: u32 = 10;

/// Polls the operation.
pub(super) fn poll(draft: &Draft<'_>, id: OperationId) -> Next {
    let handle = draft.operation_ref(id);
    Next::record(Effect::Poll(handle), None)
}

/// A record without an id: a client has edited the status. The submission is resolved as one whose response was lost.
pub(super) fn missing_id(draft: &mut Draft<'_>) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.operation_id = None;
        run.set_state(
            RunState::Submitting,
            Reason::ResolvingSubmission,
            "the status has no operation id, so the operator reads the service's list",
        );
    }
    Next::record(Effect::None, Some(Duration::ZERO))
}

/// Handles the result of a poll, or of the list after a poll that found nothing.
pub(super) fn observed(draft: &mut Draft<'_>, id: &OperationId) -> Next {
    match &draft.input.effect_result {
        EffectResult::Polled(PollResult::Found { operation, .. }) if !id.eq_ignoring_case(operation.id.as_str()) => {
            // It is not this run's operation, so it must not end the run.
            poll_again(draft)
        }
        EffectResult::Polled(PollResult::Found { operation, retry_after, location }) => {
            // A `Location` that is too long leaves the previous one.
            if let Some(newer) = location.as_deref().and_then(text::location) {
                draft.memory.location = Some(newer);
            }
            operation_found(draft, operation, *retry_after)
        }
        EffectResult::Polled(PollResult::NotFound) => operation_not_visible(draft),
        EffectResult::Listed { result: Ok(listing), claimed, .. } => {
            match listing.operations.iter().find(|operation| id.eq_ignoring_case(operation.id.as_str())) {
                Some(operation) => operation_found(draft, operation, None),
                // A truncated list proves nothing. But a service that has lost the operation will not show it later either.
                None if is_incomplete(listing) && draft.memory.contradictions < MAX_TRUNCATED_LISTS => {
                    draft.memory.contradictions += 1;
                    let delay = timing::retry_delay(draft.memory.contradictions, draft.seed());
                    draft.record_and_delay(delay)
                }
                None => {
                    let evidence = Evidence::of(draft, listing, claimed);
                    let may_show_it = |evidence: Evidence<'_>| {
                        let may_be = |operation: &Operation| evidence.may_match(operation) && !evidence.started_before_intent(operation);
                        listing.operations.iter().any(may_be)
                    };
                    let is_certain = !is_incomplete(listing) && !evidence.is_some_and(may_show_it);
                    completion::operation_not_found(draft, if is_certain { Missing::Operation } else { Missing::Inconclusive })
                }
            }
        }
        EffectResult::Polled(PollResult::Failed(error)) | EffectResult::Listed { result: Err(error), .. }
            if missing_model::is_uncertain(draft, error) =>
        {
            missing_model::check_model()
        }
        EffectResult::ModelChecked(existence) => match missing_model::error_of(draft, existence) {
            // The list of a model that exists shows whether the operation does.
            Some(_) if *existence == ModelExistence::Exists && is_list_due(draft) => list(draft),
            Some(error) => model_unknown(draft, &error),
            None => missing_model::decide(draft),
        },
        EffectResult::Polled(PollResult::Failed(error)) if is_unknown_to_service(draft, error) && is_list_due(draft) => {
            if error.kind != ServiceErrorKind::Rejected {
                // After an error of the service, the list is no proof that the operation never ran.
                draft.memory.not_yet_listed = false;
            }
            list(draft)
        }
        EffectResult::Polled(PollResult::Failed(error))
        | EffectResult::Listed { result: Err(error), .. }
        | EffectResult::CallFailed(error) => failed_while_running(draft, error, "cannot be polled"),
        EffectResult::Blocked(blocker) => {
            if let Some(run) = draft.status.run.as_mut() {
                run.set_state(
                    run.state,
                    blocker.reason,
                    format!("operation {id} is still running but cannot be polled: {}", blocker.message),
                );
            }
            let delay = timing::cluster_recheck(draft.blocked_for());
            draft.record_and_delay(delay)
        }
        EffectResult::None
        | EffectResult::ModelResolved(_)
        | EffectResult::Turn(_)
        | EffectResult::Submitted(_)
        | EffectResult::CancelRequested(_) => Next::record(Effect::None, Some(timing::CLUSTER_RECHECK)),
    }
}

/// The service shows the operation.
fn operation_found(draft: &mut Draft<'_>, operation: &Operation, retry_after: Option<Duration>) -> Next {
    let settings = draft.input.settings;
    draft.memory.consecutive_errors = 0;
    (draft.memory.not_yet_listed, draft.memory.model_missing_since) = (false, None);
    if operation.phase.ended() {
        return completion::ended(draft, operation);
    }
    draft.memory.contradictions = 0;
    let now = draft.now;
    if let Some(run) = &draft.status.run {
        progress::observe(&mut draft.memory, run, operation, now);
    }
    let written = draft.memory.progress_written_at;
    let mut delay = settings.poll_min;
    let cancel_due_in = draft.cancel_due_in();
    let cancelling = draft.status.run.as_ref().is_some_and(|run| run.state == RunState::Cancelling);
    if cancelling && completion::exceeds_limit(draft, operation) {
        return completion::end_unbelievable(draft, &operation.id);
    }
    if let Some(run) = draft.status.run.as_mut() {
        let elapsed = run.submitted_time.map_or(settings.poll_min, |submitted| timing::elapsed(submitted.timestamp(), now));
        delay = if cancelling {
            timing::cancel_poll_interval(settings, draft.memory.cancels).min(cancel_due_in.max(settings.poll_min))
        } else {
            timing::poll_interval(settings, elapsed, (&draft.desired.uid, now))
        };
        // Clears a stale polling error.
        let (reason, message) = if cancelling {
            (Reason::Cancelling, format!("operation {} is being cancelled", operation.id))
        } else {
            (Reason::Running, format!("the service runs operation {}", operation.id))
        };
        let recovered = run.reason() != Some(reason) && !(cancelling && draft.memory.cancel_refusals > 0);
        if recovered {
            run.set_state(run.state, reason, message);
        }
        let due = written.is_none_or(|at| timing::has_elapsed(at, timing::PROGRESS_INTERVAL, now));
        if recovered || due {
            let before = run.clone();
            progress::record(run, operation, draft.memory.tables.as_deref());
            if let Some(newer) = &draft.memory.location {
                run.location = Some(newer.clone());
            }
            run.started_time = operation.start.map(Time::from).or(run.started_time);
            if progress::is_worth_a_write(run, &before) {
                draft.memory.progress_written_at = Some(now);
            }
        }
    }
    // A user waits for the end of an operation that is being cancelled, and the cancellation may have to be repeated.
    let longest = if cancelling { timing::SERVICE_RECHECK } else { timing::MAX_RETRY_AFTER };
    draft.record_and_delay(delay.max(timing::retry_after(retry_after).min(longest)))
}

/// Handles an operation that the service does not show. A recent one may not be visible yet; otherwise the list is requested.
fn operation_not_visible(draft: &mut Draft<'_>) -> Next {
    let age = since_submission(draft);
    if age < timing::visibility_timeout(draft.input.settings) {
        let delay = timing::poll_interval(draft.input.settings, age, draft.seed());
        return draft.record_and_delay(delay);
    }
    list(draft)
}

/// Reads the list, which shows whether the service knows the operation.
fn list(draft: &mut Draft<'_>) -> Next {
    draft.memory.listed_at = Some(draft.now);
    let submitted = submission(draft);
    // A user may have adopted an operation that started earlier, by the service's clock. A list since the intent would not show its end.
    let started = draft.status.run.as_ref().and_then(|run| run.started_time).map_or(submitted, Time::timestamp);
    let kind = draft.kind();
    Next::record(Effect::List(kind, submitted.min(started)), None)
}

/// When the operation was submitted.
fn submission(draft: &Draft<'_>) -> Timestamp {
    draft.status.run.as_ref().and_then(|run| run.submitted_time).map_or(draft.now, Time::timestamp)
}

fn since_submission(draft: &Draft<'_>) -> Duration {
    timing::elapsed(submission(draft), draft.now)
}

/// Whether a failed poll may mean that the service no longer knows the operation. No service documents the response to a poll of an unknown
/// operation.
fn is_unknown_to_service(draft: &Draft<'_>, error: &ServiceError) -> bool {
    let is_server_error = matches!(error.kind, ServiceErrorKind::ServerError | ServiceErrorKind::InvalidResponse);
    error.kind == ServiceErrorKind::Rejected || is_server_error && draft.memory.consecutive_errors >= ERRORS_BEFORE_LIST
}

/// Whether the list may show more about the operation than a failed poll. A sync has no entry of its own in a list.
fn is_list_due(draft: &Draft<'_>) -> bool {
    let is_visible = since_submission(draft) >= timing::visibility_timeout(draft.input.settings);
    let is_recent = draft.memory.listed_at.is_some_and(|at| !timing::has_elapsed(at, timing::SERVICE_RECHECK, draft.now));
    draft.kind() == OperationKind::Refresh && is_visible && !is_recent
}

/// Handles a model whose existence is unknown, so that its operation may still be running. Each check costs three calls.
fn model_unknown(draft: &mut Draft<'_>, error: &ServiceError) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        let id = run.operation_id.clone().unwrap_or_default();
        run.set_state(
            run.state,
            errors::reason(error.kind),
            format!("operation {id} is still running but cannot be polled: {}", error.message),
        );
    }
    draft.record_and_delay(timing::SERVICE_RECHECK)
}

/// Whether the operation may be in a list that does not name it.
fn is_incomplete(listing: &Listing) -> bool {
    listing.truncated || listing.has_unknown_rows
}

/// Polls again later, without a write.
fn poll_again(draft: &mut Draft<'_>) -> Next {
    draft.memory.consecutive_errors = draft.memory.consecutive_errors.saturating_add(1);
    let delay = timing::retry_delay(draft.memory.consecutive_errors, draft.seed());
    draft.record_and_delay(delay)
}

/// Handles a failed call. The operation counts as running, and its id stays recorded.
pub(super) fn failed_while_running(draft: &mut Draft<'_>, error: &ServiceError, what: &str) -> Next {
    draft.memory.consecutive_errors = draft.memory.consecutive_errors.saturating_add(1);
    // `azure::backoff` delays the calls that are throttled, each kind separately. Calls of another kind need not wait.
    let mut delay = errors::delay(error, (draft.memory.consecutive_errors, 0), draft.seed()).min(timing::SERVICE_RECHECK);
    delay = errors::at_least_recheck(draft, error.kind, delay);
    if error.kind == ServiceErrorKind::NotFound {
        // From then on the operator checks whether the model exists.
        let settings = draft.input.settings;
        let until_check = timing::visibility_timeout(settings).saturating_sub(since_submission(draft));
        delay = if until_check.is_zero() { delay } else { delay.min(until_check.max(settings.poll_min)) };
    }
    let passing = match errors::class(error.kind) {
        ErrorClass::Transient | ErrorClass::Permanent => true,
        ErrorClass::ActionRequired => false,
    };
    if passing && !errors::is_persistent(error, draft.memory.consecutive_errors) {
        return draft.record_and_delay(delay);
    }
    let reason = errors::reason(error.kind);
    // A repeated transient error is not worth a write.
    let known = |run: &Run| passing && run.reason() == Some(reason) && !errors::has_new_end(error, &run.message);
    if let Some(run) = draft.status.run.as_mut().filter(|run| !known(run)) {
        let id = run.operation_id.clone().unwrap_or_default();
        run.set_state(run.state, reason, format!("operation {id} is still running but {what}: {}", error.message));
    }
    draft.record_and_delay(delay)
}
