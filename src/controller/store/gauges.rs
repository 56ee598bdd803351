//! Counts of the resources by state, for the metrics.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{ConcurrencyPolicy, ConditionStatus, ConditionType, Kind, ModelResource, Reason, RunState, Status, Time, TriggerType};
use crate::engine::was_replaced;
use crate::telemetry::labels::ResourceStatus;
use crate::telemetry::metrics::Metrics;

/// A schedule counts as starved when it has replaced this many runs in a row.
const STARVED_RUNS: i32 = 3;
/// The number of replaced runs that suffices if `historyLimit` keeps no more. A single replaced run may be chance.
const MIN_STARVED_RUNS: i32 = 2;

/// What the metrics count of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResourceSummary {
    kind: Kind,
    resource_status: ResourceStatus,
    active: Option<RunState>,
    starved: bool,
    unresolved: bool,
    unsuccessful_since: Option<Time>,
    due: Option<Time>,
}

/// The counts of each kind, updated with each resource without iterating over all of them.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    kinds: HashMap<Kind, Totals>,
}

/// The resources of one kind.
#[derive(Debug, Default)]
struct Totals {
    by_status: HashMap<ResourceStatus, usize>,
    active: HashMap<RunState, usize>,
    starved: usize,
    unresolved: usize,
    /// The time since when each resource has been failing or Stalled, with its uid.
    unsuccessful: BTreeSet<(Time, Arc<str>)>,
    /// When each resource that may start a run is due, with its uid.
    due: BTreeSet<(Time, Arc<str>)>,
}

impl ResourceSummary {
    /// Whether it is suspended, or else the summary of its conditions.
    pub(super) fn resource_status(&self) -> ResourceStatus {
        self.resource_status
    }

    /// The summary of a resource; `None` is one that cannot be decoded.
    pub(crate) fn of(kind: Kind, resource: Option<&ModelResource>) -> Self {
        let Some(resource) = resource else {
            return Self {
                kind,
                resource_status: ResourceStatus::Undecodable,
                active: None,
                starved: false,
                unresolved: false,
                unsuccessful_since: None,
                due: None,
            };
        };
        let blank = Status::default();
        // The operator no longer owns the recorded run of a released resource.
        let status = resource.status().filter(|_| !resource.is_released()).unwrap_or(&blank);
        let active = active(status);
        // While a resource is suspended, only what it has submitted needs a user. The outcome of an earlier run does not.
        let is_submitted = active.is_some_and(|state| state != RunState::Waiting);
        let resource_status = resource_status(status, resource.is_suspended() && !is_submitted);
        let is_suspended = resource_status == ResourceStatus::Suspended;
        // While a run is in progress, the next run is not due.
        let due = status.next_schedule_time.filter(|_| active.is_none() && !is_suspended);
        let unsuccessful_since = unsuccessful_since(status).filter(|_| !is_suspended);
        let (starved, unresolved) = (is_starved(resource, status), is_unresolved(status));
        Self { kind, resource_status, active, starved, unresolved, unsuccessful_since, due }
    }
}

impl Gauges {
    /// Replaces the summary of the resource with this uid, and publishes the changed counts.
    pub(crate) fn replace(&mut self, uid: &Arc<str>, before: Option<&ResourceSummary>, after: Option<&ResourceSummary>, metrics: &Metrics) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.kinds.entry(before.kind).or_default().remove(uid, before);
        }
        if let Some(after) = after {
            self.kinds.entry(after.kind).or_default().add(uid, after);
        }
        for summary in before.into_iter().chain(after) {
            let totals = self.kinds.entry(summary.kind).or_default();
            let count = |totals: &HashMap<ResourceStatus, usize>| totals.get(&summary.resource_status).copied().unwrap_or_default();
            metrics.set_resources(summary.kind, summary.resource_status, count(&totals.by_status));
            if let Some(state) = summary.active {
                metrics.set_active_runs(summary.kind, state, totals.active.get(&state).copied().unwrap_or_default());
            }
            metrics.set_starved_schedules(summary.kind, totals.starved);
            metrics.set_unresolved(summary.kind, totals.unresolved);
        }
    }

    /// Publishes the metrics that change with time alone.
    pub(crate) fn publish(&self, now: Timestamp, metrics: &Metrics) {
        for &kind in Kind::ALL {
            let (unsuccessful, overdue) = self.kinds.get(&kind).map(|totals| totals.seconds(now)).unwrap_or_default();
            metrics.set_oldest_unsuccessful(kind, unsuccessful);
            metrics.set_schedule_overdue(kind, overdue);
        }
    }
}

