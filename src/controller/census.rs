//! How the resources stand, counted every few seconds for the metrics.

use std::collections::HashMap;

use jiff::Timestamp;

use super::context::Context;
use super::resource::Resource;
use crate::api::{ConditionStatus, ConditionType, Reason, RunState, Status, Time};
use crate::telemetry::labels::{ActiveState, Kind, Standing};

/// What is counted of the resources of one kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    standings: HashMap<Standing, usize>,
    active: HashMap<ActiveState, usize>,
    unresolved: usize,
    oldest_unsuccessful: i64,
    schedule_overdue: i64,
}

/// Counts all resources, and shows what was found.
pub(super) fn take(ctx: &Context) {
    let mut counts: HashMap<Kind, Counts> = HashMap::new();
    let now = Timestamp::now();
    ctx.each_known(|kind, resource| counts.entry(kind).or_default().add(resource, now));
    for &kind in Kind::ALL {
        let Counts { standings, active, unresolved, oldest_unsuccessful, schedule_overdue } = counts.remove(&kind).unwrap_or_default();
        for &standing in Standing::ALL {
            ctx.metrics.set_resources(kind, standing, standings.get(&standing).copied().unwrap_or_default());
        }
        for &state in ActiveState::ALL {
            ctx.metrics.set_active_runs(kind, state, active.get(&state).copied().unwrap_or_default());
        }
        ctx.metrics.set_unresolved(kind, unresolved);
        ctx.metrics.set_oldest_unsuccessful(kind, oldest_unsuccessful);
        ctx.metrics.set_schedule_overdue(kind, schedule_overdue);
    }
    ctx.metrics.set_queue_depth(ctx.queue.depth());
    ctx.metrics.set_throttled(ctx.azure.throttled());
    ctx.metrics.set_certificate_expiry(ctx.identities.first_expiry());
}

impl Counts {
    /// Adds a resource; `None` is one that cannot be decoded.
    fn add(&mut self, resource: Option<&Resource>, now: Timestamp) {
        let Some(resource) = resource else {
            *self.standings.entry(Standing::Undecodable).or_default() += 1;
            return;
        };
        let blank = Status::default();
        let status = resource.status().unwrap_or(&blank);
        let standing = standing(status);
        *self.standings.entry(standing).or_default() += 1;
        if let Some(state) = active(status) {
            *self.active.entry(state).or_default() += 1;
        }
        self.unresolved += usize::from(is_unresolved(status));
        let since = |time: Option<Time>| time.map_or(0, |time| now.as_second().saturating_sub(time.timestamp().as_second()));
        self.oldest_unsuccessful = self.oldest_unsuccessful.max(since(unsuccessful_since(status)));
        // While a run is under way, and while it is suspended, the next one is not due.
        let may_begin = active(status).is_none() && standing != Standing::Suspended;
        self.schedule_overdue = self.schedule_overdue.max(since(status.next_schedule_time.filter(|_| may_begin)));
    }
}

