//! The settings of `run`, checked: what takes more than one flag to judge, or a file to read.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::{CloudName, DrainArgs, RunArgs, UnderWay, values};
use crate::engine::Leaving;
use crate::telemetry::logs::LogSettings;

/// The most that is read of a file named on the command line: a whole bundle of public authorities has 0.3 MiB.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// The port of probes, where none is given.
const HEALTH_PORT: u16 = 8081;

/// Settings that cannot work, in one sentence that says what to do. The process ends with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// Everything that `run` was told, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which Azure cloud is called.
    pub cloud: CloudChoice,
    /// Certificates (PEM) to trust beside the usual ones, for Azure alone. At least one, where given.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The namespaces to serve; empty for all. Sorted, each once.
    pub watch_namespaces: Vec<String>,
    /// The namespaces that may use the operator's own identity; empty for none. Sorted, each once.
    pub operator_identity_namespaces: Vec<String>,
    /// How often a running operation is looked at.
    pub polling: Polling,
    /// How long one call to Azure may take.
    pub call_timeout: Duration,
    /// How long a new operation may be missing from the service's list.
    pub listing_lag: Duration,
    /// How long a refresh may run on Analysis Services.
    pub max_refresh_duration: Duration,
    /// How long what a resource refers to may be missing before it is Stalled.
    pub reference_grace: Duration,
    /// The Lease to hold; `None` where leader election is off.
    pub leader_election: Option<LeaderElection>,
    /// How many resources are worked on at the same time.
    pub max_concurrent_reconciles: u16,
    /// How many calls to one Azure server are in flight at the same time.
    pub max_calls_per_server: u16,
    /// Where metrics are served.
    pub metrics_address: SocketAddr,
    /// Where probes are served.
    pub health_address: SocketAddr,
    /// Where spans are sent, the whole URL; `None` where there are no traces.
    pub otlp_endpoint: Option<String>,
}

/// Which Azure cloud is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudChoice {
    /// One of those that Microsoft runs; never [`CloudName::Custom`].
    Named(CloudName),
    /// What a file says.
    File {
        /// Where it was read from, for messages.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

/// How often a running operation is looked at: after `fraction` of the time already run, within the two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polling {
    /// The shortest time between two looks.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// 0.01 to 1.
    pub fraction: f64,
}

/// The Lease that the leader holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// Its name.
    pub name: String,
    /// Its namespace; `None` for that of the pod or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// How long a silent leader is waited for.
    pub duration: Duration,
}

/// What `drain` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// What becomes of operations that are under way.
    pub runs: Leaving,
    /// How long it may take.
    pub timeout: Duration,
    /// The namespaces that the operator serves; empty for all. Sorted, each once.
    pub namespaces: Vec<String>,
    /// The operator's Lease.
    pub lease_name: String,
    /// Its namespace; `None` for that of the pod or of the kubeconfig's context.
    pub lease_namespace: Option<String>,
}

impl DrainArgs {
    /// The same as settings.
    #[must_use]
    pub fn settings(self) -> DrainSettings {
        let Self { runs, timeout, watch, lease } = self;
        DrainSettings {
            runs: match runs {
                UnderWay::Cancel => Leaving::Cancel,
                UnderWay::Wait => Leaving::Wait,
            },
            timeout,
            namespaces: each_once(watch.watch_namespace),
            lease_name: lease.lease_name,
            lease_namespace: lease.lease_namespace,
        }
    }
}

impl RunArgs {
    /// How logs are to be written: known before anything else, so that the rest can be logged.
    #[must_use]
    pub fn logs(&self) -> LogSettings {
        LogSettings { format: self.observe.log_format, filter: self.observe.log_level.clone() }
    }

    /// Checks the flags against each other and reads the files that they name.
    ///
    /// # Errors
    /// One sentence that names the flags and says what to write instead.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        let Self { cloud, scope, pace, leader, limits, observe } = self;
        if pace.poll_min > pace.poll_max {
            return Err(SettingsError(format!(
                "--poll-min ({}) is longer than --poll-max ({}): write a --poll-min that is at most --poll-max",
                humantime::format_duration(pace.poll_min),
                humantime::format_duration(pace.poll_max),
            )));
        }
        let choice = match (cloud.cloud, cloud.cloud_file) {
            (CloudName::Custom, Some(path)) => {
                let text = String::from_utf8(read("--cloud-file", &path)?)
                    .map_err(|_| SettingsError(format!("failed to read --cloud-file {}: it is not UTF-8 text", path.display())))?;
                CloudChoice::File { path, text }
            }
            (CloudName::Custom, None) => {
                return Err(SettingsError(
                    "--cloud custom needs --cloud-file: name the file with the cloud's hosts and audiences".to_owned(),
                ));
            }
            (_, Some(_)) => {
                return Err(SettingsError(
                    "--cloud-file goes with --cloud custom alone: add --cloud custom, or leave the file out".to_owned(),
                ));
            }
            (named, None) => CloudChoice::Named(named),
        };
        Ok(Settings {
            cloud: choice,
            extra_ca_pem: cloud.extra_ca_file.as_deref().map(certificates).transpose()?,
            watch_namespaces: each_once(scope.watch.watch_namespace),
            operator_identity_namespaces: each_once(scope.operator_identity_namespace),
            polling: Polling { min: pace.poll_min, max: pace.poll_max, fraction: pace.poll_fraction },
            call_timeout: pace.call_timeout,
            listing_lag: pace.listing_lag,
            max_refresh_duration: pace.max_refresh_duration,
            reference_grace: pace.reference_grace,
            leader_election: leader.leader_election.then_some(LeaderElection {
                name: leader.lease.lease_name,
                namespace: leader.lease.lease_namespace,
                duration: leader.lease_duration,
            }),
            max_concurrent_reconciles: limits.max_concurrent_reconciles,
            max_calls_per_server: limits.max_calls_per_server,
            metrics_address: observe.metrics_address,
            health_address: health_address(observe.metrics_address, observe.health_address)?,
            otlp_endpoint: otlp_endpoint(observe.otlp_endpoint, |name| std::env::var(name).ok())?,
        })
    }
}

