//! The metrics: what is counted, and in `counting` the methods by which the rest of the operator counts it.
//!
//! | metric (prefix `tabular_operator_`) | type | labels | meaning |
//! |---|---|---|---|
//! | `build_info` | info | `version` | which version runs |
//! | `reconciles_total` | counter | `kind`, `result` | reconcile passes |
//! | `reconcile_duration_seconds` | histogram | `kind` | how long a pass took |
//! | `reconciles_in_flight` | gauge | | passes under way; above three quarters of `--max-concurrent-reconciles` others may wait for a place |
//! | `resources` | gauge | `kind`, `standing` | resources, by what their conditions say |
//! | `model_queue_depth` | gauge | | runs that wait for their turn on their model |
//! | `active_runs` | gauge | `kind`, `state` | runs that have not ended |
//! | `runs_requested_total` | counter | `kind`, `trigger` | runs that were begun, by what started them |
//! | `runs_ended_total` | counter | `kind`, `state`, `reason` | runs that have ended |
//! | `run_duration_seconds` | histogram | `kind`, `state` | from the service's start of an operation to its end |
//! | `run_wait_seconds` | histogram | `kind` | from the request for a run to its submission |
//! | `run_schedule_lag_seconds` | histogram | `kind` | from the scheduled time of a run to its submission |
//! | `run_end_lag_seconds` | histogram | `kind` | from the end of an operation, by the service's clock, to its record in the status |
//! | `oldest_unsuccessful_seconds` | gauge | `kind` | for how long the resource that needs a person for longest has done so; 0 where none does |
//! | `schedule_overdue_seconds` | gauge | `kind` | by how much the most overdue schedule is; 0 where none is |
//! | `starved_schedules` | gauge | `kind` | resources whose schedule replaces each run before it ends: the last 3 runs (with `historyLimit: 2` the last 2) were scheduled, and each was cancelled for its next trigger; with a smaller `historyLimit` none is counted |
//! | `unresolved_submissions` | gauge | `kind` | runs whose submission lost its answer, and of which nobody knows yet whether they began |
//! | `unknown_submissions_total` | counter | `outcome` | submissions whose answer was lost, and what became of them |
//! | `service_calls_total` | counter | `service`, `route`, `answer` | calls to Azure |
//! | `service_call_duration_seconds` | histogram | `service`, `route` | how long a call to Azure took |
//! | `service_calls_held_back_total` | counter | `service` | calls that were put off, since the service had asked to stay away or too many were in flight |
//! | `throttled_identities` | gauge | | identities that a service has asked to stay away for a while |
//! | `token_requests_total` | counter | `identity`, `result` | tokens asked for, those from the cache not among them |
//! | `token_request_duration_seconds` | histogram | `identity` | how long a request for a token took |
//! | `certificate_expiry_timestamp_seconds` | gauge | | when the first of the client certificates in use expires, in Unix time; absent where none is in use |
//! | `watch_healthy` | gauge | `kind`, `watched_namespace` | 1 while the Kubernetes API shows the resources of a kind in a namespace, or in all (`*`); absent on a standby |
//! | `kubernetes_writes_total` | counter | `write`, `result` | writes to the Kubernetes API |
//! | `is_leader` | gauge | | 1 while this process may act |
//! | `lease_renewals_total` | counter | `result` | renewals of the lease |
//! | `lease_renewed_timestamp_seconds` | gauge | | when the lease was last renewed, in Unix time; 0 before the first time |
//! | `trace_spans_total` | counter | `result` | spans that were sent to the collector of traces, or were lost: the collector did not take them, or their queue was full |

mod counting;
pub mod plain;
mod series;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    ActiveState, ENDS, ExportResult, Identity, ReconcileResult, Service, Standing, Trigger, UnknownSubmission, Write, WriteResult,
};
use super::trace_id::TraceId;
use crate::api::Kind;
pub use counting::{Ended, InFlight, Submitted};
use series::{
    ActiveLabels, CallLabels, DurationLabels, EndLabels, IdentityLabel, KindLabel, NoLabel, ReconcileLabels, RenewalLabel, RouteLabels,
    ServiceLabel, SpanLabel, StandingLabels, TokenLabels, TriggerLabels, UnknownLabel, WatchLabels, WriteLabels,
};

/// What all metrics are called first.
const PREFIX: &str = "tabular_operator";

