//! The commands and their flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::values;
use crate::telemetry::logs::LogFormat;

/// Refreshes tabular models, exactly once.
///
/// A Kubernetes operator for Azure Analysis Services databases and Power BI semantic models. It submits the operation that a `ModelRefresh`
/// or `ModelSync` requests, tracks it until it ends, and reports it in the status.
#[derive(Debug, Parser)]
#[command(name = "tabular-operator", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped by SIGTERM or SIGINT, or completed command
  2  invalid usage or settings; correct them before the next start
  1  any other failure, including the loss of the lease; restart";

const RUN_EXAMPLES: &str = "\
Examples:
  tabular-operator run
      Watch all namespaces of the cluster of the current kubeconfig, or of the pod.

  tabular-operator run --watch-namespace bi --watch-namespace finance --lease-namespace bi
      Watch two namespaces only.

  TABULAR_OPERATOR_WATCH_NAMESPACE=bi,finance tabular-operator run
      The same with an environment variable. Separate the values of a list by commas.

  tabular-operator run --cloud china --poll-max 1m --log-format text --log-level debug
      Use another cloud, poll long refreshes less often, and write readable logs.

  HTTPS_PROXY=http://proxy:3128 tabular-operator run --extra-ca-file /etc/ssl/proxy.pem
      Use a proxy that intercepts TLS. It applies to Azure only, never to the Kubernetes API.

Write durations as 500ms, 30s, 2m or 1h30m.

Exit codes:
  0  stopped by SIGTERM or SIGINT
  2  invalid usage or settings; correct them before the next start
  1  any other failure, including the loss of the lease; restart";

const DRAIN_NOTES: &str = "\
Requires a running operator, which receives the request through the Lease, and only the operator's own permissions:
  kubectl exec deployment/tabular-operator --namespace tabular-system -- /tabular-operator drain

Exit codes:
  0  no run is in progress; uninstall the operator within 1 minute, or it resumes
  2  invalid usage or settings
  1  a run is still in progress, or any other failure; the operator resumes";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until SIGTERM.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),

    /// Prepare for an uninstall: stop starting runs, cancel or wait for running operations, and remove finalizers. An uninstall of the
    /// chart does this automatically.
    #[command(after_help = DRAIN_NOTES)]
    Drain(Box<DrainArgs>),

    /// Print the custom resource definitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
}

/// The flags of `run`, before validation.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(super) cloud: CloudArgs,
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
    #[command(flatten)]
    pub(super) polling: PollingArgs,
    #[command(flatten)]
    pub(super) leader: LeaderArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) observe: ObserveArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Azure")]
pub(super) struct CloudArgs {
    /// Azure cloud to call. No resource can name a host outside this cloud.
    #[arg(long, env = "TABULAR_OPERATOR_CLOUD", hide_env_values = true, value_name = "CLOUD", default_value = "public")]
    pub(super) cloud: CloudName,

    /// YAML file with the hosts and audiences of a custom cloud. Requires `--cloud custom`.
    #[arg(long, env = "TABULAR_OPERATOR_CLOUD_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) cloud_file: Option<PathBuf>,

    /// Additional certificates (PEM) to trust, for Azure only, for example of a proxy or a private authority. Restart the operator after a
    /// change of the file.
    #[arg(long, env = "TABULAR_OPERATOR_EXTRA_CA_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) extra_ca_file: Option<PathBuf>,
}

/// The flags of `drain`, before validation.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// What to do with running operations.
    #[arg(long, value_name = "WHAT", default_value = "cancel")]
    pub(super) runs: DrainRuns,

    /// Time limit until no run is in progress (1s to 24h).
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = values::drain_timeout)]
    pub(super) timeout: Duration,

    #[command(flatten)]
    pub(super) watch: WatchArgs,
    #[command(flatten)]
    pub(super) lease: LeaseArgs,
}