impl Totals {
    fn add(&mut self, uid: &Arc<str>, summary: &ResourceSummary) {
        *self.by_status.entry(summary.resource_status).or_default() += 1;
        if let Some(state) = summary.active {
            *self.active.entry(state).or_default() += 1;
        }
        self.starved += usize::from(summary.starved);
        self.unresolved += usize::from(summary.unresolved);
        self.unsuccessful.extend(summary.unsuccessful_since.map(|since| (since, Arc::clone(uid))));
        self.due.extend(summary.due.map(|due| (due, Arc::clone(uid))));
    }

    fn remove(&mut self, uid: &Arc<str>, summary: &ResourceSummary) {
        let fewer = |count: Option<&mut usize>| {
            if let Some(count) = count {
                *count = count.saturating_sub(1);
            }
        };
        fewer(self.by_status.get_mut(&summary.resource_status));
        fewer(summary.active.and_then(|state| self.active.get_mut(&state)));
        self.starved = self.starved.saturating_sub(usize::from(summary.starved));
        self.unresolved = self.unresolved.saturating_sub(usize::from(summary.unresolved));
        summary.unsuccessful_since.map(|since| self.unsuccessful.remove(&(since, Arc::clone(uid))));
        summary.due.map(|due| self.due.remove(&(due, Arc::clone(uid))));
    }

    /// How long a resource has been failing or Stalled at most, and how long the most overdue schedule is overdue, in seconds.
    fn seconds(&self, now: Timestamp) -> (i64, i64) {
        let since = |first: Option<&(Time, Arc<str>)>| {
            first.map_or(0, |(time, _)| now.as_second().saturating_sub(time.timestamp().as_second()).max(0))
        };
        (since(self.unsuccessful.first()), since(self.due.first()))
    }
}

