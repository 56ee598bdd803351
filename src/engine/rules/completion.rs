//! The end of an operation, and of its run.

use std::time::Duration;

use super::failures::{self, FailureOutcome};
use super::{model_names, progress, schedule, triggers};
use crate::api::{CancelCause, HistoryEntry, Model, Reason, RunState, ServiceModel, Status, Time, Trigger};
use crate::engine::conditions::ConditionOverride;
use crate::engine::draft::{self, Draft};
use crate::engine::next::Next;
use crate::engine::{DecisionMemory, Effect, text, timing};
use crate::operation::{Operation, OperationId, Phase, ServiceKind, ServiceMessage};

/// Contradictory polls in a row before such a response counts as an end.
const MAX_CONTRADICTIONS: u32 = 3;
/// The longest message of a run that has ended, in its history, in bytes.
const HISTORY_SENTENCE: usize = 256;
/// How the message of a run ends that a new trigger replaced.
const REPLACED: &str = "was cancelled: a new trigger replaced it";

/// Handles the end of the operation that the service reports.
pub(super) fn ended(draft: &mut Draft<'_>, operation: &Operation) -> Next {
    let failed = operation.objects.iter().filter(|object| object.phase.failed()).count();
    let contradicts = operation.phase == Phase::Succeeded && failed > 0;
    if contradicts && draft.memory.contradictions < MAX_CONTRADICTIONS {
        // A response may mix two states of the service, so a single one does not count as an end.
        draft.memory.contradictions += 1;
        let delay = draft.input.settings.poll_min;
        return draft.keep_and_delay(delay);
    }
    let now = draft.now;
    let Some(run) = draft.status.run.as_mut() else {
        return Next::unchanged(Effect::None, None);
    };
    progress::observe(&mut draft.memory, run, operation, now);
    progress::record(run, operation, draft.memory.tables.as_deref());
    let start = operation.start.map(Time::from).or(run.started_time);
    // If the two clocks differ, the end could be before the start.
    let end = operation.end.map(Time::from).filter(|end| start.is_none_or(|start| *end >= start)).unwrap_or_else(|| Time::from(now));
    (run.started_time, run.ended_time) = (start, Some(end));
    let (cause, attempt, id) = (run.cancel_cause, run.attempt, &operation.id);
    // The service may also report an operation as cancelled that it has aborted itself.
    let given_up = operation.phase == Phase::Cancelled && operation.failure.is_some() && cause.is_none();
    let (state, reason, message, retryable) = match operation.phase {
        Phase::Succeeded if contradicts => {
            let message = format!("the service reports that operation {id} succeeded but {failed} of its objects failed");
            (RunState::Failed, Reason::ContradictoryAnswer, message, false)
        }
        Phase::Succeeded => (RunState::Succeeded, Reason::Succeeded, success(operation), false),
        Phase::Cancelled if !given_up => {
            let (state, reason, message) = cancelled(draft, cause, &format!("operation {id}"));
            (state, reason, message, false)
        }
        Phase::Failed | Phase::TimedOut | Phase::Cancelled => {
            let FailureOutcome { state, reason, description, remedy, retryable } =
                failures::failure_outcome(draft.kind(), operation.phase, operation.failure);
            // The remedy comes first, because the message of the service may be long and is truncated.
            let remedy = if remedy.is_empty() { String::new() } else { format!(" ({remedy})") };
            (state, reason, format!("operation {id} {description}{remedy}{}", first_message(operation)), retryable)
        }
        // Not an end. The caller does not pass these.
        Phase::NotStarted | Phase::InProgress => {
            return Next::unchanged(Effect::None, Some(timing::CLUSTER_RECHECK));
        }
    };
    if retryable && cause.is_none() && attempt <= draft.desired.policy.backoff_limit {
        return Next::Retry { reason, failure: message };
    }
    Next::End { state, reason, message }
}

