//! The methods by which the rest of the operator counts.

use std::time::Duration;

use jiff::Timestamp;

use super::Metrics;
use super::series::{
    ActiveLabels, CallLabels, DurationLabels, EndLabels, IdentityLabel, KindLabel, NoLabel, ReconcileLabels, RenewalLabel, RouteLabels,
    ServiceLabel, SpanLabel, StandingLabels, TokenLabels, TriggerLabels, UnknownLabel, WatchLabels, WriteLabels,
};
use crate::api::{Kind, Reason};
use crate::telemetry::labels::{
    ActiveState, Answer, EndState, ExportResult, Identity, ReconcileResult, Route, Service, Standing, TokenResult, Trigger,
    UnknownSubmission, Write, WriteResult,
};
use crate::telemetry::trace_id::TraceId;

/// How the submission of a run came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// From the request for it.
    pub waited: Duration,
    /// From its scheduled time, where it has one.
    pub after_schedule: Option<Duration>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// In which state.
    pub state: EndState,
    /// Why.
    pub reason: Reason,
    /// How long the service took for it; `None` where it never started.
    pub took: Option<Duration>,
    /// From its end at the service to its record; `None` where the service has told of no end.
    pub lag: Option<Duration>,
}

/// While it lives, a pass is under way.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.reconciles_in_flight.dec();
    }
}

impl Metrics {
    /// A reconcile pass begins; it lasts until what is returned is dropped.
    #[must_use]
    pub fn reconciling(&self) -> InFlight<'_> {
        self.reconciles_in_flight.inc();
        InFlight(self)
    }

    /// A reconcile pass has ended.
    pub fn reconciled(&self, kind: Kind, result: ReconcileResult, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.reconcile_duration.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
    }

    /// So many resources stand like this.
    pub fn set_resources(&self, kind: Kind, standing: Standing, count: usize) {
        self.resources.get_or_create(&StandingLabels { kind, standing }).set(gauge(count));
    }

    /// So many runs wait for their turn on their model.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.set(gauge(depth));
    }

    /// So many runs are in this state.
    pub fn set_active_runs(&self, kind: Kind, state: ActiveState, count: usize) {
        self.active_runs.get_or_create(&ActiveLabels { kind, state }).set(gauge(count));
    }

    /// For so many seconds some resource has needed a person.
    pub fn set_oldest_unsuccessful(&self, kind: Kind, seconds: i64) {
        self.oldest_unsuccessful.get_or_create(&KindLabel { kind }).set(seconds);
    }

    /// Some schedule is overdue by so many seconds.
    pub fn set_schedule_overdue(&self, kind: Kind, seconds: i64) {
        self.schedule_overdue.get_or_create(&KindLabel { kind }).set(seconds);
    }

    /// So many schedules replace each run before it ends.
    pub fn set_starved_schedules(&self, kind: Kind, count: usize) {
        self.starved_schedules.get_or_create(&KindLabel { kind }).set(gauge(count));
    }

    /// Of so many submissions nobody knows what became of them.
    pub fn set_unresolved(&self, kind: Kind, count: usize) {
        self.unresolved.get_or_create(&KindLabel { kind }).set(gauge(count));
    }

    /// A run has begun.
    pub fn run_requested(&self, kind: Kind, trigger: Trigger) {
        self.runs_requested.get_or_create(&TriggerLabels { kind, trigger }).inc();
    }

    /// A run has been submitted.
    pub fn run_submitted(&self, kind: Kind, submitted: Submitted, trace: Option<TraceId>) {
        let Submitted { waited, after_schedule } = submitted;
        self.run_wait.get_or_create(&KindLabel { kind }).observe(waited.as_secs_f64(), trace, None);
        if let Some(lag) = after_schedule {
            self.schedule_lag.get_or_create(&KindLabel { kind }).observe(lag.as_secs_f64(), trace, None);
        }
    }

    /// A run has ended.
    pub fn run_ended(&self, kind: Kind, ended: Ended, trace: Option<TraceId>) {
        let Ended { state, reason, took, lag } = ended;
        self.runs_ended.get_or_create(&EndLabels { kind, state, reason: reason.into() }).inc();
        if let Some(took) = took {
            self.run_duration.get_or_create(&DurationLabels { kind, state }).observe(took.as_secs_f64(), trace, None);
        }
        if let Some(lag) = lag {
            self.end_lag.get_or_create(&KindLabel { kind }).observe(lag.as_secs_f64(), trace, None);
        }
    }

    /// A call to a service has been answered, or not.
    pub fn called(&self, service: Service, route: Route, answer: Answer, took: Duration) {
        self.calls.get_or_create(&CallLabels { service, route, answer }).inc();
        self.call_duration.get_or_create(&RouteLabels { service, route }).observe(took.as_secs_f64());
    }

    /// A call to a service was put off.
    pub fn held_back(&self, service: Service) {
        self.held_back.get_or_create(&ServiceLabel { service }).inc();
    }

    /// So many identities stay away from a service that asked them to.
    pub fn set_throttled(&self, count: usize) {
        self.throttled.set(gauge(count));
    }

    /// A token has been asked for.
    pub fn token_requested(&self, identity: Identity, result: TokenResult, took: Duration) {
        self.tokens.get_or_create(&TokenLabels { identity, result }).inc();
        self.token_duration.get_or_create(&IdentityLabel { identity }).observe(took.as_secs_f64());
    }

    /// The first client certificate in use expires then.
    pub fn set_certificate_expiry(&self, expiry: Option<Timestamp>) {
        match expiry {
            Some(expiry) => drop(self.certificate_expiry.get_or_create(&NoLabel {}).set(expiry.as_second())),
            None => self.certificate_expiry.clear(),
        }
    }

    /// An unknown submission was met, or resolved.
    pub fn unknown_submission(&self, outcome: UnknownSubmission) {
        self.unknown.get_or_create(&UnknownLabel { outcome }).inc();
    }

    /// Something was written to the Kubernetes API, or should have been.
    pub fn wrote(&self, write: Write, result: WriteResult) {
        self.writes.get_or_create(&WriteLabels { write, result }).inc();
    }

    /// Whether a watch over a kind works, in one namespace or in all.
    pub fn set_watch_healthy(&self, kind: Kind, namespace: Option<&str>, healthy: bool) {
        let labels = WatchLabels { kind, watched_namespace: namespace.unwrap_or("*").to_owned() };
        self.watch_healthy.get_or_create(&labels).set(i64::from(healthy));
    }

    /// Whether this process may act.
    pub fn set_leader(&self, leader: bool) {
        self.is_leader.set(i64::from(leader));
    }

    /// The lease was renewed, or not.
    pub fn lease_renewed(&self, result: WriteResult) {
        self.renewals.get_or_create(&RenewalLabel { result }).inc();
        if result == WriteResult::Success {
            self.renewed.set(Timestamp::now().as_second());
        }
    }

    /// So many spans were sent to the collector, or could not be.
    pub fn spans_exported(&self, result: ExportResult, count: usize) {
        self.spans.get_or_create(&SpanLabel { result }).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
