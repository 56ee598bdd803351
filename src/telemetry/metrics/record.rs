//! The methods that record the metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::registry::Metrics;
use super::resources::ResourceTable;
use super::series::{
    CallLabels, CollectionLabel, EndLabels, IdentityLabel, KindLabel, NoLabel, OperationLabels, ReconcileLabels, ResolutionLabel,
    ResourceLabels, ResultLabel, ServiceLabel, StateLabels, TokenLabels, TriggerLabels, WatchLabels, WriteLabels,
};
use crate::api::{Kind, Reason, RunState, TriggerType};
use crate::operation::{CallRecord, CallTarget, ServiceKind};
use crate::telemetry::labels::{
    CallCode, Collection, ExportResult, ReconcileResult, ResourceStatus, SubmissionResolution, TokenResult, Write, WriteResult,
};
use crate::telemetry::trace_id::TraceId;

/// Delays of the submission of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// Time since the request for the run.
    pub waited: Duration,
    /// Time since the scheduled time, if any.
    pub after_schedule: Option<Duration>,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// State at the end.
    pub state: RunState,
    /// Reason of the end.
    pub reason: Reason,
    /// Duration at the service; `None` if the operation never started.
    pub duration: Option<Duration>,
    /// Time from the end at the service to its record; `None` if the service reported no end.
    pub lag: Option<Duration>,
}

/// Counts a reconciliation as in progress until it is dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.reconciles_in_flight.dec();
    }
}