fn standing(status: &Status) -> Standing {
    let of = |kind: ConditionType| status.conditions.iter().find(|condition| condition.r#type == kind);
    let Some(ready) = of(ConditionType::Ready) else { return Standing::Reconciling };
    match ready.status {
        ConditionStatus::True => Standing::Ready,
        _ if of(ConditionType::Stalled).is_some() => Standing::Stalled,
        ConditionStatus::False if ready.reason == Reason::Suspended.as_str() => Standing::Suspended,
        ConditionStatus::False | ConditionStatus::Unknown => Standing::Reconciling,
    }
}

fn active(status: &Status) -> Option<ActiveState> {
    match status.run.as_ref()?.state {
        RunState::Waiting => Some(ActiveState::Waiting),
        RunState::Submitting => Some(ActiveState::Submitting),
        RunState::Running => Some(ActiveState::Running),
        RunState::Cancelling => Some(ActiveState::Cancelling),
        RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled => None,
    }
}

/// Whether nobody knows what became of a submission: its answer was lost, and neither the listing nor a person has said yet.
fn is_unresolved(status: &Status) -> bool {
    let run = status.run.as_ref().filter(|run| run.state == RunState::Submitting);
    run.is_some_and(|run| [Reason::ResolvingSubmission, Reason::SubmissionUnknown].iter().any(|reason| run.reason == reason.as_str()))
}

/// Since when a resource has needed a person: since it is Stalled, or since the first of the bad ends in a row that its history
/// shows. A new run does not set that back, only a success does; one that was cancelled counts for nothing.
fn unsuccessful_since(status: &Status) -> Option<Time> {
    let ends = status.history.iter().filter(|entry| entry.state != RunState::Cancelled);
    let bad = ends.take_while(|entry| matches!(entry.state, RunState::Failed | RunState::TimedOut)).last();
    let stalled = status.conditions.iter().find(|condition| condition.r#type == ConditionType::Stalled);
    let stalled = stalled.filter(|condition| condition.status == ConditionStatus::True).map(|condition| condition.last_transition_time);
    bad.and_then(|entry| entry.recorded_time.or(entry.ended_time)).into_iter().chain(stalled).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resource(status: &Value) -> Resource {
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh", "metadata": {"name": "a", "namespace": "bi"},
            "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn condition(kind: &str, status: &str, reason: &str, since: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 1, "lastTransitionTime": since})
    }

    fn entry(number: i32, state: &str, ended: &str) -> Value {
        json!({"number": number, "trigger": {"type": "Schedule"}, "attempts": 1, "state": state, "endedTime": ended})
    }

    fn counts(statuses: &[Value]) -> Counts {
        let mut counts = Counts::default();
        for status in statuses {
            counts.add(Some(&resource(status)), "2026-11-22T12:00:00Z".parse().unwrap());
        }
        counts
    }

    #[test]
    fn failures_in_a_row_count_from_the_first() {
        let history = [
            entry(5, "Cancelled", "2026-11-22T11:00:00Z"),
            entry(4, "Failed", "2026-11-22T10:00:00Z"),
            entry(3, "TimedOut", "2026-11-22T09:00:00Z"),
            entry(2, "Succeeded", "2026-11-22T08:00:00Z"),
            entry(1, "Failed", "2026-11-22T07:00:00Z"),
        ];
        assert_eq!(counts(&[json!({"history": history})]).oldest_unsuccessful, 3 * 3600);
        assert_eq!(counts(&[json!({"history": history[3..]})]).oldest_unsuccessful, 0);
        let stalled = json!({"conditions": [condition("Stalled", "True", "SecretNotFound", "2026-11-22T11:59:00Z"),
            condition("Ready", "False", "SecretNotFound", "2026-11-22T11:59:00Z")]});
        assert_eq!(counts(std::slice::from_ref(&stalled)).oldest_unsuccessful, 60);
        assert_eq!(counts(&[stalled]).standings, HashMap::from([(Standing::Stalled, 1)]));
    }

    #[test]
    fn a_schedule_is_overdue_where_nothing_runs_for_it() {
        let ready = condition("Ready", "True", "Succeeded", "2026-11-22T11:00:00Z");
        let late = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [ready]});
        assert_eq!(counts(&[late]).schedule_overdue, 600);
        let suspended = condition("Ready", "False", "Suspended", "2026-11-22T11:00:00Z");
        let waits = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [suspended]});
        let counted = counts(&[waits, json!({"nextScheduleTime": "2026-11-22T13:00:00Z"})]);
        assert_eq!(counted.schedule_overdue, 0);
        assert_eq!(counted.standings, HashMap::from([(Standing::Suspended, 1), (Standing::Reconciling, 1)]));
    }

    #[test]
    fn what_cannot_be_decoded_is_counted() {
        let mut counts = Counts::default();
        counts.add(None, Timestamp::now());
        assert_eq!(counts.standings, HashMap::from([(Standing::Undecodable, 1)]));
    }
}
