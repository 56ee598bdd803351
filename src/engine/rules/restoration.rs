//! A status that was edited so that it contradicts what the operator recorded. The record of an end decides, or else the service.
//!
//! An end that the operator records has times, a reason that ends a run, and an entry in the history. A run that shows an end without them
//! has not ended, so the operator resolves its operation again. A run that shows no end but has an entry in the history has ended.
//!
//! Within one attempt the operator never changes the operation or the model of a run. If they differ from what this process recorded, the
//! run is restored. After a restart nothing shows that they were edited.

use std::sync::Arc;

use super::{triggers, user_decisions, waiting};
use crate::api::{HistoryEntry, Reason, Run, RunState, Status, Time, TriggerType};
use crate::engine::draft::Draft;
use crate::engine::{DecisionMemory, draft, timing};
use crate::operation::OperationKind;

/// The run that this process recorded as in progress, if the status shows the same attempt.
fn tracked(draft: &Draft<'_>) -> Option<Arc<Run>> {
    let shown = draft.status.run.as_ref()?;
    draft.memory.run_in_progress.clone().filter(|known| (known.number, known.attempt) == (shown.number, shown.attempt))
}

/// Restores the run that this process recorded as in progress, if the status shows another operation or model for it. Returns whether it
/// did.
pub(in crate::engine) fn restore_altered(draft: &mut Draft<'_>) -> bool {
    let Some(known) = tracked(draft).filter(|known| !has_ended(&draft.status, known)) else { return false };
    let Some(run) = draft.status.run.as_ref() else { return false };
    let is_altered = if known.operation_id.is_some() {
        !shows_operation(run, &known) || run.model != known.model
    } else {
        // Its write may have had no response, so only the same intent is compared.
        let is_same_intent = run.state == RunState::Submitting && run.submitted_time == known.submitted_time;
        known.state == RunState::Submitting && is_same_intent && (run.operation_id.is_some() || run.model != known.model)
    };
    if !is_altered {
        return false;
    }
    draft.memory = DecisionMemory::default();
    let number = known.number;
    draft.emit(
        Reason::StatusRestored,
        format!("the status was edited: run {number} was shown with another operation or model: the operator restored the recorded ones"),
    );
    draft.status.run = Some(Arc::unwrap_or_clone(known));
    true
}

/// Restores the run that this process recorded as in progress, if the status does not show it. Returns whether it did.
pub(in crate::engine) fn restore_missing(draft: &mut Draft<'_>) -> bool {
    let Some(run) = draft.memory.run_in_progress.clone().filter(|run| !shows(&draft.status, run)) else { return false };
    let record = &mut draft.status;
    // In an older status the trigger of this run is still due.
    if record.run.is_some() || record.last_handled_digest.is_none() {
        let queued = record.queued.take();
        triggers::mark_started(draft.desired, record, &run.trigger);
        record.queued = queued.filter(|queued| *queued != run.trigger);
        record.last_handled_digest = Some(run.request_digest.clone());
        if matches!(run.trigger.r#type, TriggerType::Creation | TriggerType::Change) && !run.trigger.value.is_empty() {
            record.last_handled_token = Some(run.trigger.value.clone());
        }
    }
    draft.memory = DecisionMemory::default();
    draft.emit(Reason::StatusRestored, format!("the status was edited: run {} was in progress and was missing", run.number));
    draft.status.run = Some(Arc::unwrap_or_clone(run));
    true
}

/// Whether a status shows a run that was in progress, its end, or a later run. `known` may be from a stale view, so an unresolved
/// submission is restored only if the status lacks its run: a later view of the same run may show that it started nothing.
fn shows(record: &Status, known: &Run) -> bool {
    let is_it = |run: &Run| {
        is_counted(run.number) && run.number > known.number || {
            run.number == known.number && (run.attempt > known.attempt || run.may_run() || shows_operation(run, known))
                || known.operation_id.is_some() && shows_operation(run, known)
        }
    };
    record.run.as_ref().is_some_and(is_it) || has_ended(record, known)
}