/// The message of an operation that succeeded.
fn success(operation: &Operation) -> String {
    let id = &operation.id;
    // A sync in this state has updated the replicas.
    if operation.service_status.eq_ignore_ascii_case("finalizing") {
        return format!("operation {id} succeeded; the service is still cleaning up (Finalizing)");
    }
    let warnings: Vec<_> = operation.messages.iter().filter(|message| message.severity.eq_ignore_ascii_case("warning")).collect();
    let count = warnings.iter().map(|warning| u64::from(warning.times.max(1))).sum::<u64>();
    match warnings.first() {
        None => format!("operation {id} succeeded"),
        Some(first) => format!("operation {id} succeeded with {count} warning{}{}", if count == 1 { "" } else { "s" }, cause(first)),
    }
}

/// Whether a new trigger replaced this run (`concurrencyPolicy: Replace`). Entries of earlier versions have no reason, but their message
/// shows it.
#[must_use]
pub fn was_replaced(entry: &HistoryEntry) -> bool {
    let is_replaced = entry.reason == Reason::Replaced.as_str() || entry.reason.is_empty() && entry.message.ends_with(REPLACED);
    entry.state == RunState::Cancelled && is_replaced
}

/// The end of a run whose operation was cancelled, by the cause of the cancellation.
fn cancelled(draft: &Draft<'_>, cause: Option<CancelCause>, what: &str) -> (RunState, Reason, String) {
    match cause {
        Some(CancelCause::Deadline) => {
            let seconds = draft.desired.policy.active_deadline.as_secs();
            (RunState::TimedOut, Reason::DeadlineExceeded, format!("{what} was cancelled after {seconds} s (activeDeadlineSeconds)"))
        }
        Some(CancelCause::Replacement) => (RunState::Cancelled, Reason::Replaced, format!("{what} {REPLACED}")),
        Some(CancelCause::Uninstall) => {
            (RunState::Cancelled, Reason::Uninstalled, format!("{what} was cancelled: the operator was about to be uninstalled"))
        }
        Some(CancelCause::Request) => {
            let message = format!("{what} was cancelled by the annotation cancel-requested-at");
            (RunState::Cancelled, Reason::CancelledOnRequest, message)
        }
        Some(CancelCause::Deletion) => {
            (RunState::Cancelled, Reason::Deleted, format!("{what} was cancelled: its resource is being deleted"))
        }
        Some(CancelCause::Unrecognized(cause)) => {
            (RunState::Cancelled, Reason::Cancelled, format!("{what} was cancelled by a newer version of the operator ({cause})"))
        }
        None => (RunState::Cancelled, Reason::Cancelled, format!("{what} was cancelled at the service, not by this operator")),
    }
}

/// Ends the run at its deadline, with an operation that cannot be cancelled and may still be running.
pub(super) fn abandon_at_deadline(draft: &mut Draft<'_>, id: &OperationId) -> Next {
    let (seconds, noun) = (draft.desired.policy.active_deadline.as_secs(), draft.kind().noun());
    let message = format!(
        "operation {id} was polled for {seconds} s (activeDeadlineSeconds) and may still be running at the service: a {noun} cannot be cancelled"
    );
    end(draft, RunState::TimedOut, Reason::DeadlineExceeded, message)
}

/// Whether the service still shows a refresh as running although it runs none for so long, and cancellations have no effect.
pub(super) fn exceeds_limit(draft: &Draft<'_>, operation: &Operation) -> bool {
    let Some(run) = draft.status.run.as_ref().filter(|_| draft.memory.cancels >= timing::MOST_CANCELS) else { return false };
    let service = match run.model.at_service() {
        Some(ServiceModel::PowerBi(_)) => ServiceKind::PowerBi,
        Some(ServiceModel::AnalysisServices(_)) | None => ServiceKind::AnalysisServices,
    };
    let limit = service.max_refresh_duration(draft.input.settings.max_refresh_duration);
    let start = operation.start.map(Time::from).or(run.started_time).or(run.submitted_time);
    start.is_some_and(|start| timing::elapsed(start.timestamp(), draft.now) >= limit)
}

