//! All metrics of the process, and their exposition.

use std::fmt;
use std::iter;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::resources::ResourceTable;
use super::series::{
    CallLabels, CollectionLabel, EndLabels, IdentityLabel, KindLabel, NoLabel, OperationLabels, PREFIX, ReconcileLabels, ResolutionLabel,
    ResourceLabels, ResultLabel, ServiceLabel, StateLabels, TokenLabels, TriggerLabels, WatchLabels, WriteLabels,
};
use crate::api::Kind;
use crate::operation::{IdentityKind, ServiceKind};
use crate::telemetry::labels::{
    ACTIVE_STATES, Collection, ENDS, ExportResult, ReconcileResult, ResourceStatus, SubmissionResolution, Write, WriteResult, triggers,
};
use crate::telemetry::trace_id::TraceId;

/// From a cached reconciliation to one that waits for a slow service, in seconds.
const RECONCILE_BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0];
/// From a nearby service to one that responds at the timeout, in seconds.
const CALL_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0];
/// From a table to a full night: 1 s to a day, in seconds.
const RUN_BUCKETS: [f64; 12] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0];
/// From no delay to an unacceptable one, in seconds. The recorded times are in whole seconds.
const LAG_BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 1_800.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
/// Histograms of runs. If tracing is enabled, each bucket has an exemplar with a trace id.
type TracedHistograms<L> = Family<L, Traced, fn() -> Traced>;
type Traced = HistogramWithExemplars<TraceId>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    pub(super) reconciles: Family<ReconcileLabels, Counter>,
    pub(super) reconcile_duration: Histograms<KindLabel>,
    pub(super) reconciles_in_flight: Gauge,
    pub(super) resources: Family<ResourceLabels, Gauge>,
    pub(super) queue_depth: Gauge,
    pub(super) active_runs: Family<StateLabels, Gauge>,
    pub(super) runs_requested: Family<TriggerLabels, Counter>,
    pub(super) runs_ended: Family<EndLabels, Counter>,
    pub(super) run_duration: TracedHistograms<StateLabels>,
    pub(super) run_wait: TracedHistograms<KindLabel>,
    pub(super) schedule_lag: TracedHistograms<KindLabel>,
    pub(super) end_lag: TracedHistograms<KindLabel>,
    pub(super) oldest_unsuccessful: Family<KindLabel, Gauge>,
    pub(super) schedule_overdue: Family<KindLabel, Gauge>,
    pub(super) starved_schedules: Family<KindLabel, Gauge>,
    pub(super) resource_table: Mutex<Option<Arc<ResourceTable>>>,
    pub(super) resource_metrics_omitted: Family<NoLabel, Gauge>,
    pub(super) unresolved: Family<KindLabel, Gauge>,
    pub(super) submission_resolutions: Family<ResolutionLabel, Counter>,
    pub(super) calls: Family<CallLabels, Counter>,
    pub(super) call_duration: Histograms<OperationLabels>,
    pub(super) deferred: Family<ServiceLabel, Counter>,
    pub(super) throttled: Gauge,
    pub(super) tokens: Family<TokenLabels, Counter>,
    pub(super) token_duration: Histograms<IdentityLabel>,
    pub(super) certificate_expiry: Family<NoLabel, Gauge>,
    pub(super) watch_healthy: Family<WatchLabels, Gauge>,
    pub(super) writes: Family<WriteLabels, Counter>,
    pub(super) is_leader: Gauge,
    pub(super) renewals: Family<ResultLabel, Counter>,
    pub(super) renewed: Gauge,
    pub(super) spans: Family<ResultLabel, Counter>,
    pub(super) tracked_entries: Family<CollectionLabel, Gauge>,
    pub(super) tasks: Gauge,
}

