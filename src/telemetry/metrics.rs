//! The metrics: what is counted, and the methods by which the rest of the operator counts it.
//!
//! | metric (prefix `tabular_operator_`) | type | labels | meaning |
//! |---|---|---|---|
//! | `build_info` | info | `version` | which version runs |
//! | `reconciles_total` | counter | `kind`, `result` | reconcile passes |
//! | `reconcile_duration_seconds` | histogram | `kind` | how long a pass took |
//! | `reconcile_queue_depth` | gauge | | resources that wait for their turn on a model |
//! | `active_runs` | gauge | `kind`, `state` | runs that have not ended |
//! | `runs_ended_total` | counter | `kind`, `state` | runs that have ended |
//! | `run_duration_seconds` | histogram | `kind`, `state` | from the service's start of an operation to its end |
//! | `run_wait_seconds` | histogram | `kind` | from the request for a run to its submission |
//! | `service_calls_total` | counter | `service`, `route`, `answer` | calls to Azure |
//! | `service_call_duration_seconds` | histogram | `service`, `route` | how long a call to Azure took |
//! | `token_requests_total` | counter | `identity`, `result` | tokens asked for, those from the cache not among them |
//! | `unknown_submissions_total` | counter | `outcome` | submissions whose answer was lost, and what became of them |
//! | `kubernetes_writes_total` | counter | `write`, `result` | writes to the Kubernetes API |
//! | `is_leader` | gauge | | 1 while this process may act |
//! | `lease_renewals_total` | counter | `result` | renewals of the lease |

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    ActiveState, Answer, EndState, Identity, Kind, ReconcileResult, Route, Service, TokenResult, UnknownSubmission, Write, WriteResult,
};

/// What all metrics are called first.
const PREFIX: &str = "tabular_operator";