impl Metrics {
    /// Starts to count a reconciliation, until the result is dropped.
    #[must_use]
    pub fn reconciling(&self) -> InFlight<'_> {
        self.reconciles_in_flight.inc();
        InFlight(self)
    }

    /// Records an ended reconciliation.
    pub fn reconciled(&self, kind: Kind, result: ReconcileResult, duration: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind: kind.into(), result: result.into() }).inc();
        self.reconcile_duration.get_or_create(&KindLabel { kind: kind.into() }).observe(duration.as_secs_f64());
    }

    /// Sets the number of resources with this summary.
    pub fn set_resources(&self, kind: Kind, status: ResourceStatus, count: usize) {
        self.resources.get_or_create(&ResourceLabels { kind: kind.into(), status: status.into() }).set(gauge(count));
    }

    /// Sets the number of runs that wait for their turn on their model.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.set(gauge(depth));
    }

    /// Sets the number of runs in this state.
    pub fn set_active_runs(&self, kind: Kind, state: RunState, count: usize) {
        self.active_runs.get_or_create(&StateLabels { kind: kind.into(), state: state.into() }).set(gauge(count));
    }

    /// Sets the longest time that a resource has been waiting for a user, in seconds.
    pub fn set_oldest_unsuccessful(&self, kind: Kind, seconds: i64) {
        self.oldest_unsuccessful.get_or_create(&KindLabel { kind: kind.into() }).set(seconds);
    }

    /// Sets the delay of the most overdue schedule, in seconds.
    pub fn set_schedule_overdue(&self, kind: Kind, seconds: i64) {
        self.schedule_overdue.get_or_create(&KindLabel { kind: kind.into() }).set(seconds);
    }

    /// Sets the number of schedules that replace each run before it ends.
    pub fn set_starved_schedules(&self, kind: Kind, count: usize) {
        self.starved_schedules.get_or_create(&KindLabel { kind: kind.into() }).set(gauge(count));
    }

    /// Replaces the per-resource metrics.
    pub fn set_resource_table(&self, table: ResourceTable) {
        self.resource_metrics_omitted.get_or_create(&NoLabel {}).set(gauge(table.omitted()));
        *self.resource_table.lock() = Some(Arc::new(table));
    }

    /// Removes the per-resource metrics. Only the leader has them.
    pub fn clear_resource_table(&self) {
        self.resource_metrics_omitted.clear();
        *self.resource_table.lock() = None;
    }

    /// Sets the number of unresolved submissions.
    pub fn set_unresolved(&self, kind: Kind, count: usize) {
        self.unresolved.get_or_create(&KindLabel { kind: kind.into() }).set(gauge(count));
    }

    /// Records a started run.
    pub fn run_requested(&self, kind: Kind, trigger: TriggerType) {
        self.runs_requested.get_or_create(&TriggerLabels { kind: kind.into(), trigger: trigger.into() }).inc();
    }

    /// Records a submitted run.
    pub fn run_submitted(&self, kind: Kind, submitted: Submitted, trace: Option<TraceId>) {
        let Submitted { waited, after_schedule } = submitted;
        self.run_wait.get_or_create(&KindLabel { kind: kind.into() }).observe(waited.as_secs_f64(), trace, None);
        if let Some(lag) = after_schedule {
            self.schedule_lag.get_or_create(&KindLabel { kind: kind.into() }).observe(lag.as_secs_f64(), trace, None);
        }
    }

    /// Records an ended run.
    pub fn run_ended(&self, kind: Kind, ended: Ended, trace: Option<TraceId>) {
        let Ended { state, reason, duration, lag } = ended;
        self.runs_ended.get_or_create(&EndLabels { kind: kind.into(), state: state.into(), reason: reason.into() }).inc();
        if let Some(duration) = duration {
            self.run_duration.get_or_create(&StateLabels { kind: kind.into(), state: state.into() }).observe(
                duration.as_secs_f64(),
                trace,
                None,
            );
        }
        if let Some(lag) = lag {
            self.end_lag.get_or_create(&KindLabel { kind: kind.into() }).observe(lag.as_secs_f64(), trace, None);
        }
    }

    /// Records a completed or failed HTTP exchange with a service or for a token.
    pub fn called(&self, call: &CallRecord<'_>) {
        let duration = call.duration.as_secs_f64();
        match call.target {
            CallTarget::Service(service, kind) => {
                let (service, operation, code) = (service.into(), kind.into(), CallCode::of(call.status, call.fault).into());
                self.calls.get_or_create(&CallLabels { service, operation, code }).inc();
                self.call_duration.get_or_create(&OperationLabels { service, operation }).observe(duration);
            }
            CallTarget::Token(identity) => {
                let (identity, result) = (identity.into(), TokenResult::of(call.status).into());
                self.tokens.get_or_create(&TokenLabels { identity, result }).inc();
                self.token_duration.get_or_create(&IdentityLabel { identity }).observe(duration);
            }
        }
    }

    /// Records a deferred request to a service.
    pub fn deferred(&self, service: ServiceKind) {
        self.deferred.get_or_create(&ServiceLabel { service: service.into() }).inc();
    }

    /// Sets the number of identities that back off from a service.
    pub fn set_throttled(&self, count: usize) {
        self.throttled.set(gauge(count));
    }

    /// Sets the expiry of the client certificate in use that expires first.
    pub fn set_certificate_expiry(&self, expiry: Option<Timestamp>) {
        match expiry {
            Some(expiry) => drop(self.certificate_expiry.get_or_create(&NoLabel {}).set(expiry.as_second())),
            None => self.certificate_expiry.clear(),
        }
    }

    /// Records an unknown submission, or its resolution.
    pub fn submission_resolved(&self, outcome: SubmissionResolution) {
        self.submission_resolutions.get_or_create(&ResolutionLabel { outcome: outcome.into() }).inc();
    }

    /// Records a write to the Kubernetes API, or a failed attempt.
    pub fn wrote(&self, write: Write, result: WriteResult) {
        self.writes.get_or_create(&WriteLabels { write: write.into(), result: result.into() }).inc();
    }

    /// Sets whether the watch of a kind in one namespace, or in all, is healthy.
    pub fn set_watch_healthy(&self, kind: Kind, namespace: Option<&str>, healthy: bool) {
        let labels = WatchLabels { kind: kind.into(), watched_namespace: namespace.unwrap_or("*").to_owned() };
        self.watch_healthy.get_or_create(&labels).set(i64::from(healthy));
    }

    /// Sets whether this process is the leader.
    pub fn set_leader(&self, leader: bool) {
        self.is_leader.set(i64::from(leader));
    }

    /// Records a renewal of the lease, or a failed attempt.
    pub fn lease_renewed(&self, result: WriteResult) {
        self.renewals.get_or_create(&ResultLabel { result: result.into() }).inc();
        if result == WriteResult::Success {
            self.renewed.set(Timestamp::now().as_second());
        }
    }

    /// Records spans that were sent to the collector or lost.
    pub fn spans_exported(&self, result: ExportResult, count: usize) {
        self.spans.get_or_create(&ResultLabel { result: result.into() }).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Sets the number of entries of a collection in memory.
    pub fn set_tracked_entries(&self, collection: Collection, count: usize) {
        self.tracked_entries.get_or_create(&CollectionLabel { collection: collection.into() }).set(gauge(count));
    }

    /// Sets the number of concurrent tasks.
    pub fn set_tasks(&self, count: usize) {
        self.tasks.set(gauge(count));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