/// The address of probes, which is not that of the metrics.
fn health_address(metrics: SocketAddr, given: Option<SocketAddr>) -> Result<SocketAddr, SettingsError> {
    let port = if metrics.port() == 0 { 0 } else { HEALTH_PORT };
    let health = given.unwrap_or(SocketAddr::new(metrics.ip(), port));
    let overlap = health.ip() == metrics.ip() || health.ip().is_unspecified() || metrics.ip().is_unspecified();
    if overlap && health.port() == metrics.port() && health.port() != 0 {
        return Err(SettingsError(format!(
            "--metrics-address ({metrics}) and --health-address ({health}) have the same port: write another port for one of them"
        )));
    }
    Ok(health)
}

/// Where spans are sent: by the flag, or by the variables that every OTLP exporter reads. Of those, the one for traces names the
/// whole URL.
fn otlp_endpoint(flag: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, SettingsError> {
    let url = |name: &str, text: Option<String>| {
        // The value is not repeated: whoever puts a password into it must not find it in the log.
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        values::collector(&text).map(Some).map_err(|error| SettingsError(format!("{name} cannot be used: {error}")))
    };
    if let Some(base) = url("--otlp-endpoint", flag)? {
        return Ok(Some(traces_at(&base)));
    }
    let [of_traces, of_all] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if let Some(whole) = url(of_traces, variable(of_traces))? {
        return Ok(Some(whole.into()));
    }
    Ok(url(of_all, variable(of_all))?.map(|base| traces_at(&base)))
}

/// As the specification of OTLP/HTTP has it.
fn traces_at(base: &Url) -> String {
    format!("{}/v1/traces", base.as_str().trim_end_matches('/'))
}

fn each_once(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Reads a bundle of certificates, and makes sure that there is one in it: an empty bundle is a mistake that would
/// otherwise show as a TLS error much later.
fn certificates(path: &Path) -> Result<Vec<u8>, SettingsError> {
    let pem = read("--extra-ca-file", path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| {
            SettingsError(format!("failed to read --extra-ca-file {}: {error}; it must hold certificates in PEM", path.display()))
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(SettingsError(format!(
            "failed to read --extra-ca-file {}: no certificate is in it; it must hold certificates in PEM",
            path.display()
        )));
    }
    Ok(pem)
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    let refused = |why: String| SettingsError(format!("failed to read {flag} {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
    let mut content = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut content).map_err(|error| refused(error.to_string()))?;
    if content.len() as u64 > FILE_LIMIT {
        return Err(refused("it has more than 4 MiB".to_owned()));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collector_is_found_as_every_exporter_finds_it() {
        let found = |flag: Option<&str>, all: Option<&str>, traces: Option<&str>| {
            let variable = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => all.map(str::to_owned),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => traces.map(str::to_owned),
                other => panic!("{other} is not asked for"),
            };
            otlp_endpoint(flag.map(str::to_owned), variable).map_err(|error| error.to_string())
        };
        let whole = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(found(None, None, None), Ok(None));
        assert_eq!(found(None, Some(""), None), Ok(None));
        assert_eq!(found(None, Some("http://otel:4318"), None), whole("http://otel:4318/v1/traces"));
        assert_eq!(found(None, Some("http://otel:4318/"), Some("http://tempo/in")), whole("http://tempo/in"));
        assert_eq!(found(Some("https://otel/base/"), Some("http://other"), None), whole("https://otel/base/v1/traces"));
        let refused = found(None, Some("otel:4317"), None).unwrap_err();
        assert!(refused.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used") && refused.contains("http://"), "{refused}");
        let secret = found(None, Some("http://me:planted@otel"), None).unwrap_err();
        assert!(secret.contains("OTEL_EXPORTER_OTLP_HEADERS") && !secret.contains("planted"), "{secret}");
    }
}