/// From a cached look to a pass that waits for a slow service (seconds).
const PASS_BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0];
/// From a near service to one that answers at its deadline (seconds).
const CALL_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0];
/// From a table to a night: 1 s to a day (seconds).
const RUN_BUCKETS: [f64; 12] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0];
/// From at once to much later than anybody may be (seconds). What is on record is in whole seconds.
const LAG_BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 1_800.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
/// Histograms of what a run did: where traces are on, an example of each bucket names its trace.
type TracedHistograms<L> = Family<L, Traced, fn() -> Traced>;
type Traced = HistogramWithExemplars<TraceId>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_duration: Histograms<KindLabel>,
    reconciles_in_flight: Gauge,
    resources: Family<StandingLabels, Gauge>,
    queue_depth: Gauge,
    active_runs: Family<ActiveLabels, Gauge>,
    runs_requested: Family<TriggerLabels, Counter>,
    runs_ended: Family<EndLabels, Counter>,
    run_duration: TracedHistograms<DurationLabels>,
    run_wait: TracedHistograms<KindLabel>,
    schedule_lag: TracedHistograms<KindLabel>,
    end_lag: TracedHistograms<KindLabel>,
    oldest_unsuccessful: Family<KindLabel, Gauge>,
    schedule_overdue: Family<KindLabel, Gauge>,
    starved_schedules: Family<KindLabel, Gauge>,
    unresolved: Family<KindLabel, Gauge>,
    unknown: Family<UnknownLabel, Counter>,
    calls: Family<CallLabels, Counter>,
    call_duration: Histograms<RouteLabels>,
    held_back: Family<ServiceLabel, Counter>,
    throttled: Gauge,
    tokens: Family<TokenLabels, Counter>,
    token_duration: Histograms<IdentityLabel>,
    certificate_expiry: Family<NoLabel, Gauge>,
    watch_healthy: Family<WatchLabels, Gauge>,
    writes: Family<WriteLabels, Counter>,
    is_leader: Gauge,
    renewals: Family<RenewalLabel, Counter>,
    renewed: Gauge,
    spans: Family<SpanLabel, Counter>,
}

