//! The validated settings of the commands. Validates combinations of flags, and reads files.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::args::{CloudName, DrainArgs, DrainRuns, RunArgs};
use super::values;
use crate::telemetry::logs::LogSettings;

/// Maximum size of a file on the command line. A bundle of all public authorities has 0.3 MiB.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Default port of the probes.
const HEALTH_PORT: u16 = 8081;

/// Invalid settings, described in one sentence with the remedy. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// The validated settings of `run`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Azure cloud to call.
    pub cloud: CloudChoice,
    /// Additional certificates (PEM) to trust, for Azure only. At least one, if set.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The namespaces to watch; empty for all. Sorted, without duplicates.
    pub watch_namespaces: Vec<String>,
    /// The namespaces that may use the operator's own identity; empty for none. Sorted, without duplicates.
    pub operator_identity_namespaces: Vec<String>,
    /// Poll interval of a running operation.
    pub polling: Polling,
    /// Timeout for one request to Azure.
    pub call_timeout: Duration,
    /// Maximum delay until the service lists a new operation.
    pub listing_lag: Duration,
    /// Maximum duration of a refresh on Analysis Services.
    pub max_refresh_duration: Duration,
    /// How long a referenced object may be missing before the resource is Stalled.
    pub reference_grace: Duration,
    /// The Lease of the leader; `None` without leader election.
    pub leader_election: Option<LeaderElection>,
    /// Maximum number of concurrent reconciliations.
    pub max_concurrent_reconciles: u16,
    /// Maximum number of concurrent requests to one Azure server.
    pub max_calls_per_server: u16,
    /// Address of the metrics.
    pub metrics_address: SocketAddr,
    /// Address of the probes.
    pub health_address: SocketAddr,
    /// Maximum number of resources that have per-resource metrics, 0 to 10000.
    pub resource_metrics: u16,
    /// Complete URL for spans; `None` without traces.
    pub otlp_endpoint: Option<String>,
}

/// The Azure cloud to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudChoice {
    /// A cloud that Microsoft operates; never [`CloudName::Custom`].
    Named(CloudName),
    /// A cloud that a file describes.
    File {
        /// Path of the file, for messages.
        path: PathBuf,
        /// Content of the file.
        text: String,
    },
}

/// Poll interval of a running operation: `fraction` of the time that it has run, within both bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polling {
    /// Minimum interval.
    pub min: Duration,
    /// Maximum interval.
    pub max: Duration,
    /// Fraction, 0.01 to 1.
    pub fraction: f64,
}

/// The Lease that the leader holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// Name of the Lease.
    pub name: String,
    /// Namespace of the Lease; `None` for the namespace of the pod or of the context of the kubeconfig.
    pub namespace: Option<String>,
    /// How long candidates wait for a silent leader.
    pub duration: Duration,
}

/// The validated settings of `drain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// What to do with running operations.
    pub runs: DrainRuns,
    /// Time limit until no run is in progress.
    pub timeout: Duration,
    /// The namespaces that the operator watches; empty for all. Sorted, without duplicates.
    pub namespaces: Vec<String>,
    /// Name of the operator's Lease.
    pub lease_name: String,
    /// Namespace of the Lease; `None` for the namespace of the pod or of the context of the kubeconfig.
    pub lease_namespace: Option<String>,
}

impl DrainArgs {
    /// Converts the flags.
    #[must_use]
    pub fn settings(self) -> DrainSettings {
        let Self { runs, timeout, watch, lease } = self;
        DrainSettings {
            runs,
            timeout,
            namespaces: sorted_unique(watch.watch_namespace),
            lease_name: lease.lease_name,
            lease_namespace: lease.lease_namespace,
        }
    }
}

impl RunArgs {
    /// The settings of the logs. They are needed first, so that everything else can log.
    #[must_use]
    pub fn logs(&self) -> LogSettings {
        LogSettings { format: self.observe.log_format, filter: self.observe.log_level.clone() }
    }

