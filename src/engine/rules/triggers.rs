//! The triggers of a run. A trigger is due until it is handled, and the write that records the intent handles it.
//!
//! A trigger that is due and cannot start its run yet is *accepted*: `.status.queued` has it. It runs even if its source changes: an
//! annotation may be removed, a schedule edited. Only a change that is reverted is withdrawn and reported ([`withdraw`]), because the
//! requested state holds again. But if a run was cancelled for it, a run starts.

use jiff::Timestamp;

use super::{schedule, upstream};
use crate::api::{CancelCause, Reason, Status, Trigger, TriggerType};
use crate::engine::draft::Draft;
use crate::engine::{DesiredState, text};

/// The trigger that is due by its source, if any. Several at once start one run, named after the most deliberate one.
#[must_use]
fn due(desired: &DesiredState, recorded: &Status, now: Timestamp) -> Option<Trigger> {
    requested(desired, recorded).or_else(|| declared(desired, recorded)).or_else(|| automatic(desired, recorded, now))
}

/// The occurrence that is due. It occurs at one time, unlike a declared change, which holds until it has run.
#[must_use]
pub(super) fn occurrence(desired: &DesiredState, recorded: &Status, now: Timestamp) -> Option<Trigger> {
    requested(desired, recorded).or_else(|| automatic(desired, recorded, now))
}