impl Metrics {
    /// All at zero. What an alert asks for by value exists from the start, so that its first increase is seen.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(|| Histogram::new(PASS_BUCKETS)),
            reconciles_in_flight: Gauge::default(),
            resources: Family::default(),
            queue_depth: Gauge::default(),
            active_runs: Family::default(),
            runs_requested: Family::default(),
            runs_ended: Family::default(),
            run_duration: Family::new_with_constructor(|| Traced::new(RUN_BUCKETS.into_iter())),
            run_wait: Family::new_with_constructor(|| Traced::new(RUN_BUCKETS.into_iter())),
            schedule_lag: Family::new_with_constructor(|| Traced::new(LAG_BUCKETS.into_iter())),
            end_lag: Family::new_with_constructor(|| Traced::new(LAG_BUCKETS.into_iter())),
            oldest_unsuccessful: Family::default(),
            schedule_overdue: Family::default(),
            starved_schedules: Family::default(),
            unresolved: Family::default(),
            unknown: Family::default(),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            held_back: Family::default(),
            throttled: Gauge::default(),
            tokens: Family::default(),
            token_duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            certificate_expiry: Family::default(),
            watch_healthy: Family::default(),
            writes: Family::default(),
            is_leader: Gauge::default(),
            renewals: Family::default(),
            renewed: Gauge::default(),
            spans: Family::default(),
        };
        metrics.begin_at_zero();
        metrics.registered()
    }

    fn begin_at_zero(&self) {
        for &kind in Kind::ALL {
            for &state in ActiveState::ALL {
                self.set_active_runs(kind, state, 0);
            }
            for &standing in Standing::ALL {
                self.set_resources(kind, standing, 0);
            }
            for &trigger in Trigger::ALL {
                drop(self.runs_requested.get_or_create(&TriggerLabels { kind, trigger }));
            }
            for &(state, reason) in ENDS {
                drop(self.runs_ended.get_or_create(&EndLabels { kind, state, reason: reason.into() }));
            }
            for &result in ReconcileResult::ALL {
                drop(self.reconciles.get_or_create(&ReconcileLabels { kind, result }));
            }
            for lags in [&self.run_wait, &self.schedule_lag, &self.end_lag] {
                drop(lags.get_or_create(&KindLabel { kind }));
            }
            self.set_oldest_unsuccessful(kind, 0);
            self.set_schedule_overdue(kind, 0);
            self.set_starved_schedules(kind, 0);
            self.set_unresolved(kind, 0);
        }
        for &outcome in UnknownSubmission::ALL {
            drop(self.unknown.get_or_create(&UnknownLabel { outcome }));
        }
        for &service in Service::ALL {
            drop(self.held_back.get_or_create(&ServiceLabel { service }));
        }
        for &identity in Identity::ALL {
            drop(self.token_duration.get_or_create(&IdentityLabel { identity }));
        }
        for &write in Write::ALL {
            for result in [WriteResult::Error, WriteResult::Refused] {
                drop(self.writes.get_or_create(&WriteLabels { write, result }));
            }
        }
        for &result in ExportResult::ALL {
            drop(self.spans.get_or_create(&SpanLabel { result }));
        }
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which version runs", version);
        registry.register("reconciles", "Reconcile passes", self.reconciles.clone());
        registry.register_with_unit("reconcile_duration", "How long a reconcile pass took", Unit::Seconds, self.reconcile_duration.clone());
        registry.register("reconciles_in_flight", "Reconcile passes under way", self.reconciles_in_flight.clone());
        registry.register("resources", "Resources, by what their conditions say", self.resources.clone());
        registry.register("model_queue_depth", "Runs that wait for their turn on their model", self.queue_depth.clone());
        registry.register("active_runs", "Runs that have not ended", self.active_runs.clone());
        registry.register("runs_requested", "Runs that were begun, by what started them", self.runs_requested.clone());
        registry.register("runs_ended", "Runs that have ended", self.runs_ended.clone());
        let from_start = "From the service's start of an operation to its end";
        registry.register_with_unit("run_duration", from_start, Unit::Seconds, self.run_duration.clone());
        registry.register_with_unit("run_wait", "From the request for a run to its submission", Unit::Seconds, self.run_wait.clone());
        let from_schedule = "From the scheduled time of a run to its submission";
        registry.register_with_unit("run_schedule_lag", from_schedule, Unit::Seconds, self.schedule_lag.clone());
        let from_end = "From the end of an operation, by the service's clock, to its record in the status";
        registry.register_with_unit("run_end_lag", from_end, Unit::Seconds, self.end_lag.clone());
        let oldest = "For how long the resource that needs a person for longest has done so";
        registry.register_with_unit("oldest_unsuccessful", oldest, Unit::Seconds, self.oldest_unsuccessful.clone());
        let overdue = "By how much the most overdue schedule is";
        registry.register_with_unit("schedule_overdue", overdue, Unit::Seconds, self.schedule_overdue.clone());
        registry.register("starved_schedules", "Resources whose schedule replaces each run before it ends", self.starved_schedules.clone());
        registry.register("unresolved_submissions", "Runs whose submission lost its answer", self.unresolved.clone());
        registry.register("unknown_submissions", "Submissions whose answer was lost, and what became of them", self.unknown.clone());
        registry.register("service_calls", "Calls to Azure", self.calls.clone());
        registry.register_with_unit("service_call_duration", "How long a call to Azure took", Unit::Seconds, self.call_duration.clone());
        registry.register("service_calls_held_back", "Calls to Azure that were put off", self.held_back.clone());
        registry.register("throttled_identities", "Identities that a service has asked to stay away", self.throttled.clone());
        registry.register("token_requests", "Tokens asked for, those from the cache not among them", self.tokens.clone());
        registry.register_with_unit(
            "token_request_duration",
            "How long a request for a token took",
            Unit::Seconds,
            self.token_duration.clone(),
        );
        let expiry = "When the first of the client certificates in use expires";
        registry.register_with_unit("certificate_expiry_timestamp", expiry, Unit::Seconds, self.certificate_expiry.clone());
        registry.register("watch_healthy", "1 while the Kubernetes API shows the resources", self.watch_healthy.clone());
        registry.register("kubernetes_writes", "Writes to the Kubernetes API", self.writes.clone());
        registry.register("is_leader", "1 while this process may act", self.is_leader.clone());
        registry.register("lease_renewals", "Renewals of the lease", self.renewals.clone());
        registry.register_with_unit("lease_renewed_timestamp", "When the lease was last renewed", Unit::Seconds, self.renewed.clone());
        registry.register("trace_spans", "Spans sent to the collector of traces", self.spans.clone());
        self
    }

    /// All of it, as `OpenMetrics` text.
    ///
    /// # Errors
    /// Where a metric cannot be written; none of ours does that.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