    /// Checks the flags against each other and reads the files that they name.
    ///
    /// # Errors
    /// If flags contradict each other or a file is invalid: one sentence that names the flags and the remedy.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        let Self { cloud, scope, polling, leader, limits, observe } = self;
        check_proxies(|name| std::env::var(name).ok())?;
        if polling.poll_min > polling.poll_max {
            return Err(SettingsError(format!(
                "--poll-min ({}) must be at most --poll-max ({})",
                humantime::format_duration(polling.poll_min),
                humantime::format_duration(polling.poll_max),
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
                    "--cloud custom requires --cloud-file; set it to a file with the hosts and audiences of the cloud".to_owned(),
                ));
            }
            (_, Some(_)) => {
                return Err(SettingsError("--cloud-file requires --cloud custom; set both or neither".to_owned()));
            }
            (named, None) => CloudChoice::Named(named),
        };
        Ok(Settings {
            cloud: choice,
            extra_ca_pem: cloud.extra_ca_file.as_deref().map(certificates).transpose()?,
            watch_namespaces: sorted_unique(scope.watch.watch_namespace),
            operator_identity_namespaces: sorted_unique(scope.operator_identity_namespace),
            polling: Polling { min: polling.poll_min, max: polling.poll_max, fraction: polling.poll_fraction },
            call_timeout: polling.call_timeout,
            listing_lag: polling.listing_lag,
            max_refresh_duration: polling.max_refresh_duration,
            reference_grace: polling.reference_grace,
            leader_election: leader.leader_election.then_some(LeaderElection {
                name: leader.lease.lease_name,
                namespace: leader.lease.lease_namespace,
                duration: leader.lease_duration,
            }),
            max_concurrent_reconciles: limits.max_concurrent_reconciles,
            max_calls_per_server: limits.max_calls_per_server,
            metrics_address: observe.metrics_address,
            health_address: health_address(observe.metrics_address, observe.health_address)?,
            resource_metrics: observe.resource_metrics,
            otlp_endpoint: otlp_endpoint(observe.otlp_endpoint, |name| std::env::var(name).ok())?,
        })
    }
}

/// The address of the probes, which differs from that of the metrics.
fn health_address(metrics: SocketAddr, given: Option<SocketAddr>) -> Result<SocketAddr, SettingsError> {
    let port = if metrics.port() == 0 { 0 } else { HEALTH_PORT };
    let health = given.unwrap_or(SocketAddr::new(metrics.ip(), port));
    let overlap = health.ip() == metrics.ip() || health.ip().is_unspecified() || metrics.ip().is_unspecified();
    if overlap && health.port() == metrics.port() && health.port() != 0 {
        return Err(SettingsError(format!("--metrics-address ({metrics}) and --health-address ({health}) must have different ports")));
    }
    Ok(health)
}

/// The URL for spans, from the flag or from the variables that every OTLP exporter reads. The variable for traces has the complete URL.
fn otlp_endpoint(flag: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, SettingsError> {
    let url = |name: &str, text: Option<String>| {
        // The message must not repeat the value, which may contain a password.
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        values::collector(&text).map(Some).map_err(|error| SettingsError(format!("invalid {name}: {error}")))
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

/// Checks the variables of the proxy, which the HTTP client reads. It ignores a value that it cannot parse, and would connect without the
/// proxy. Of two spellings, it reads the first one that is set, and `ALL_PROXY` only without a value of `HTTPS_PROXY`.
fn check_proxies(variable: impl Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, variable(name)?)));
    let mut proxies = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]].into_iter();
    if let Some((name, text)) = proxies.find_map(|names| first(names).filter(|(_, text)| !text.is_empty())) {
        values::proxy(&text).map_err(|error| SettingsError(format!("invalid {name}: {error}")))?;
    }
    if let Some((name, list)) = first(["NO_PROXY", "no_proxy"]) {
        for entry in entries_without_effect(&list) {
            tracing::warn!(entry, "{name}: the entry matches no host; for a domain and its subdomains, write only the domain");
        }
    }
    Ok(())
}