/// What `drain` does with running operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DrainRuns {
    /// Cancel each operation as the deletion of its resource would; wait for syncs, which cannot be cancelled
    Cancel,
    /// Wait for their end
    Wait,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub(super) struct WatchArgs {
    /// Namespace to watch. Repeat the flag for more. Default: all namespaces.
    #[arg(long, env = "TABULAR_OPERATOR_WATCH_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_delimiter = ',', value_parser = values::namespace)]
    pub(super) watch_namespace: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub(super) struct ScopeArgs {
    #[command(flatten)]
    pub(super) watch: WatchArgs,

    /// Namespace whose resources may use the operator's own identity, or a managed identity of its nodes. Repeat the flag for more.
    /// Default: none.
    #[arg(long, env = "TABULAR_OPERATOR_OPERATOR_IDENTITY_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_delimiter = ',', value_parser = values::namespace)]
    pub(super) operator_identity_namespace: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Polling")]
pub(super) struct PollingArgs {
    /// Minimum interval between two polls of a running operation (10ms to 1h).
    #[arg(long, env = "TABULAR_OPERATOR_POLL_MIN", hide_env_values = true, value_name = "DURATION",
          default_value = "1s", value_parser = values::poll)]
    pub(super) poll_min: Duration,

    /// Maximum interval between two polls of a running operation (10ms to 1h).
    #[arg(long, env = "TABULAR_OPERATOR_POLL_MAX", hide_env_values = true, value_name = "DURATION",
          default_value = "30s", value_parser = values::poll)]
    pub(super) poll_max: Duration,

    /// Poll interval as a fraction of the time that the operation has run (0.01 to 1). With 0.1, the operator observes the end within a
    /// tenth of the duration of the run, and never later than --poll-max.
    #[arg(long, env = "TABULAR_OPERATOR_POLL_FRACTION", hide_env_values = true, value_name = "FRACTION",
          default_value = "0.1", value_parser = values::fraction)]
    pub(super) poll_fraction: f64,

    /// Timeout for one request to Azure (100ms to 10m).
    #[arg(long, env = "TABULAR_OPERATOR_CALL_TIMEOUT", hide_env_values = true, value_name = "DURATION",
          default_value = "30s", value_parser = values::call_timeout)]
    pub(super) call_timeout: Duration,

    /// Maximum delay until the service lists a new operation (0s to 1h). After a lost response to a submission, the operator submits again
    /// only if the list has not shown the operation for longer than this.
    #[arg(long, env = "TABULAR_OPERATOR_LISTING_LAG", hide_env_values = true, value_name = "DURATION",
          default_value = "2m", value_parser = values::listing_lag)]
    pub(super) listing_lag: Duration,

    /// Maximum duration of a refresh on Analysis Services (1h to 30d), which documents no limit. The operator does not wait for a refresh
    /// that the list shows as running for longer than this, and ends a run whose operation is older and cannot be cancelled. The limit of
    /// Power BI is 30h.
    #[arg(long, env = "TABULAR_OPERATOR_MAX_REFRESH_DURATION", hide_env_values = true, value_name = "DURATION",
          default_value = "48h", value_parser = values::max_refresh_duration)]
    pub(super) max_refresh_duration: Duration,

    /// Grace period for a missing Secret, `ServiceAccount`, permission or upstream `ModelRefresh` (0s to 1h). The resource is Reconciling
    /// for this time, and Stalled after that.
    #[arg(long, env = "TABULAR_OPERATOR_REFERENCE_GRACE", hide_env_values = true, value_name = "DURATION",
          default_value = "60s", value_parser = values::reference_grace)]
    pub(super) reference_grace: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Leader election")]
pub(super) struct LeaderArgs {
    /// Require a Lease for the active operator. Disable it only if at most one operator runs at any time.
    #[arg(long, env = "TABULAR_OPERATOR_LEADER_ELECTION", hide_env_values = true, value_name = "true|false",
          default_value_t = true, action = ArgAction::Set)]
    pub(super) leader_election: bool,

    #[command(flatten)]
    pub(super) lease: LeaseArgs,

    /// Duration of the Lease, after which another operator takes over from a silent leader (1s to 1h). The leader renews it every third of
    /// this time.
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_DURATION", hide_env_values = true, value_name = "DURATION",
          default_value = "15s", value_parser = values::lease_duration)]
    pub(super) lease_duration: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Leader election")]