/// Whether a run has the operation of the run that was in progress, or had it in an earlier attempt.
fn shows_operation(run: &Run, known: &Run) -> bool {
    known.operation().is_none_or(|id| run.has_previous(&id) || id.eq_ignoring_case(run.operation_id.as_deref().unwrap_or_default()))
}

/// Whether the history shows the end of a run that was in progress, or of a later run.
fn has_ended(record: &Status, known: &Run) -> bool {
    let is_it = |entry: &HistoryEntry| {
        is_counted(entry.number) && entry.number >= known.number || known.operation_id.is_some() && entry.operation_id == known.operation_id
    };
    record.history.iter().any(is_it)
}

/// Restores a contradictory run and reports it. Returns whether there was one: then it is recorded before anything else.
pub(in crate::engine) fn restore_contradictory(draft: &mut Draft<'_>) -> bool {
    let (kind, newest) = (draft.kind(), newest(&draft.status));
    let (tracked, is_unrecorded_end) = (tracked(draft), shows_unrecorded_end(draft));
    let entry = draft.status.run.as_ref().and_then(|run| entry(&draft.status, run)).cloned();
    let (now, created) = (draft.now, draft.desired.created.min(draft.now));
    let is_ahead = |time: &Time| timing::remaining(time.timestamp(), now) > timing::CLOCK_STEP;
    let Some(run) = draft.status.run.as_mut() else { return false };
    drop_operation_of_earlier_attempt(run);
    let requested = run.requested_time;
    // A run is requested before it is submitted.
    let is_early = |time: &Time| !is_ahead(&requested) && timing::remaining(requested.timestamp(), time.timestamp()) > timing::CLOCK_STEP;
    let is_wrong = |time: &Time| is_ahead(time) || is_early(time);
    let shown = format!("run {} was shown as {:?}", run.number, run.state);
    let report = if !run.state.ended() && entry.is_none() && run.number <= newest {
        run.number = newest.saturating_add(1);
        format!("{shown}, and runs up to {newest} have ended: it is run {} now", run.number)
    } else if let Some(entry) = entry.filter(|entry| entry.state != run.state) {
        restore_end(run, &entry, kind);
        format!("{shown}, but had ended as {:?}: the operator restored its end from the history", entry.state)
    } else if !run.state.ended() && run.recorded_time.is_some() {
        // Without an entry in the history, the reason shows which of the two was edited: the state or the time.
        let has_ended = tracked.is_none() && run.ended_time.is_some() && run.reason().is_some_and(Reason::ends_run);
        if has_ended {
            run.state = end_of(run.reason());
            format!("{shown}, but had ended: the operator restored the state {:?}", run.state)
        } else {
            (run.ended_time, run.recorded_time, run.duration) = (None, None, None);
            format!("{shown} with the time of an end, and the operator has recorded no end: the time is removed")
        }
    } else if is_unrecorded_end {
        reopen(run);
        format!("{shown}, and the operator has recorded no such end: {}", run.message)
    } else if matches!(run.state, RunState::Waiting | RunState::Submitting) && run.operation().is_some() {
        reopen(run);
        format!("{shown}, and it has an operation: {}", run.message)
    } else if run.state == RunState::Waiting && is_unresolved(run) {
        reopen(run);
        format!("{shown}, and its submission is unresolved: {}", run.message)
    } else if run.state == RunState::Cancelling && run.cancel_cause.is_none() && run.operation().is_some() {
        // Only with its cause does the operator cancel an operation.
        run.cancel_cause = tracked.filter(|known| known.state == RunState::Cancelling).and_then(|known| known.cancel_cause);
        reopen(run);
        format!("{shown} without a cause: {}", run.message)
    } else if matches!(run.state, RunState::Running | RunState::Cancelling)
        && run.operation().is_some()
        && run.submitted_time.as_ref().is_none_or(is_wrong)
    {
        let known = tracked.and_then(|known| known.submitted_time).filter(|time| time.timestamp() <= now);
        let mut times = known.into_iter().chain(run.started_time).chain([requested]);
        let since = times.find(|time| !is_wrong(time)).unwrap_or(Time::from(now));
        // A request precedes its submission, so an hour later neither time looks wrong.
        (run.submitted_time, run.requested_time) = (Some(since), requested.min(since));
        format!("{shown} without the time of its submission, or with an impossible one: deadlines count from {since}")
    } else if run.state == RunState::Submitting
        && run.submitted_time.as_ref().is_some_and(is_wrong)
        && let Some(known) = tracked.filter(|known| known.submitted_time.is_some() && known.submitted_time != run.submitted_time)
    {
        (run.submitted_time, run.requested_time) = (known.submitted_time, known.requested_time);
        format!("{shown} with an impossible time of its submission: the operator restored the recorded time")
    } else if run.state == RunState::Submitting && run.submitted_time.as_ref().is_some_and(is_wrong) {
        run.submitted_time = None;
        if is_ahead(&run.requested_time) {
            run.requested_time = Time::from(created);
        }
        // A list that is read now may be too early to show a recent submission.
        user_decisions::require(draft, "the status was edited, so the time of the submission is unknown");
        format!("{shown} with an impossible time of its submission: a user decides what it started")
    } else if !run.state.ended() && run.waiting_since_time.as_ref().is_some_and(is_ahead) {
        run.waiting_since_time = Some(Time::from(now));
        format!("{shown} waiting since a time in the future: the wait counts from now")
    } else {
        return false;
    };
    draft.memory = DecisionMemory::default();
    draft.emit(Reason::StatusRestored, format!("the status was edited: {report}"));
    true
}

