//! Scheduled runs (`trigger.schedule`): which time is due, which is too late, and when to decide again.
//!
//! `nextScheduleTime` is the cursor. It moves in the write that first records a run for a time, or drops it, so that a restart
//! neither repeats nor loses one. However many times have passed, one run makes up for them: that of the latest.

use jiff::Timestamp;

use crate::api::{Reason, Status, Time, Trigger, TriggerType};
use crate::engine::draft::Draft;
use crate::engine::{Decision, DesiredState, timing};

/// Sets the cursor if the schedule has changed: on a new resource from its creation, otherwise from now on.
pub(in crate::engine) fn update_cursor(draft: &mut Draft<'_>) {
    let (desired, record, now) = (draft.desired, &mut draft.status, draft.now);
    let Some(schedule_trigger) = &desired.schedule_trigger else {
        (record.last_handled_schedule, record.next_schedule_time) = (None, None);
        return;
    };
    if record.last_handled_schedule.as_ref() != Some(&schedule_trigger.written) {
        let is_new = record.last_handled_digest.is_none() && record.last_handled_schedule.is_none();
        let since = if is_new { desired.created.min(now) } else { now };
        let missed = record.next_schedule_time.filter(|time| time.timestamp() <= now && queued(record).is_none());
        record.last_handled_schedule = Some(schedule_trigger.written.clone());
        record.next_schedule_time = schedule_trigger.schedule.next(since).map(Time::from);
        if let Some(time) = missed {
            draft.emit(Reason::MissedSchedule, format!("no run starts for {time}: the schedule was changed before a run started for it"));
        }
    } else if let Some(ahead) = record.next_schedule_time.filter(|cursor| schedule_trigger.is_beyond(*cursor, now)) {
        record.next_schedule_time = schedule_trigger.schedule.next(now).map(Time::from);
        draft.emit(
            Reason::StatusRestored,
            format!("nextScheduleTime was {ahead}, but the schedule has earlier times: the operator runs these too"),
        );
    }
}

/// The scheduled run that is due.
pub(super) fn due(desired: &DesiredState, record: &Status, now: Timestamp) -> Option<Trigger> {
    let schedule_trigger = desired.schedule_trigger.as_ref()?;
    let time = schedule_trigger.latest_due(record, now).filter(|time| !schedule_trigger.is_too_late(*time, now))?;
    Some(Trigger { r#type: TriggerType::Schedule, value: time.to_string() })
}

/// Moves the cursor behind every time that has passed: one run makes up for them, or none does.
pub(super) fn advance(desired: &DesiredState, record: &mut Status, trigger: &Trigger) {
    let Ok(time) = trigger.value.parse::<Timestamp>() else { return };
    record.last_schedule_time = Some(Time::from(time));
    if let Some(schedule_trigger) = &desired.schedule_trigger {
        schedule_trigger.advance_past(record, time);
    }
}

/// The accepted scheduled time that waits for its run, if there is one.
fn queued(record: &Status) -> Option<Timestamp> {
    let queued = record.queued.as_ref().filter(|queued| queued.r#type == TriggerType::Schedule)?;
    queued.value.parse().ok()
}

/// Skips a time that is too late, and reports it. Returns whether there was one.
pub(super) fn skip_late(draft: &mut Draft<'_>) -> bool {
    let Some(schedule_trigger) = &draft.desired.schedule_trigger else { return false };
    let queued = queued(&draft.status);
    let latest = schedule_trigger.latest_due(&draft.status, draft.now).max(queued);
    let Some(time) = latest.filter(|time| schedule_trigger.is_too_late(*time, draft.now)) else { return false };
    schedule_trigger.advance_past(&mut draft.status, time);
    if queued.is_some() {
        draft.status.queued = None;
    }
    let deadline = schedule_trigger.starting_deadline.unwrap_or_default().as_secs();
    draft.emit(Reason::MissedSchedule, format!("no run starts for {time}: it is more than {deadline} s ago (startingDeadlineSeconds)"));
    true
}

/// Requeues the resource for its next scheduled time.
pub(in crate::engine) fn requeue_at_next_time(desired: &DesiredState, now: Timestamp, decision: Decision) -> Decision {
    let next = decision.status.next_schedule_time.filter(|_| desired.schedule_trigger.is_some() && desired.deletion.is_none());
    // A time that has passed is due when the run in progress has ended, or is suspended.
    let Some(delay) = next.map(|next| timing::remaining(next.timestamp(), now)).filter(|delay| !delay.is_zero()) else { return decision };
    Decision { requeue_after: Some(timing::at_latest(decision.requeue_after, delay.min(timing::LONGEST_SLEEP))), ..decision }
}