fn requested(desired: &DesiredState, recorded: &Status) -> Option<Trigger> {
    let value = desired.requests.run.as_ref().filter(|value| !text::is_recorded(value, recorded.last_handled_request.as_ref()))?;
    Some(Trigger { r#type: TriggerType::Request, value: value.clone() })
}

/// The creation, or a change of the spec that has not run.
#[must_use]
pub(super) fn declared(desired: &DesiredState, recorded: &Status) -> Option<Trigger> {
    // On a new resource nothing has changed yet: `onChange` decides whether it runs, with or without a token.
    if recorded.last_handled_digest.is_none() {
        let value = desired.token.clone().unwrap_or_default();
        return desired.runs_on_change.then_some(Trigger { r#type: TriggerType::Creation, value });
    }
    // A token that was removed starts nothing; `mark_handled` drops it, so that it counts when it is set again.
    let token = desired.token.as_ref().filter(|token| !text::is_recorded(token, recorded.last_handled_token.as_ref()));
    if let Some(token) = token {
        return Some(Trigger { r#type: TriggerType::Change, value: token.clone() });
    }
    let unchanged = recorded.last_handled_digest.as_ref().is_some_and(|handled| desired.operation.has_digest(handled));
    let changed = !unchanged && !desired.operation.model.is_empty();
    (changed && desired.runs_on_change).then_some(Trigger { r#type: TriggerType::Change, value: String::new() })
}

/// The run after a refresh, or the scheduled run, that is due. A resource has at most one of the two triggers.
fn automatic(desired: &DesiredState, recorded: &Status, now: Timestamp) -> Option<Trigger> {
    upstream::due(desired, recorded).or_else(|| schedule::due(desired, recorded, now))
}

/// How deliberate a trigger is. One run serves all triggers from `FIRST_JOINING_RANK` on together.
fn rank(trigger: &Trigger) -> u8 {
    match trigger.r#type {
        TriggerType::AfterRefresh => 0,
        TriggerType::Schedule => 1,
        TriggerType::Creation | TriggerType::Change | TriggerType::Unrecognized(_) => FIRST_JOINING_RANK,
        TriggerType::Request => 3,
    }
}

const FIRST_JOINING_RANK: u8 = 2;

/// The trigger that the next run is for: the one that was accepted, or one that is due by its source and more deliberate.
#[must_use]
pub(super) fn next(desired: &DesiredState, recorded: &Status, now: Timestamp) -> Option<Trigger> {
    let due = due(desired, recorded, now);
    match (&recorded.queued, due) {
        (Some(queued), _) if upstream::is_withdrawn(queued) => Some(queued.clone()),
        (Some(queued), due) if upstream::is_older(desired, queued, due.as_ref(), recorded) => Some(queued.clone()),
        // The cursor of a current upstream refresh has the run. While the refresh is unavailable, the run stays queued.
        (Some(queued), due) if queued.r#type == TriggerType::AfterRefresh => due,
        // A later request, change or scheduled time joins the one that was accepted.
        (Some(queued), Some(due)) if rank(queued) <= rank(&due) => Some(due),
        (Some(queued), _) => Some(queued.clone()),
        (None, due) => due,
    }
}

/// Accepts the trigger that the next run is for.
pub(super) fn accept(desired: &DesiredState, record: &mut Status, now: Timestamp) -> Option<Trigger> {
    let next = next(desired, record, now)?;
    // One run makes up for all scheduled times, so a further time is not worth a write.
    let known = |queued: &Trigger| queued.r#type == TriggerType::Schedule && next.r#type == TriggerType::Schedule;
    if !record.queued.as_ref().is_some_and(known) {
        record.queued = Some(next.clone());
    }
    Some(next)
}

/// Withdraws an accepted change that was reverted, and reports it. Returns whether there was one.
pub(super) fn withdraw(draft: &mut Draft<'_>) -> bool {
    let replaced = draft.status.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Replacement));
    if replaced || declared(draft.desired, &draft.status).is_some() {
        return false;
    }
    let is_declared = |queued: &mut Trigger| matches!(queued.r#type, TriggerType::Creation | TriggerType::Change);
    let Some(change) = draft.status.queued.take_if(is_declared) else { return false };
    let value = if change.value.is_empty() { String::new() } else { format!(" to {}", change.value) };
    draft.emit(Reason::TriggerDropped, format!("the change{value} was reverted before its run started, so no run starts for it"));
    true
}

/// Records that a run starts for a trigger.
///
/// A run of the upstream refresh and a scheduled time have a run of their own, so they count as handled with its first record. Changes and
/// requests join a run until it is submitted, and are handled then.
pub(super) fn mark_started(desired: &DesiredState, record: &mut Status, trigger: &Trigger) {
    // A later request may have been dropped while this one was queued. It stays the one that was handled last.
    let is_latest_handled = desired.requests.run.is_some() && requested(desired, record).is_none();
    match trigger.r#type {
        TriggerType::AfterRefresh => upstream::advance(desired, record, trigger),
        TriggerType::Schedule => schedule::advance(desired, record, trigger),
        // The annotation may change before the submission, and then does not show which value was handled.
        TriggerType::Request if !is_latest_handled => record.last_handled_request = Some(trigger.value.clone()),
        TriggerType::Request | TriggerType::Creation | TriggerType::Change | TriggerType::Unrecognized(_) => {}
    }
    record.queued = record.queued.take().filter(|queued| rank(queued) < rank(trigger));
}

/// Records that no run starts for an occurrence that is due.
pub(super) fn mark_dropped(desired: &DesiredState, record: &mut Status, occurrence: &Trigger) {
    match occurrence.r#type {
        TriggerType::AfterRefresh => upstream::advance(desired, record, occurrence),
        TriggerType::Schedule => schedule::advance(desired, record, occurrence),
        TriggerType::Request => record.last_handled_request = Some(occurrence.value.clone()),
        // A declared change is never dropped.
        TriggerType::Creation | TriggerType::Change | TriggerType::Unrecognized(_) => {}
    }
}

/// Records that a run ends while it waits, and with it all triggers that have joined it. The status showed the one that came during an
/// earlier attempt as accepted, so an event reports that no run starts for it.
pub(super) fn drop_joined(draft: &mut Draft<'_>) {
    if let Some(queued) = draft.status.queued.as_ref().filter(|queued| rank(queued) >= FIRST_JOINING_RANK) {
        let value = if queued.value.is_empty() { String::new() } else { format!(" {}", queued.value) };
        let message = format!(
            "no run starts for a trigger ({}{value}) that joined the next attempt: the run ended before it was submitted",
            queued.r#type
        );
        draft.emit(Reason::TriggerDropped, message);
    }
    mark_joined(draft.desired, &mut draft.status);
}

/// Records that all triggers that have joined a run are handled, because its operation is about to be submitted, or because the run ends
/// while it waits: all current requests of the spec and the annotations, and the queued trigger that came during an earlier attempt.
pub(super) fn mark_joined(desired: &DesiredState, record: &mut Status) {
    if let Some(Trigger { r#type: TriggerType::Request, value }) = record.queued.take_if(|queued| rank(queued) >= FIRST_JOINING_RANK) {
        record.last_handled_request = Some(value);
    }
    mark_handled(desired, record);
}

/// Records that all current requests of the spec and the annotations are handled: by a run that starts, or because they start none. Runs of
/// the upstream refresh are handled one by one ([`mark_started`]).
pub(super) fn mark_handled(desired: &DesiredState, record: &mut Status) {
    if !desired.operation.model.is_empty() {
        record.last_handled_digest = Some(desired.operation.digest.clone());
    }
    record.last_handled_token.clone_from(&desired.token);
    // The value stays when the annotation is removed: a drift correction that restores it must start nothing.
    if let Some(value) = &desired.requests.run {
        record.last_handled_request = Some(value.clone());
    }
}
