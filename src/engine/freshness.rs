//! The condition Fresh: whether the data of the model is younger than `staleAfterSeconds`.
//!
//! It is added to a finished decision and changes nothing else: no run, no effect and no other condition.

use std::time::Duration;

use jiff::Timestamp;

use super::{Decision, DecisionInput, DesiredState, Effect, Event, timing};
use crate::api::{Condition, ConditionStatus, ConditionType, Reason, Status, Time};

/// When the data of a resource becomes stale: `stale_after` after its latest success, or after its creation before the first success.
///
/// A success that lies further ahead of `now` than clocks differ was edited, and does not count.
#[must_use]
pub fn stale_time(status: &Status, created: Timestamp, stale_after: Duration, now: Timestamp) -> Time {
    let since = data_time(status, now).map_or(created, Time::timestamp);
    Time::from(since.checked_add(stale_after).unwrap_or(Timestamp::MAX))
}

/// The time of the latest success.
fn data_time(status: &Status, now: Timestamp) -> Option<Time> {
    status.last_successful_time.filter(|time| timing::remaining(time.timestamp(), now) <= timing::CLOCK_STEP)
}

/// Adds the condition to a decision, with an event if the data has become stale, and requeues the resource for that moment.
///
/// A decision with an effect and without a write stays as it is, because the same reconciliation decides again after the effect.
pub(super) fn apply(input: &DecisionInput<'_>, mut decision: Decision) -> Decision {
    let (desired, now) = (input.desired, input.now);
    let recorded = decision.status.conditions.iter().position(|condition| condition.r#type == ConditionType::Fresh);
    if desired.policy.stale_after.is_none() && recorded.is_none() || !may_write(desired, &decision.status) {
        return decision;
    }
    if decision.effect != Effect::None && decision.status == *input.status {
        return decision;
    }
    let Some(stale_after) = desired.policy.stale_after else {
        decision.status.conditions.retain(|condition| condition.r#type != ConditionType::Fresh);
        return decision;
    };
    let deadline = stale_time(&decision.status, desired.created, stale_after, now);
    let recorded_condition = recorded.and_then(|at| decision.status.conditions.get(at));
    // A clock that is set back does not make stale data fresh.
    let left = if recorded_condition.is_some_and(|recorded| was_stale(recorded, deadline, now)) {
        Duration::ZERO
    } else {
        timing::remaining(deadline.timestamp(), now)
    };
    let (condition_status, reason) =
        if left.is_zero() { (ConditionStatus::False, Reason::Stale) } else { (ConditionStatus::True, Reason::Fresh) };
    let message = message(&decision.status, desired.created, (deadline, left.is_zero()), now);
    let before = recorded_condition.filter(|before| before.status == condition_status);
    let changed = before.is_none();
    let condition = Condition {
        r#type: ConditionType::Fresh,
        status: condition_status,
        observed_generation: decision.status.observed_generation,
        last_transition_time: before.map_or_else(|| Time::from(now), |before| before.last_transition_time),
        reason: reason.as_str().to_owned(),
        message,
    };
    if changed && reason == Reason::Stale {
        decision.events.push(Event { reason, message: condition.message.clone() });
    }
    match recorded.and_then(|at| decision.status.conditions.get_mut(at)) {
        Some(recorded) => *recorded = condition,
        None => decision.status.conditions.push(condition),
    }
    if decision.effect == Effect::None && !left.is_zero() {
        decision.requeue_after = Some(timing::at_latest(decision.requeue_after, left.min(timing::LONGEST_SLEEP)));
    }
    decision
}

/// Whether the data has become stale at this deadline before, by a clock that differed no more from `now` than clocks differ.
fn was_stale(recorded: &Condition, deadline: Time, now: Timestamp) -> bool {
    let since = recorded.last_transition_time;
    recorded.status == ConditionStatus::False && since >= deadline && timing::remaining(since.timestamp(), now) <= timing::MAX_CLOCK_SKEW
}

/// Whether the operator writes this status: not before its first record, not that of a resource being deleted that it no longer holds, and
/// not that of a resource without a run before an uninstall.
fn may_write(desired: &DesiredState, status: &Status) -> bool {
    let in_progress = status.run.as_ref().is_some_and(|run| !run.state.ended());
    let is_held = desired.deletion.is_none() || desired.has_finalizer;
    status.is_observed() && is_held && (desired.drain.is_none() || in_progress)
}

/// One sentence with fixed times, so that it changes only with the data, the target and the status of the condition.
fn message(status: &Status, created: Timestamp, (deadline, is_stale): (Time, bool), now: Timestamp) -> String {
    let since = data_time(status, now).map_or_else(
        || format!("no run has succeeded since the creation at {}", Time::from(created)),
        |time| format!("the latest success was at {time}"),
    );
    if is_stale {
        format!("{since}: the data is stale since {deadline} (staleAfterSeconds)")
    } else {
        format!("{since}: the data becomes stale at {deadline} (staleAfterSeconds)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn success_at(text: &str) -> Status {
        Status { last_successful_time: Some(Time::from(at(text))), ..Status::default() }
    }

    #[test]
    fn stale_time_counts_from_success_or_creation() {
        let (created, hour) = (at("2026-01-01T00:00:00Z"), Duration::from_hours(1));
        let now = at("2026-01-02T00:00:00Z");
        let rows = [
            (Status::default(), "2026-01-01T01:00:00Z"),
            (success_at("2026-01-01T12:00:00Z"), "2026-01-01T13:00:00Z"),
            // A restored resource has an earlier success than its creation.
            (success_at("2025-12-31T12:00:00Z"), "2025-12-31T13:00:00Z"),
            // The clock of the service is ahead.
            (success_at("2026-01-02T00:05:00Z"), "2026-01-02T01:05:00Z"),
            // An edit.
            (success_at("2100-01-01T00:00:00Z"), "2026-01-01T01:00:00Z"),
        ];
        for (status, expected) in rows {
            assert_eq!(stale_time(&status, created, hour, now).to_string(), expected, "{:?}", status.last_successful_time);
        }
    }

    #[test]
    fn stale_time_beyond_the_calendar_is_its_end() {
        let end = at("9999-12-30T21:30:00Z");
        assert!(stale_time(&success_at("9999-12-30T21:00:00Z"), end, Duration::from_hours(8_760), end).timestamp() > end);
    }
}
