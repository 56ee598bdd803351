//! The command line: the subcommands, their flags, and what each flag means to the person who sets it.
//!
//! Every flag of `run` is also an environment variable, `TABULAR_OPERATOR_` and the flag's name in capitals. What one
//! flag alone can tell is refused by its parser ([`values`]); what takes two flags or a file, by [`settings`].

mod output;
mod settings;
mod values;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use output::{print_crds, yaml};
pub use settings::{CloudChoice, DrainSettings, LeaderElection, Polling, Settings, SettingsError};

use crate::telemetry::logs::LogFormat;

/// Refreshes tabular models, exactly once.
///
/// A Kubernetes operator for Azure Analysis Services databases and Power BI semantic models: it submits what a
/// `ModelRefresh` or a `ModelSync` asks for, follows it to its end, and shows it in the status.
#[derive(Debug, Parser)]
#[command(name = "tabular-operator", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped by SIGTERM or SIGINT, or the command is done
  2  bad usage or settings: mend them before the next start
  1  anything else, the loss of the leader's lease among it: start it again";

const RUN_EXAMPLES: &str = "\
Examples:
  tabular-operator run
      Serves all namespaces of the cluster of the current kubeconfig, or of its pod.

  tabular-operator run --watch-namespace bi --watch-namespace finance --lease-namespace bi
      Serves two namespaces only.

  TABULAR_OPERATOR_WATCH_NAMESPACE=bi,finance tabular-operator run
      The same by the environment: a list is separated by commas.

  tabular-operator run --cloud china --poll-max 1m --log-format text --log-level debug
      Another cloud, fewer looks at long refreshes, and logs for a person.

  HTTPS_PROXY=http://proxy:3128 tabular-operator run --extra-ca-file /etc/ssl/proxy.pem
      Behind a proxy that opens TLS. It holds for Azure alone, never for the Kubernetes API.

Durations are written like 500ms, 30s, 2m or 1h30m.

Exit codes:
  0  stopped by SIGTERM or SIGINT
  2  bad usage or settings: mend them before the next start
  1  anything else, the loss of the leader's lease among it: start it again";

const DRAIN_NOTES: &str = "\
It needs an operator that runs, which it tells by the Lease, and nothing but the operator's own permissions:
  kubectl exec deployment/tabular-operator --namespace tabular-system -- /tabular-operator drain

Exit codes:
  0  nothing is under way: uninstall the operator within a minute, or it goes on
  2  bad usage or settings
  1  something is still under way, or another failure: the operator goes on as before";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the operator until SIGTERM.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),

    /// Readies the cluster for an uninstall: the running operator begins nothing more, what it started is brought to an end, and
    /// the resources are left without its finalizer. The chart's uninstall does so by itself.
    #[command(after_help = DRAIN_NOTES)]
    Drain(Box<DrainArgs>),

    /// Prints the custom resource definitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
}

/// The flags of `run`, as they were given.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    cloud: CloudArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    leader: LeaderArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    observe: ObserveArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Azure")]
struct CloudArgs {
    /// The Azure cloud whose services are called; no resource can name a host outside it.
    #[arg(long, env = "TABULAR_OPERATOR_CLOUD", hide_env_values = true, value_name = "CLOUD", default_value = "public")]
    cloud: CloudName,

    /// The hosts and audiences of a cloud of your own, a YAML file: with `--cloud custom` alone.
    #[arg(long, env = "TABULAR_OPERATOR_CLOUD_FILE", hide_env_values = true, value_name = "FILE")]
    cloud_file: Option<PathBuf>,

    /// Certificates (PEM) to trust beside the usual ones, for Azure alone: a proxy's, or a private authority's.
    #[arg(long, env = "TABULAR_OPERATOR_EXTRA_CA_FILE", hide_env_values = true, value_name = "FILE")]
    extra_ca_file: Option<PathBuf>,
}

/// The flags of `drain`, as they were given.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// What becomes of operations that are under way.
    #[arg(long, value_name = "WHAT", default_value = "cancel")]
    runs: UnderWay,

    /// How long it may take until nothing is under way any more (1s to 24h).
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = values::drain_timeout)]
    timeout: Duration,

    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    lease: LeaseArgs,
}

/// What `drain` has done about an operation that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UnderWay {
    /// What the deletion of its resource would cancel is cancelled; syncs, which cannot be, are waited for
    Cancel,
    /// Its end is waited for
    Wait,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
struct WatchArgs {
    /// A namespace to serve; repeat it for more. Without it: all namespaces.
    #[arg(long, env = "TABULAR_OPERATOR_WATCH_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_delimiter = ',', value_parser = values::namespace)]
    watch_namespace: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
struct ScopeArgs {
    #[command(flatten)]
    watch: WatchArgs,

    /// A namespace whose resources may use the operator's own identity, or a managed identity of its nodes; repeat it
    /// for more. Without it: none may.
    #[arg(long, env = "TABULAR_OPERATOR_OPERATOR_IDENTITY_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_delimiter = ',', value_parser = values::namespace)]
    operator_identity_namespace: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
struct PaceArgs {
    /// The shortest time between two looks at a running operation (10ms to 1h).
    #[arg(long, env = "TABULAR_OPERATOR_POLL_MIN", hide_env_values = true, value_name = "DURATION",
          default_value = "1s", value_parser = values::poll)]
    poll_min: Duration,