/// From a cached look to a pass that waits for a slow service (seconds).
const PASS_BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0];
/// From a near service to one that answers at its deadline (seconds).
const CALL_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0];
/// From a table to a night: 1 s to a day (seconds).
const RUN_BUCKETS: [f64; 12] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_duration: Histograms<KindLabel>,
    queue_depth: Gauge,
    active_runs: Family<ActiveLabels, Gauge>,
    runs_ended: Family<EndLabels, Counter>,
    run_duration: Histograms<EndLabels>,
    run_wait: Histograms<KindLabel>,
    calls: Family<CallLabels, Counter>,
    call_duration: Histograms<RouteLabels>,
    tokens: Family<TokenLabels, Counter>,
    unknown: Family<UnknownLabel, Counter>,
    writes: Family<WriteLabels, Counter>,
    is_leader: Gauge,
    renewals: Family<RenewalLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: Kind,
    result: ReconcileResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActiveLabels {
    kind: Kind,
    state: ActiveState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    kind: Kind,
    state: EndState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: Service,
    route: Route,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    service: Service,
    route: Route,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    identity: Identity,
    result: TokenResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnknownLabel {
    outcome: UnknownSubmission,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    write: Write,
    result: WriteResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabel {
    result: WriteResult,
}

impl Metrics {
    /// All at zero. What an alert asks for by value exists from the start, so that its first increase is seen.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(|| Histogram::new(PASS_BUCKETS)),
            queue_depth: Gauge::default(),
            active_runs: Family::default(),
            runs_ended: Family::default(),
            run_duration: Family::new_with_constructor(|| Histogram::new(RUN_BUCKETS)),
            run_wait: Family::new_with_constructor(|| Histogram::new(RUN_BUCKETS)),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            tokens: Family::default(),
            unknown: Family::default(),
            writes: Family::default(),
            is_leader: Gauge::default(),
            renewals: Family::default(),
        };
        metrics.begin_at_zero();
        metrics.registered()
    }

    fn begin_at_zero(&self) {
        for &kind in Kind::ALL {
            for &state in ActiveState::ALL {
                self.set_active_runs(kind, state, 0);
            }
            for &state in EndState::ALL {
                drop(self.runs_ended.get_or_create(&EndLabels { kind, state }));
            }
            for &result in ReconcileResult::ALL {
                drop(self.reconciles.get_or_create(&ReconcileLabels { kind, result }));
            }
        }
        for &outcome in UnknownSubmission::ALL {
            drop(self.unknown.get_or_create(&UnknownLabel { outcome }));
        }
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which version runs", version);
        registry.register("reconciles", "Reconcile passes", self.reconciles.clone());
        registry.register_with_unit("reconcile_duration", "How long a reconcile pass took", Unit::Seconds, self.reconcile_duration.clone());
        registry.register("reconcile_queue_depth", "Resources that wait for their turn on a model", self.queue_depth.clone());
        registry.register("active_runs", "Runs that have not ended", self.active_runs.clone());
        registry.register("runs_ended", "Runs that have ended", self.runs_ended.clone());
        registry.register_with_unit(
            "run_duration",
            "From the service's start of an operation to its end",
            Unit::Seconds,
            self.run_duration.clone(),
        );
        registry.register_with_unit("run_wait", "From the request for a run to its submission", Unit::Seconds, self.run_wait.clone());
        registry.register("service_calls", "Calls to Azure", self.calls.clone());
        registry.register_with_unit("service_call_duration", "How long a call to Azure took", Unit::Seconds, self.call_duration.clone());
        registry.register("token_requests", "Tokens asked for, those from the cache not among them", self.tokens.clone());
        registry.register("unknown_submissions", "Submissions whose answer was lost, and what became of them", self.unknown.clone());
        registry.register("kubernetes_writes", "Writes to the Kubernetes API", self.writes.clone());
        registry.register("is_leader", "1 while this process may act", self.is_leader.clone());
        registry.register("lease_renewals", "Renewals of the lease", self.renewals.clone());
        self
    }

    /// A reconcile pass has ended.
    pub fn reconciled(&self, kind: Kind, result: ReconcileResult, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.reconcile_duration.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
    }

    /// So many resources wait for their turn on a model.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.set(gauge(depth));
    }

    /// So many runs are in this state.
    pub fn set_active_runs(&self, kind: Kind, state: ActiveState, count: usize) {
        self.active_runs.get_or_create(&ActiveLabels { kind, state }).set(gauge(count));
    }

    /// A run has been submitted, so long after it was asked for.
    pub fn run_submitted(&self, kind: Kind, waited: Duration) {
        self.run_wait.get_or_create(&KindLabel { kind }).observe(waited.as_secs_f64());
    }

    /// A run has ended; `took` is `None` where it never started.
    pub fn run_ended(&self, kind: Kind, state: EndState, took: Option<Duration>) {
        let labels = EndLabels { kind, state };
        self.runs_ended.get_or_create(&labels).inc();
        if let Some(took) = took {
            self.run_duration.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// A call to a service has been answered, or not.
    pub fn called(&self, service: Service, route: Route, answer: Answer, took: Duration) {
        self.calls.get_or_create(&CallLabels { service, route, answer }).inc();
        self.call_duration.get_or_create(&RouteLabels { service, route }).observe(took.as_secs_f64());
    }

    /// A token has been asked for.
    pub fn token_requested(&self, identity: Identity, result: TokenResult) {
        self.tokens.get_or_create(&TokenLabels { identity, result }).inc();
    }

    /// An unknown submission was met, or resolved.
    pub fn unknown_submission(&self, outcome: UnknownSubmission) {
        self.unknown.get_or_create(&UnknownLabel { outcome }).inc();
    }

    /// Something was written to the Kubernetes API, or should have been.
    pub fn wrote(&self, write: Write, result: WriteResult) {
        self.writes.get_or_create(&WriteLabels { write, result }).inc();
    }

    /// Whether this process may act.
    pub fn set_leader(&self, leader: bool) {
        self.is_leader.set(i64::from(leader));
    }

    /// The lease was renewed, or not.
    pub fn lease_renewed(&self, result: WriteResult) {
        self.renewals.get_or_create(&RenewalLabel { result }).inc();
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

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
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