/// The entries of `NO_PROXY` with a wildcard, which the HTTP client compares as a name. Only `*` itself is a wildcard.
fn entries_without_effect(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| entry.contains('*') && *entry != "*")
}

/// The URL by the specification of OTLP/HTTP.
fn traces_at(base: &Url) -> String {
    format!("{}/v1/traces", base.as_str().trim_end_matches('/'))
}

fn sorted_unique(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Reads a bundle of certificates. An empty bundle is an error, because it would otherwise cause a TLS error much later.
fn certificates(path: &Path) -> Result<Vec<u8>, SettingsError> {
    let pem = read("--extra-ca-file", path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| {
            SettingsError(format!("failed to read --extra-ca-file {}: {error}; the file must contain certificates in PEM", path.display()))
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(SettingsError(format!(
            "failed to read --extra-ca-file {}: no certificate found; the file must contain certificates in PEM",
            path.display()
        )));
    }
    Ok(pem)
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    let refused = |reason: String| SettingsError(format!("failed to read {flag} {}: {reason}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
    let mut content = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut content).map_err(|error| refused(error.to_string()))?;
    if content.len() as u64 > FILE_LIMIT {
        return Err(refused("it is larger than 4 MiB".to_owned()));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_that_would_be_ignored_is_invalid() {
        let checked = |given: &[(&str, &str)]| {
            let variable = |name: &str| given.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
            check_proxies(variable).map_err(|error| error.to_string())
        };
        for usable in ["", "http://proxy.example:3128", "https://proxy", "proxy.example:3128", "http://me:p%23@[::1]:3128/"] {
            assert_eq!(checked(&[("HTTPS_PROXY", usable), ("ALL_PROXY", usable), ("NO_PROXY", "*.example")]), Ok(()), "{usable}");
        }
        let unusable = ["http://", " http://proxy", "http://proxy:3128\n", "socks5://proxy:1080", "http://me:planted#@proxy", "http://a b"];
        for value in unusable {
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let error = checked(&[(name, value)]).unwrap_err();
                assert!(error.starts_with(&format!("invalid {name}: must be")) && !error.contains("planted"), "{value:?}: {error}");
            }
        }
        // The client does not read the second one.
        assert_eq!(checked(&[("HTTPS_PROXY", "http://proxy"), ("https_proxy", "http://")]), Ok(()));
        for used in ["HTTPS_PROXY", "https_proxy"] {
            assert_eq!(checked(&[(used, "http://proxy"), ("ALL_PROXY", "socks5://proxy:1080")]), Ok(()), "{used}");
        }
        // An empty first spelling excludes the second one.
        let empty = [("HTTPS_PROXY", ""), ("https_proxy", "http://proxy"), ("ALL_PROXY", "socks5://proxy:1080")];
        assert!(checked(&empty).unwrap_err().starts_with("invalid ALL_PROXY: must be"));
    }

    #[test]
    fn wildcards_of_no_proxy_have_no_effect() {
        let list = "*, .example.com,*.example.com , 10.*,10.0.0.0/8,";
        assert_eq!(entries_without_effect(list).collect::<Vec<_>>(), ["*.example.com", "10.*"]);
        assert_eq!(entries_without_effect("").next(), None);
    }

    #[test]
    fn collector_url_from_flag_or_standard_variables() {
        let found = |flag: Option<&str>, all: Option<&str>, traces: Option<&str>| {
            let variable = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => all.map(str::to_owned),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => traces.map(str::to_owned),
                other => panic!("{other} must not be read"),
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
        assert!(refused.starts_with("invalid OTEL_EXPORTER_OTLP_ENDPOINT") && refused.contains("http://"), "{refused}");
        let secret = found(None, Some("http://me:planted@otel"), None).unwrap_err();
        assert!(secret.contains("OTEL_EXPORTER_OTLP_HEADERS") && !secret.contains("planted"), "{secret}");
    }
}