/// The summary of the conditions of a resource. It is Reconciling until the operator has observed it.
fn resource_status(status: &Status, is_suspended: bool) -> ResourceStatus {
    let of = |kind: ConditionType| status.conditions.iter().find(|condition| condition.r#type == kind);
    let Some(ready) = of(ConditionType::Ready) else { return ResourceStatus::Reconciling };
    match ready.status {
        _ if is_suspended => ResourceStatus::Suspended,
        ConditionStatus::True => ResourceStatus::Ready,
        _ if of(ConditionType::Stalled).is_some() => ResourceStatus::Stalled,
        ConditionStatus::False if ready.reason == Reason::Suspended.as_str() => ResourceStatus::Suspended,
        ConditionStatus::False | ConditionStatus::Unknown | ConditionStatus::Unrecognized(_) => ResourceStatus::Reconciling,
    }
}

fn active(status: &Status) -> Option<RunState> {
    status.run.as_ref().map(|run| run.state).filter(|state| !state.ended())
}

/// Whether a schedule with an interval shorter than its runs replaces each of them, so that none succeeds. A run enters the history
/// when it ends. A run with another trigger or outcome interrupts the sequence. A resource that currently requests no such run is not
/// starved.
fn is_starved(resource: &ModelResource, status: &Status) -> bool {
    // A sync cannot be cancelled, so nothing replaces it.
    let ModelResource::ModelRefresh(refresh) = resource else { return false };
    let spec = &refresh.spec;
    let scheduled = spec.trigger.as_ref().is_some_and(|trigger| trigger.schedule.is_some());
    if !scheduled || spec.suspend || spec.concurrency_policy != ConcurrencyPolicy::Replace || refresh.metadata.deletion_timestamp.is_some()
    {
        return false;
    }
    let enough = usize::try_from(spec.history_limit.clamp(MIN_STARVED_RUNS, STARVED_RUNS)).unwrap_or_default();
    let newest = status.history.iter().take_while(|entry| entry.trigger.r#type == TriggerType::Schedule && was_replaced(entry));
    newest.take(enough).count() == enough
}

/// Whether the outcome of a submission is unresolved: its response was lost, and neither the list nor a user has resolved it.
fn is_unresolved(status: &Status) -> bool {
    let run = status.run.as_ref().filter(|run| run.state == RunState::Submitting);
    run.is_some_and(|run| [Reason::ResolvingSubmission, Reason::SubmissionUnknown].iter().any(|reason| run.reason == reason.as_str()))
}

/// The time since when a resource has been failing or Stalled: since it is Stalled, or since the first of the latest consecutive failures in its
/// history. Only a success resets it, not a new run. Cancelled runs do not count.
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

    fn resource(status: &Value) -> ModelResource {
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

    fn run(state: &str, reason: &str) -> Value {
        json!({"number": 1, "trigger": {"type": "Creation"}, "attempt": 1, "state": state, "requestedTime": "2026-01-01T00:00:00Z",
            "model": {}, "requestDigest": "w", "reason": reason})
    }

    fn totals(statuses: &[Value]) -> Totals {
        let mut totals = Totals::default();
        for (n, status) in statuses.iter().enumerate() {
            totals.add(&n.to_string().into(), &ResourceSummary::of(Kind::ModelRefresh, Some(&resource(status))));
        }
        totals
    }

    /// The two gauges at noon.
    fn seconds(statuses: &[Value]) -> (i64, i64) {
        totals(statuses).seconds("2026-11-22T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn consecutive_failures_count_from_the_first() {
        let history = [
            entry(5, "Cancelled", "2026-11-22T11:00:00Z"),
            entry(4, "Failed", "2026-11-22T10:00:00Z"),
            entry(3, "TimedOut", "2026-11-22T09:00:00Z"),
            entry(2, "Succeeded", "2026-11-22T08:00:00Z"),
            entry(1, "Failed", "2026-11-22T07:00:00Z"),
        ];
        assert_eq!(seconds(&[json!({"history": history})]).0, 3 * 3600);
        assert_eq!(seconds(&[json!({"history": history[3..]})]).0, 0);
        let stalled = json!({"conditions": [condition("Stalled", "True", "SecretNotFound", "2026-11-22T11:59:00Z"),
            condition("Ready", "False", "SecretNotFound", "2026-11-22T11:59:00Z")]});
        assert_eq!(seconds(std::slice::from_ref(&stalled)).0, 60);
        assert_eq!(totals(&[stalled]).by_status, HashMap::from([(ResourceStatus::Stalled, 1)]));
    }

    #[test]
    fn schedule_without_a_run_is_overdue() {
        let ready = condition("Ready", "True", "Succeeded", "2026-11-22T11:00:00Z");
        let late = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [ready]});
        assert_eq!(seconds(&[late]).1, 600);
        let suspended = condition("Ready", "False", "Suspended", "2026-11-22T11:00:00Z");
        let waits = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [suspended]});
        let future = json!({"nextScheduleTime": "2026-11-22T13:00:00Z"});
        assert_eq!(seconds(&[waits.clone(), future.clone()]).1, 0);
        assert_eq!(totals(&[waits, future]).by_status, HashMap::from([(ResourceStatus::Suspended, 1), (ResourceStatus::Reconciling, 1)]));
    }

    #[test]
    fn suspended_resource_needs_a_user_only_for_a_submitted_run() {
        let since = "2026-11-22T07:00:00Z";
        for (state, reason, active, needs_a_user) in [
            ("Failed", "RefreshFailed", None, false),
            ("Waiting", "SecretNotFound", Some(RunState::Waiting), false),
            ("Submitting", "SubmissionUnknown", Some(RunState::Submitting), true),
            ("Running", "CredentialsRefused", Some(RunState::Running), true),
        ] {
            let status = json!({"run": run(state, reason), "history": [entry(1, "Failed", since)], "nextScheduleTime": since,
                "conditions": [condition("Stalled", "True", reason, since), condition("Ready", "False", reason, since)]});
            let mut object = serde_json::to_value(resource(&status)).unwrap();
            object["spec"]["suspend"] = json!(true);
            let summary = ResourceSummary::of(Kind::ModelRefresh, Some(&serde_json::from_value(object).unwrap()));
            assert_eq!((summary.active, summary.due, summary.unresolved), (active, None, reason == "SubmissionUnknown"), "{state}");
            assert_eq!(summary.unsuccessful_since.is_some(), needs_a_user, "{state}");
            let expected = if needs_a_user { ResourceStatus::Stalled } else { ResourceStatus::Suspended };
            assert_eq!(summary.resource_status, expected, "{state}");
        }
    }

    fn replaced(number: i32) -> Value {
        let mut entry = entry(number, "Cancelled", "2026-11-22T11:00:00Z");
        entry["message"] = json!("operation o was cancelled: a new trigger replaced it");
        entry
    }

    /// A resource that is due each minute, with a spec and a history.
    fn by_the_minute(spec: &Value, history: &[Value]) -> ModelResource {
        let mut object = serde_json::to_value(resource(&json!({"history": history}))).unwrap();
        let defaults = json!({"trigger": {"schedule": "* * * * *"}, "concurrencyPolicy": "Replace"});
        for (field, value) in defaults.as_object().unwrap().iter().chain(spec.as_object().unwrap()) {
            object["spec"][field] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn is_starving(spec: &Value, history: &[Value]) -> bool {
        ResourceSummary::of(Kind::ModelRefresh, Some(&by_the_minute(spec, history))).starved
    }

    #[test]
    fn schedule_replacing_each_run_is_starved() {
        let all = [8, 7, 6, 5, 4, 3, 2, 1].map(replaced);
        assert!(is_starving(&json!({}), &all) && is_starving(&json!({}), &all[..3]));
        assert!(!is_starving(&json!({}), &all[..2]), "two may be chance");
        // A shorter history suffices, but a single run does not.
        assert!(is_starving(&json!({"historyLimit": 2}), &all[..2]));
        assert!(!is_starving(&json!({"historyLimit": 1}), &all[..1]) && !is_starving(&json!({"historyLimit": 0}), &[]));
        // The run in progress and earlier runs do not count.
        let succeeded = entry(4, "Succeeded", "2026-11-22T10:00:00Z");
        assert!(is_starving(&json!({}), &[&all[..3], std::slice::from_ref(&succeeded)].concat()));
        assert!(!is_starving(&json!({}), &[&[succeeded], &all[4..]].concat()));
    }

    #[test]
    fn other_run_outcomes_do_not_count_as_starved() {
        let with = |field: &str, value: Value| {
            let mut odd = replaced(2);
            odd[field] = value;
            is_starving(&json!({}), &[replaced(3), odd, replaced(1)])
        };
        assert!(with("attempts", json!(2)));
        assert!(!with("message", json!("operation o was cancelled by the annotation cancel-requested-at")));
        assert!(!with("message", json!("operation o was cancelled at the service, not by this operator")));
        assert!(!with("state", json!("Failed")));
        assert!(!with("trigger", json!({"type": "Request", "value": "now"})));
    }

    #[test]
    fn resource_without_replacing_schedule_is_not_starved() {
        let all = [3, 2, 1].map(replaced);
        assert!(is_starving(&json!({}), &all));
        for spec in [
            json!({"trigger": {"token": "a"}}),
            json!({"trigger": null}),
            json!({"suspend": true}),
            json!({"concurrencyPolicy": "Queue"}),
            json!({"concurrencyPolicy": "Forbid"}),
        ] {
            assert!(!is_starving(&spec, &all), "{spec}");
        }
        let mut resource = by_the_minute(&json!({}), &all);
        if let ModelResource::ModelRefresh(refresh) = &mut resource {
            refresh.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T11:30:00Z")).unwrap();
        }
        assert!(!ResourceSummary::of(Kind::ModelRefresh, Some(&resource)).starved, "a resource that is being deleted");
    }

    /// After any sequence of changes, the counts match the remaining resources.
    #[test]
    fn counts_follow_each_change() {
        let (metrics, uid): (_, Arc<str>) = (Metrics::new(), "u-1".into());
        let running = json!({"run": run("Submitting", "SubmissionUnknown")});
        let late = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "history": [entry(1, "Failed", "2026-11-22T07:00:00Z")]});
        let [running, late] = [running, late].map(|status| ResourceSummary::of(Kind::ModelRefresh, Some(&resource(&status))));
        let starved = ResourceSummary::of(Kind::ModelRefresh, Some(&by_the_minute(&json!({}), &[3, 2, 1].map(replaced))));
        let unreadable = ResourceSummary::of(Kind::ModelRefresh, None);
        let mut gauges = Gauges::default();
        let mut before = None;
        let text = |gauges: &Gauges| {
            gauges.publish("2026-11-22T12:00:00Z".parse().unwrap(), &metrics);
            metrics.encode().unwrap()
        };
        let assert_gauge =
            |text: &str, name: &str, value: i64| assert!(text.contains(&format!("tabular_operator_{name} {value}\n")), "{name}: {text}");
        for (after, totals) in [
            (Some(running), [1, 1, 0, 0, 0, 0]),
            (Some(late), [0, 0, 18_000, 600, 0, 0]),
            (Some(starved), [0, 0, 0, 0, 0, 1]),
            (Some(unreadable), [0, 0, 0, 0, 1, 0]),
            (None, [0; 6]),
        ] {
            gauges.replace(&uid, before.as_ref(), after.as_ref(), &metrics);
            before = after;
            let text = text(&gauges);
            assert_gauge(&text, r#"active_runs{kind="ModelRefresh",state="Submitting"}"#, totals[0]);
            assert_gauge(&text, r#"unresolved_submissions{kind="ModelRefresh"}"#, totals[1]);
            assert_gauge(&text, r#"oldest_unsuccessful_seconds{kind="ModelRefresh"}"#, totals[2]);
            assert_gauge(&text, r#"schedule_overdue_seconds{kind="ModelRefresh"}"#, totals[3]);
            assert_gauge(&text, r#"resources{kind="ModelRefresh",status="undecodable"}"#, totals[4]);
            assert_gauge(&text, r#"starved_schedules{kind="ModelRefresh"}"#, totals[5]);
        }
    }
}
