//! Scheduled runs (`trigger.schedule`): which time is due, which is too late, and when to decide again.
//!
//! `nextScheduleTime` is the cursor. It moves in the write that first records a run for a time, or drops it, so that a restart
//! neither repeats nor loses one. However many times have passed, one run makes up for them: that of the latest.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Reason, Status, Time, Trigger, TriggerType};
use crate::engine::draft::Pass;
use crate::engine::{Desired, Step, timing};

/// A longer sleep is split, because the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Sets the cursor if the schedule has changed: on a new resource from its creation, otherwise from now on.
pub(in crate::engine) fn look(pass: &mut Pass<'_>) {
    let (desired, record, now) = (pass.desired, &mut pass.record, pass.now);
    let Some(scheduled) = &desired.scheduled else {
        (record.last_handled_schedule, record.next_schedule_time) = (None, None);
        return;
    };
    if record.last_handled_schedule.as_ref() != Some(&scheduled.written) {
        let is_new = record.last_handled_work.is_none() && record.last_handled_schedule.is_none();
        let since = if is_new { desired.created.min(now) } else { now };
        record.last_handled_schedule = Some(scheduled.written.clone());
        record.next_schedule_time = scheduled.schedule.next(since).map(Time::from);
    } else if let Some(ahead) = record.next_schedule_time.filter(|cursor| scheduled.is_beyond(*cursor, now)) {
        record.next_schedule_time = scheduled.schedule.next(now).map(Time::from);
        pass.notice(
            Reason::StatusRestored,
            format!("nextScheduleTime was {ahead}, and the schedule has times before that: they run again"),
        );
    }
}

/// The scheduled run that is due.
pub(super) fn due(desired: &Desired, record: &Status, now: Timestamp) -> Option<Trigger> {
    let scheduled = desired.scheduled.as_ref()?;
    let time = scheduled.come(record, now).filter(|time| !scheduled.too_late(*time, now))?;
    Some(Trigger { r#type: TriggerType::Schedule, value: time.to_string() })
}

/// Moves the cursor behind every time that has passed: one run makes up for them, or none does.
pub(super) fn advance(desired: &Desired, record: &mut Status, trigger: &Trigger) {
    let Ok(time) = trigger.value.parse::<Timestamp>() else { return };
    record.last_schedule_time = Some(Time::from(time));
    if let Some(scheduled) = &desired.scheduled {
        scheduled.pass_by(record, time);
    }
}

/// The accepted scheduled time that waits for its run, if there is one.
fn queued(record: &Status) -> Option<Timestamp> {
    let queued = record.queued.as_ref().filter(|queued| queued.r#type == TriggerType::Schedule)?;
    queued.value.parse().ok()
}

/// Skips a time that is too late, and reports it. Returns whether there was one.
pub(super) fn skip_late(pass: &mut Pass<'_>) -> bool {
    let Some(scheduled) = &pass.desired.scheduled else { return false };
    let queued = queued(&pass.record);
    let latest = scheduled.come(&pass.record, pass.now).max(queued);
    let Some(time) = latest.filter(|time| scheduled.too_late(*time, pass.now)) else { return false };
    scheduled.pass_by(&mut pass.record, time);
    if queued.is_some() {
        pass.record.queued = None;
    }
    let deadline = scheduled.starting_deadline.unwrap_or_default().as_secs();
    pass.notice(Reason::MissedSchedule, format!("no run starts for {time}: it is more than {deadline} s ago (startingDeadlineSeconds)"));
    true
}

/// Requeues the resource for its next scheduled time.
pub(in crate::engine) fn wake(desired: &Desired, now: Timestamp, step: Step) -> Step {
    let next = step.recorded.next_schedule_time.filter(|_| desired.scheduled.is_some() && desired.deletion.is_none());
    // A time that has passed is due when the run in progress has ended, or is suspended.
    let Some(pause) = next.map(|next| timing::between(now, next.timestamp())).filter(|pause| !pause.is_zero()) else { return step };
    Step { look_again: Some(timing::at_latest(step.look_again, pause.min(LONGEST_SLEEP))), ..step }
}