pub(super) struct LeaseArgs {
    /// Name of the Lease.
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_NAME", hide_env_values = true, value_name = "NAME",
          default_value = "tabular-operator", value_parser = values::object_name)]
    pub(super) lease_name: String,

    /// Namespace of the Lease [default: the namespace of the pod, or of the context of the kubeconfig]
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_parser = values::namespace)]
    pub(super) lease_namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Maximum number of concurrent reconciliations (1 to 1024). Namespaces share them: one namespace has at most three quarters.
    #[arg(long, env = "TABULAR_OPERATOR_MAX_CONCURRENT_RECONCILES", hide_env_values = true, value_name = "COUNT",
          default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) max_concurrent_reconciles: u16,

    /// Maximum number of concurrent requests to one Azure server (1 to 1024). Namespaces share them: one namespace has at most three
    /// quarters.
    #[arg(long, env = "TABULAR_OPERATOR_MAX_CALLS_PER_SERVER", hide_env_values = true, value_name = "COUNT",
          default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) max_calls_per_server: u16,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Observability")]
pub(super) struct ObserveArgs {
    /// Address and port of /metrics. Port 0 selects a free port and logs it. This address also serves /livez and /readyz, for older
    /// manifests.
    #[arg(long, env = "TABULAR_OPERATOR_METRICS_ADDRESS", hide_env_values = true, value_name = "ADDRESS",
          default_value = "0.0.0.0:8080", value_parser = values::socket_address)]
    pub(super) metrics_address: SocketAddr,

    /// Address and port of /livez and /readyz, separate so that no client of the metrics can delay a probe [default: port 8081 of the
    /// address of --metrics-address, or a free port if that has port 0]
    #[arg(long, env = "TABULAR_OPERATOR_HEALTH_ADDRESS", hide_env_values = true, value_name = "ADDRESS",
          value_parser = values::socket_address)]
    pub(super) health_address: Option<SocketAddr>,

    /// Maximum number of resources that have per-resource metrics (0 to 10000): the first ones by namespace and name. The labels of these metrics
    /// have the names of the resources and their models. 0 disables these metrics.
    #[arg(long, env = "TABULAR_OPERATOR_RESOURCE_METRICS", hide_env_values = true, value_name = "COUNT",
          default_value_t = 2000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(super) resource_metrics: u16,

    /// Base URL of a collector that accepts traces as OTLP over HTTP, such as `http://otel-collector.observability:4318`. The operator
    /// appends `/v1/traces`. It sends one trace for each run, with its calls. Default: `OTEL_EXPORTER_OTLP_ENDPOINT`; without both, no
    /// traces. `OTEL_EXPORTER_OTLP_HEADERS` sets headers, and `OTEL_EXPORTER_OTLP_CERTIFICATE` the certificate of an authority.
    #[arg(long, env = "TABULAR_OPERATOR_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub(super) otlp_endpoint: Option<String>,

    /// Format of the logs on standard error.
    #[arg(long, env = "TABULAR_OPERATOR_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT", default_value = "json")]
    pub(super) log_format: LogFormat,

    /// Level of the operator's own logs: error, warn, info, debug, trace or off; or directives for all modules, such as
    /// `info,tabular_operator::controller=debug`.
    #[arg(long, env = "TABULAR_OPERATOR_LOG_LEVEL", hide_env_values = true, value_name = "FILTER",
          default_value = "info", value_parser = values::log_filter)]
    pub(super) log_level: String,
}

/// The values of `--cloud`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CloudName {
    /// Azure, the public cloud
    Public,
    /// Azure Government, GCC
    UsGovernment,
    /// Azure Government, GCC High
    UsGovernmentHigh,
    /// Azure Government, Department of Defense
    UsGovernmentDod,
    /// Azure operated by 21Vianet
    China,
    /// The cloud in --cloud-file
    Custom,
}
