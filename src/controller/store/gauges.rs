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
        _ if status.needed_action().is_some() => ResourceStatus::Stalled,
        _ if of(ConditionType::Stalled).is_some() => ResourceStatus::Cancelled,
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
    status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting && run.reason != Reason::Submitting.as_str())
}

/// The time since when a resource has been failing or Stalled: since it needs an action, or since the first of the latest consecutive failures
/// in its history. Only a success resets it, not a new run. Cancelled runs do not count.
fn unsuccessful_since(status: &Status) -> Option<Time> {
    let ends = status.history.iter().filter(|entry| entry.state != RunState::Cancelled);
    let bad = ends.take_while(|entry| matches!(entry.state, RunState::Failed | RunState::TimedOut)).last();
    let stalled = status.needed_action().map(|condition| condition.last_transition_time);
    bad.and_then(|entry| entry.recorded_time.or(entry.ended_time)).into_iter().chain(stalled).min()
}

#[cfg(test)]
mod tests;