    /// The longest time between two looks at a running operation (10ms to 1h).
    #[arg(long, env = "TABULAR_OPERATOR_POLL_MAX", hide_env_values = true, value_name = "DURATION",
          default_value = "30s", value_parser = values::poll)]
    poll_max: Duration,

    /// The next look comes after this part of the time already run (0.01 to 1): with 0.1 an end is known within a tenth
    /// of the run's length, and never later than --poll-max.
    #[arg(long, env = "TABULAR_OPERATOR_POLL_FRACTION", hide_env_values = true, value_name = "FRACTION",
          default_value = "0.1", value_parser = values::fraction)]
    poll_fraction: f64,

    /// How long one call to Azure may take (100ms to 10m).
    #[arg(long, env = "TABULAR_OPERATOR_CALL_TIMEOUT", hide_env_values = true, value_name = "DURATION",
          default_value = "30s", value_parser = values::call_timeout)]
    call_timeout: Duration,

    /// How long a new operation may be missing from the service's list (0s to 1h). A submission whose answer was lost
    /// is repeated only when the list has not shown it for longer than this.
    #[arg(long, env = "TABULAR_OPERATOR_LISTING_LAG", hide_env_values = true, value_name = "DURATION",
          default_value = "2m", value_parser = values::listing_lag)]
    listing_lag: Duration,

    /// How long a refresh may run on Analysis Services (1h to 30d), which documents no limit. A refresh that the list shows running
    /// since before is out of date: the operator does not wait for it. Power BI's own limit is 30h.
    #[arg(long, env = "TABULAR_OPERATOR_MAX_REFRESH_DURATION", hide_env_values = true, value_name = "DURATION",
          default_value = "48h", value_parser = values::max_refresh_duration)]
    max_refresh_duration: Duration,

    /// How long a missing Secret, `ServiceAccount`, permission or followed `ModelRefresh` may still arrive (0s to 1h): for so long
    /// the resource is Reconciling, and Stalled after that.
    #[arg(long, env = "TABULAR_OPERATOR_REFERENCE_GRACE", hide_env_values = true, value_name = "DURATION",
          default_value = "60s", value_parser = values::reference_grace)]
    reference_grace: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Leader election")]
struct LeaderArgs {
    /// Whether only the holder of a Lease acts. Turn it off only where never more than one operator runs.
    #[arg(long, env = "TABULAR_OPERATOR_LEADER_ELECTION", hide_env_values = true, value_name = "true|false",
          default_value_t = true, action = ArgAction::Set)]
    leader_election: bool,

    #[command(flatten)]
    lease: LeaseArgs,

    /// How long a leader that has gone silent is waited for (1s to 1h). It is renewed every third of this.
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_DURATION", hide_env_values = true, value_name = "DURATION",
          default_value = "15s", value_parser = values::lease_duration)]
    lease_duration: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Leader election")]
struct LeaseArgs {
    /// The name of the Lease.
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_NAME", hide_env_values = true, value_name = "NAME",
          default_value = "tabular-operator", value_parser = values::object_name)]
    lease_name: String,

    /// The namespace of the Lease [default: the pod's own, or that of the kubeconfig's context]
    #[arg(long, env = "TABULAR_OPERATOR_LEASE_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE",
          value_parser = values::namespace)]
    lease_namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// How many resources are worked on at the same time (1 to 1024). Namespaces share them: one namespace has at most three quarters.
    #[arg(long, env = "TABULAR_OPERATOR_MAX_CONCURRENT_RECONCILES", hide_env_values = true, value_name = "COUNT",
          default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_concurrent_reconciles: u16,

    /// How many calls to one Azure server are in flight at the same time (1 to 1024).
    #[arg(long, env = "TABULAR_OPERATOR_MAX_CALLS_PER_SERVER", hide_env_values = true, value_name = "COUNT",
          default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_calls_per_server: u16,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Watching it")]
struct ObserveArgs {
    /// Where /metrics is served, an address and a port. Port 0 takes a free one and logs it. /livez and /readyz are served there as
    /// well, for older manifests.
    #[arg(long, env = "TABULAR_OPERATOR_METRICS_ADDRESS", hide_env_values = true, value_name = "ADDRESS",
          default_value = "0.0.0.0:8080", value_parser = values::socket_address)]
    metrics_address: SocketAddr,

    /// Where /livez and /readyz are served, an address and a port of their own, so that no client of the metrics can delay a probe
    /// [default: port 8081 of the address of --metrics-address, or a free port where that has port 0]
    #[arg(long, env = "TABULAR_OPERATOR_HEALTH_ADDRESS", hide_env_values = true, value_name = "ADDRESS",
          value_parser = values::socket_address)]
    health_address: Option<SocketAddr>,

    /// Where traces are sent, by OTLP over HTTP: the base URL of a collector, such as `http://otel-collector.observability:4318`;
    /// `/v1/traces` is added. One trace for each run, with its calls. Without it, and without `OTEL_EXPORTER_OTLP_ENDPOINT`, there
    /// are none. Headers come from `OTEL_EXPORTER_OTLP_HEADERS`, an authority's certificate from
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    #[arg(long, env = "TABULAR_OPERATOR_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// How logs are written, to the standard error.
    #[arg(long, env = "TABULAR_OPERATOR_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT", default_value = "json")]
    log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, of the operator's own, or off; or directives for all parts, such as
    /// `info,tabular_operator::controller=debug`.
    #[arg(long, env = "TABULAR_OPERATOR_LOG_LEVEL", hide_env_values = true, value_name = "FILTER",
          default_value = "info", value_parser = values::log_filter)]
    log_level: String,
}

/// The clouds that `--cloud` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CloudName {
    /// Azure, as most know it
    Public,
    /// Azure Government, GCC
    UsGovernment,
    /// Azure Government, GCC High
    UsGovernmentHigh,
    /// Azure Government, Department of Defense
    UsGovernmentDod,
    /// Azure operated by 21Vianet
    China,
    /// What --cloud-file says
    Custom,
}