/// Ends a run whose operation cannot be cancelled and can no longer be running, whatever the service shows.
pub(super) fn end_unbelievable(draft: &mut Draft<'_>, id: &OperationId) -> Next {
    let message = format!(
        "the service still shows operation {id} as running, for longer than any refresh can run, and has not cancelled it, so its result is \
         unknown: check the model, then trigger a new run"
    );
    end(draft, RunState::Failed, Reason::OperationLost, message)
}

/// What the service no longer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The operation, neither by its id nor in its list.
    Operation,
    /// The operation by its id. The list may omit it, or show it under another id.
    Inconclusive,
    /// The model, and with it the operation of the run.
    Model,
}

/// Whether the service documents that it drops requests. Otherwise an operation that it has never shown may have run.
fn drops_requests(model: &Model) -> bool {
    match model.at_service() {
        Some(ServiceModel::PowerBi(_)) => true,
        Some(ServiceModel::AnalysisServices(_)) | None => false,
    }
}

/// Handles an operation that the service no longer shows.
pub(super) fn operation_not_found(draft: &mut Draft<'_>, what: Missing) -> Next {
    let Some(run) = draft.status.run.as_ref() else {
        return Next::unchanged(Effect::None, None);
    };
    let id = run.operation_id.clone().unwrap_or_default();
    let cause = run.cancel_cause;
    let operation = if id.is_empty() { "an operation that it may have started".to_owned() } else { format!("operation {id}") };
    let is_cancelled = cause.is_some() && what == Missing::Operation && draft.memory.cancel_accepted;
    let (state, reason, message) = if is_cancelled {
        cancelled(draft, cause, &format!("{operation}, which the service no longer shows,"))
    } else if what == Missing::Model {
        let message = format!(
            "the model was deleted during the run, and {operation} with it, so the result is unknown: if the model that replaces it has \
             another id, set that id, then trigger a new run"
        );
        (RunState::Failed, Reason::OperationLost, message)
    } else if cause.is_some() {
        let message = format!("the service no longer shows {operation}: its cancellation was requested, and its result is unknown");
        (RunState::Failed, Reason::OperationLost, message)
    } else if what == Missing::Operation && draft.memory.not_yet_listed && drops_requests(&run.model) {
        let message = format!(
            "the service accepted operation {id} but shows the operation neither by its id nor in its list, so the operation never ran: \
             Power BI drops requests when too many arrive in a short time"
        );
        (RunState::Failed, Reason::RequestDropped, message)
    } else {
        let message =
            format!("the service no longer shows operation {id}, so its result is unknown: check the model, then trigger a new run");
        (RunState::Failed, Reason::OperationLost, message)
    };
    // Only an operation that never ran is retried: another may have succeeded.
    if reason == Reason::RequestDropped && run.attempt <= draft.desired.policy.backoff_limit {
        return Next::Retry { reason, failure: message };
    }
    end(draft, state, reason, message)
}

/// Ends the run now.
pub(super) fn end(draft: &mut Draft<'_>, state: RunState, reason: Reason, message: String) -> Next {
    if let Some(run) = draft.status.run.as_mut() {
        run.ended_time = Some(Time::from(draft.now));
    }
    Next::End { state, reason, message }
}

/// Records the end of the run, and accepts the trigger that is due after it. Returns when to decide again.
pub(in crate::engine) fn record_end(draft: &mut Draft<'_>, state: RunState, reason: Reason, message: &str) -> Option<Duration> {
    write_end(draft, state, reason, message);
    // A trigger that came meanwhile is due now: this end must not appear to be the end of its run.
    schedule::skip_late(draft);
    triggers::withdraw(draft);
    let due = triggers::accept(draft.desired, &mut draft.status, draft.now);
    if due.is_none() {
        triggers::mark_handled(draft.desired, &mut draft.status);
    }
    let next = |due: &Trigger| ConditionOverride::starting(draft.desired, &draft.status, due);
    let condition_override = ConditionOverride::blocking(draft.desired, due.as_ref()).or_else(|| due.as_ref().map(next))?;
    // The conditions describe the next run, so a separate event reports this end.
    let first_message = draft.status.run.as_ref().map(|run| run.message.clone()).unwrap_or_default();
    draft.emit(reason, first_message);
    draft.override_conditions(condition_override);
    Some(Duration::ZERO)
}

