//! The schedule of a resource, and the cursor in the status that shows which of its times were handled.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::{DEFAULT_ZONE, Schedule};
use crate::api::{Status, Time, TriggerSpec};
use crate::engine::timing;

/// A schedule, and how late it may be.
#[derive(Clone, Debug)]
pub struct ScheduleTrigger {
    /// The schedule and its time zone as they are written, to detect a change.
    pub written: String,
    /// When it is due.
    pub schedule: Schedule,
    /// How late a run may still start.
    pub starting_deadline: Option<Duration>,
}

impl ScheduleTrigger {
    /// The schedule of a trigger, if it has one.
    ///
    /// # Errors
    /// One sentence with the fault and the remedy.
    #[must_use]
    pub fn of(trigger: &TriggerSpec) -> Option<Result<Self, String>> {
        let TriggerSpec { schedule, time_zone, starting_deadline_seconds, on_change: _, token: _, after_refresh: _ } = trigger;
        let expression = schedule.as_deref()?;
        let starting_deadline = starting_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let written = format!("{expression} {}", time_zone.as_deref().unwrap_or(DEFAULT_ZONE));
        let schedule = Schedule::parse(expression, time_zone.as_deref());
        Some(schedule.map(|schedule| Self { written, schedule, starting_deadline }))
    }

    /// The latest time that has passed and was not handled, by the cursor.
    pub(in crate::engine) fn latest_due(&self, record: &Status, now: Timestamp) -> Option<Timestamp> {
        let next = record.next_schedule_time?.timestamp();
        let just_before = next.checked_sub(Duration::from_secs(1)).ok()?;
        self.schedule.latest(just_before, now)
    }

    /// Moves the cursor behind a time. The time may be of an earlier schedule, and then be before the cursor.
    pub(in crate::engine) fn advance_past(&self, record: &mut Status, time: Timestamp) {
        record.next_schedule_time = record.next_schedule_time.max(self.schedule.next(time).map(Time::from));
    }

    /// Whether the cursor is too far ahead for any run, or for a clock that was set back, to have moved it. Times would be left out.
    pub(in crate::engine) fn is_beyond(&self, cursor: Time, now: Timestamp) -> bool {
        let latest = now.checked_add(timing::CLOCK_STEP).ok().and_then(|latest| self.schedule.next(latest));
        latest.is_some_and(|latest| cursor.timestamp() > latest)
    }

    pub(in crate::engine) fn is_too_late(&self, time: Timestamp, now: Timestamp) -> bool {
        self.starting_deadline.is_some_and(|deadline| timing::elapsed(time, now) > deadline)
    }
}