impl Metrics {
    /// All metrics at zero. A series that an alert selects by value exists from the start, so that its first increase is visible.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(|| Histogram::new(RECONCILE_BUCKETS)),
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
            resource_table: Mutex::default(),
            resource_metrics_omitted: Family::default(),
            unresolved: Family::default(),
            submission_resolutions: Family::default(),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            deferred: Family::default(),
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
            tracked_entries: Family::default(),
            tasks: Gauge::default(),
        };
        metrics.init_at_zero();
        metrics.registered()
    }

    fn init_at_zero(&self) {
        for &kind in Kind::ALL {
            for state in ACTIVE_STATES {
                self.set_active_runs(kind, state, 0);
            }
            for &status in ResourceStatus::ALL {
                self.set_resources(kind, status, 0);
            }
            let kind_label = kind.into();
            for trigger in triggers() {
                drop(self.runs_requested.get_or_create(&TriggerLabels { kind: kind_label, trigger: trigger.into() }));
            }
            for &(state, reason) in ENDS {
                drop(self.runs_ended.get_or_create(&EndLabels { kind: kind_label, state: state.into(), reason: reason.into() }));
            }
            for &result in ReconcileResult::ALL {
                drop(self.reconciles.get_or_create(&ReconcileLabels { kind: kind_label, result: result.into() }));
            }
            for lags in [&self.run_wait, &self.schedule_lag, &self.end_lag] {
                drop(lags.get_or_create(&KindLabel { kind: kind_label }));
            }
            self.set_oldest_unsuccessful(kind, 0);
            self.set_schedule_overdue(kind, 0);
            self.set_starved_schedules(kind, 0);
            self.set_unresolved(kind, 0);
        }
        for &outcome in SubmissionResolution::ALL {
            drop(self.submission_resolutions.get_or_create(&ResolutionLabel { outcome: outcome.into() }));
        }
        for &service in ServiceKind::ALL {
            drop(self.deferred.get_or_create(&ServiceLabel { service: service.into() }));
        }
        for &identity in IdentityKind::ALL {
            drop(self.token_duration.get_or_create(&IdentityLabel { identity: identity.into() }));
        }
        for &write in Write::ALL {
            for result in [WriteResult::Error, WriteResult::Refused] {
                drop(self.writes.get_or_create(&WriteLabels { write: write.into(), result: result.into() }));
            }
        }
        for &result in ExportResult::ALL {
            drop(self.spans.get_or_create(&ResultLabel { result: result.into() }));
        }
        for &collection in Collection::ALL {
            self.set_tracked_entries(collection, 0);
        }
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", version);
        registry.register("reconciles", "Reconciliations", self.reconciles.clone());
        registry.register_with_unit("reconcile_duration", "Duration of a reconciliation", Unit::Seconds, self.reconcile_duration.clone());
        registry.register("reconciles_in_flight", "Reconciliations in progress", self.reconciles_in_flight.clone());
        registry.register("resources", "Resources, by the summary of their conditions", self.resources.clone());
        registry.register("model_queue_depth", "Runs that wait for their turn on their model", self.queue_depth.clone());
        registry.register("active_runs", "Runs that have not ended", self.active_runs.clone());
        registry.register("runs_requested", "Started runs, by their trigger", self.runs_requested.clone());
        registry.register("runs_ended", "Ended runs", self.runs_ended.clone());
        let from_start = "Time from the start of an operation at the service to its end";
        registry.register_with_unit("run_duration", from_start, Unit::Seconds, self.run_duration.clone());
        registry.register_with_unit("run_wait", "Time from the request for a run to its submission", Unit::Seconds, self.run_wait.clone());
        let from_schedule = "Time from the scheduled time of a run to its submission";
        registry.register_with_unit("run_schedule_lag", from_schedule, Unit::Seconds, self.schedule_lag.clone());
        let from_end = "Time from the end of an operation, by the clock of the service, to its record in the status";
        registry.register_with_unit("run_end_lag", from_end, Unit::Seconds, self.end_lag.clone());
        let oldest = "Longest time that a resource has been failing or Stalled";
        registry.register_with_unit("oldest_unsuccessful", oldest, Unit::Seconds, self.oldest_unsuccessful.clone());
        let overdue = "Delay of the most overdue schedule";
        registry.register_with_unit("schedule_overdue", overdue, Unit::Seconds, self.schedule_overdue.clone());
        registry.register("starved_schedules", "Resources whose schedule replaces each run before it ends", self.starved_schedules.clone());
        registry.register("resource_metrics_omitted", "Resources without per-resource metrics", self.resource_metrics_omitted.clone());
        registry.register("unresolved_submissions", "Runs whose submission got no response", self.unresolved.clone());
        registry.register(
            "submission_resolutions",
            "Submissions whose response was lost, by their resolution",
            self.submission_resolutions.clone(),
        );
        registry.register("service_calls", "Requests to Azure", self.calls.clone());
        registry.register_with_unit("service_call_duration", "Duration of a request to Azure", Unit::Seconds, self.call_duration.clone());
        registry.register("service_calls_deferred", "Requests to Azure that the operator deferred", self.deferred.clone());
        registry.register("throttled_identities", "Identities that a service asked to back off", self.throttled.clone());
        registry.register("token_requests", "Token requests, excluding tokens from the cache", self.tokens.clone());
        registry.register_with_unit("token_request_duration", "Duration of a token request", Unit::Seconds, self.token_duration.clone());
        let expiry = "Expiry of the client certificate in use that expires first";
        registry.register_with_unit("certificate_expiry_timestamp", expiry, Unit::Seconds, self.certificate_expiry.clone());
        registry.register("watch_healthy", "1 while the watch is healthy", self.watch_healthy.clone());
        registry.register("kubernetes_writes", "Writes to the Kubernetes API", self.writes.clone());
        registry.register("is_leader", "1 while this process is the leader", self.is_leader.clone());
        registry.register("lease_renewals", "Renewals of the lease", self.renewals.clone());
        registry.register_with_unit(
            "lease_renewed_timestamp",
            "Time of the last renewal of the lease",
            Unit::Seconds,
            self.renewed.clone(),
        );
        registry.register("trace_spans", "Spans for the collector of traces, sent or lost", self.spans.clone());
        registry.register("tracked_entries", "Entries of the collections in memory", self.tracked_entries.clone());
        registry.register("tasks", "Concurrent tasks of the process", self.tasks.clone());
        self
    }

    /// The metrics as `OpenMetrics` text.
    ///
    /// # Errors
    /// If a metric cannot be encoded. None of these fails.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        self.pages().collect()
    }

    /// The metrics as `OpenMetrics` text, in pages. Each page is encoded when it is requested.
    pub fn pages(&self) -> impl Iterator<Item = Result<String, fmt::Error>> + Send + use<> {
        let mut text = String::with_capacity(32 * 1024);
        let first = encode_registry(&mut text, &self.registry).map(|()| text);
        let of_resources = self.resource_table.lock().clone().into_iter().flat_map(ResourceTable::pages);
        let mut end = String::new();
        let last = encode_eof(&mut end).map(|()| end);
        iter::once(first).chain(of_resources).chain(iter::once(last))
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