/// Records the acceptance of a submission although an edited status no longer shows its intent.
pub(in crate::engine) fn record_acceptance(draft: &mut Draft<'_>) {
    let is_unrecorded_end = shows_unrecorded_end(draft);
    let submitted = tracked(draft).filter(|known| known.state == RunState::Submitting && known.operation_id.is_none());
    let Some(run) = draft.status.run.as_mut() else { return };
    if let Some(known) = submitted.filter(|_| matches!(run.state, RunState::Running | RunState::Cancelling)) {
        *run = Arc::unwrap_or_clone(known);
    } else if run.state == RunState::Waiting || is_unrecorded_end {
        run.set_state(RunState::Submitting, Reason::Submitting, waiting::BEING_SUBMITTED);
    }
}

/// Whether a run that is shown as waiting was being submitted.
fn is_unresolved(run: &Run) -> bool {
    match run.reason() {
        Some(Reason::SubmissionUnknown | Reason::ResolvingSubmission) => true,
        _ => run.message == waiting::BEING_SUBMITTED,
    }
}

/// The highest number of a run that has ended.
fn newest(record: &Status) -> i32 {
    record.history.iter().map(|entry| entry.number).filter(|number| is_counted(*number)).max().unwrap_or(0)
}

/// The highest number that a run has had.
pub(super) fn latest(record: &Status) -> i32 {
    record.run.as_ref().map(|run| run.number).filter(|number| is_counted(*number)).unwrap_or(0).max(newest(record))
}

/// Whether runs are counted from a number. A number above half of the maximum of the schema was edited: no resource has so many runs, and
/// the next number must be within the schema.
fn is_counted(number: i32) -> bool {
    number < 500_000_000
}

/// The recorded end of a run. An entry with another operation is of another run, even with the same number.
fn entry<'a>(record: &'a Status, run: &Run) -> Option<&'a HistoryEntry> {
    let same = |entry: &&HistoryEntry| entry.number == run.number && (run.operation_id.is_none() || entry.operation_id == run.operation_id);
    record.history.iter().find(same)
}