/// Records the end of the run in the status and its history.
pub(super) fn write_end(draft: &mut Draft<'_>, state: RunState, reason: Reason, message: &str) {
    let limit = draft.desired.policy.history_limit;
    let Some(run) = draft.status.run.as_mut() else { return };
    run.set_state(state, reason, message);
    (run.waiting_for, run.waiting_since_time, run.next_attempt_time, run.location) = (None, None, None, None);
    run.recorded_time = Some(Time::from(draft.now));
    let seconds = run.started_time.zip(run.ended_time).map(|(start, end)| end.seconds_since(start).max(0));
    run.duration = seconds.map(duration);
    let entry = HistoryEntry {
        number: run.number,
        trigger: run.trigger.clone(),
        attempts: run.attempt,
        state,
        // If the last attempt was not submitted, the previous one has the last operation.
        operation_id: run.operation_id.clone().or_else(|| run.previous_operation_ids.last().filter(|_| run.attempt > 1).cloned()),
        started_time: run.started_time,
        ended_time: run.ended_time,
        recorded_time: run.recorded_time,
        requested_time: Some(run.requested_time),
        request_digest: run.request_digest.clone(),
        reason: run.reason.clone(),
        duration_seconds: seconds,
        message: text::bounded(&run.message, HISTORY_SENTENCE),
    };
    if state == RunState::Succeeded {
        draft.status.successful_runs = draft.status.successful_runs.saturating_add(1);
        // The clock of the service may be ahead, and an age must not be negative.
        draft.status.last_successful_time = run.ended_time.map(|end| end.min(Time::from(draft.now)));
    }
    remember(&mut draft.status, entry, limit);
    draft.memory = DecisionMemory::default();
}

fn remember(record: &mut Status, entry: HistoryEntry, limit: usize) {
    record.history.insert(0, entry);
    record.history.truncate(limit);
}

/// Records that the run continues with another attempt: it has not failed while `backoffLimit` allows one. Returns when to decide
/// again.
pub(in crate::engine) fn retry(draft: &mut Draft<'_>, failure: &str) -> Option<Duration> {
    model_names::sync_with_spec(draft);
    let run = draft.status.run.as_mut()?;
    let next = run.attempt.saturating_add(1);
    let delay = timing::attempt_delay(next);
    let of = draft.desired.policy.backoff_limit.saturating_add(1);
    (run.attempt, run.resubmissions) = (next, 0);
    // The next attempt has no operation yet, so the failed one becomes an earlier one.
    draft::remember(&mut run.previous_operation_ids, run.operation_id.take());
    (run.location, run.service_state) = (None, None);
    run.next_attempt_time = draft.now.checked_add(delay).ok().map(Time::from);
    let when = run.next_attempt_time.map_or_else(|| "later".to_owned(), |time| format!("at {time}"));
    run.set_state(RunState::Waiting, Reason::BackingOff, format!("attempt {next} of {of} starts {when}: {failure}"));
    draft.memory = DecisionMemory::default();
    // If something else blocks it, the next decision reports that immediately.
    let is_blocked = draft.desired.policy.suspend || draft.desired.blocker.is_some();
    Some(if is_blocked { Duration::ZERO } else { delay })
}

/// The service's first message, which is the cause, as the end of a sentence.
fn first_message(operation: &Operation) -> String {
    operation.messages.first().map(cause).unwrap_or_default()
}

/// A message of the service, as the end of a sentence.
fn cause(message: &ServiceMessage) -> String {
    let first_message = text::bounded(&message.text, text::SENTENCE);
    // Without a text, the message is its code.
    match message.code.as_deref().filter(|code| !first_message.starts_with(code)) {
        Some(code) => format!(": {} {first_message}", text::bounded(code, text::WORD)),
        None => format!(": {first_message}"),
    }
}

/// `92` as `1m32s`.
fn duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        (_, _) => format!("{hours}h{minutes}m{rest}s"),
    }
}