/// Whether the run shows an end that the operator did not record. Earlier versions recorded only the time of the end.
fn shows_unrecorded_end(draft: &Draft<'_>) -> bool {
    let Some(run) = draft.status.run.as_ref().filter(|run| run.state.ended()) else { return false };
    let keeps_history = draft.desired.policy.history_limit > 0;
    let in_history = draft.status.history.iter().any(|entry| entry.number == run.number);
    // The write that ends a run adds its entry. Without a history the write may have ended it although its response was lost.
    let is_tracked = keeps_history && tracked(draft).is_some();
    let has_time = run.recorded_time.is_some() || run.ended_time.is_some() && !keeps_history;
    !in_history && (is_tracked || !has_time || !run.has_end())
}

/// Drops the operation of a failed attempt, which earlier versions kept while the next attempt waited.
fn drop_operation_of_earlier_attempt(run: &mut Run) {
    if run.state == RunState::Waiting && run.attempt > 1 && run.next_attempt_time.is_some() {
        draft::remember(&mut run.previous_operation_ids, run.operation_id.take());
    }
}

/// Ends the run as the history shows.
fn restore_end(run: &mut Run, entry: &HistoryEntry, kind: OperationKind) {
    let reason = match entry.state {
        RunState::Succeeded => Reason::Succeeded,
        RunState::TimedOut => Reason::TimedOut,
        RunState::Cancelled => Reason::Cancelled,
        RunState::Failed
        | RunState::Unrecognized(_)
        | RunState::Waiting
        | RunState::Submitting
        | RunState::Running
        | RunState::Cancelling => match kind {
            OperationKind::Refresh => Reason::RefreshFailed,
            OperationKind::Sync => Reason::SyncFailed,
        },
    };
    // The reason of that end, if it is still there. Entries of earlier versions have none.
    let recorded = Reason::parse(&entry.reason).filter(|reason| end_of(Some(*reason)) == entry.state);
    let reason = recorded.unwrap_or(reason);
    let reason = run.reason().filter(|reason| run.recorded_time.is_some() && end_of(Some(*reason)) == entry.state).unwrap_or(reason);
    run.set_state(entry.state, reason, &entry.message);
    (run.operation_id, run.started_time, run.ended_time) = (entry.operation_id.clone(), entry.started_time, entry.ended_time);
    (run.recorded_time, run.waiting_for, run.waiting_since_time, run.next_attempt_time) = (entry.recorded_time, None, None, None);
}

/// The state that a run has ended in for a reason.
fn end_of(reason: Option<Reason>) -> RunState {
    match reason {
        Some(Reason::Succeeded) => RunState::Succeeded,
        Some(
            Reason::Cancelled | Reason::Replaced | Reason::CancelledOnRequest | Reason::Uninstalled | Reason::Deleted | Reason::Released,
        ) => RunState::Cancelled,
        Some(
            Reason::TimedOut | Reason::DeadlineExceeded | Reason::WaitDeadlineExceeded | Reason::AttemptTimeLimit | Reason::TotalTimeLimit,
        ) => RunState::TimedOut,
        _ => RunState::Failed,
    }
}

/// Reopens a run whose end was not recorded: the service shows the state of its operation.
fn reopen(run: &mut Run) {
    (run.ended_time, run.recorded_time, run.duration) = (None, None, None);
    let Some(id) = run.operation() else {
        if run.submitted_time.is_some() || is_unresolved(run) {
            run.set_state(
                RunState::Submitting,
                Reason::ResolvingSubmission,
                "the operator reads the service's list to find what it has started",
            );
        } else {
            run.set_state(RunState::Waiting, Reason::Submitting, "about to be submitted");
        }
        return;
    };
    let (state, reason) =
        if run.cancel_cause.is_some() { (RunState::Cancelling, Reason::Cancelling) } else { (RunState::Running, Reason::Running) };
    run.set_state(state, reason, format!("the operator polls operation {id}"));
}
