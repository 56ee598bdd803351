//! Parsers of single values from the command line. Each error is a sentence that describes the problem and the remedy.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Uri;
use url::Url;

use crate::telemetry::logs;

/// The bounds of a duration flag.
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// `--poll-min` and `--poll-max`.
pub(super) fn poll(text: &str) -> Result<Duration, String> {
    duration(text, 10 * MILLISECOND, HOUR)
}

/// `--call-timeout`.
pub(super) fn call_timeout(text: &str) -> Result<Duration, String> {
    duration(text, 100 * MILLISECOND, 600 * SECOND)
}

/// `--listing-lag`.
pub(super) fn listing_lag(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, HOUR)
}

/// `--max-refresh-duration`. Analysis Services lists the refreshes of 30 days.
pub(super) fn max_refresh_duration(text: &str) -> Result<Duration, String> {
    duration(text, HOUR, 30 * 24 * HOUR)
}

/// `--reference-grace`.
pub(super) fn reference_grace(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, HOUR)
}

/// `--lease-duration`. With less than 1 second, the response time of the API server would exceed the lease.
pub(super) fn lease_duration(text: &str) -> Result<Duration, String> {
    duration(text, SECOND, HOUR)
}

/// `drain --timeout`.
pub(super) fn drain_timeout(text: &str) -> Result<Duration, String> {
    duration(text, SECOND, 24 * HOUR)
}

/// `--otlp-endpoint` and the variables of OTLP. Errors do not repeat the value, which may contain a password.
pub(super) fn collector(text: &str) -> Result<Url, String> {
    let wanted = "must be the URL of a collector for OTLP over HTTP, such as http://otel-collector.observability:4318";
    let url = Url::parse(text.trim()).map_err(|error| format!("{error}; {wanted}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("neither http:// nor https://; {wanted}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a password, which would appear in logs; set the header in OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    Ok(url)
}

/// `HTTPS_PROXY` and `ALL_PROXY`. Errors do not repeat the value, which may contain a password.
pub(super) fn proxy(text: &str) -> Result<(), String> {
    // The HTTP client parses it in this way. It adds a missing scheme, and ignores the value if it is invalid.
    let usable = |uri: Uri| uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https")) && uri.authority().is_some();
    // The client does not check the port: with `#` in the password, the start of the password would be the port.
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    if url.is_ok() && text.parse::<Uri>().is_ok_and(usable) {
        return Ok(());
    }
    Err("must be the URL of an HTTP proxy, such as http://proxy.example:3128, without spaces and line breaks; percent-encode special \
         characters in the user name and the password"
        .to_owned())
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = humantime::parse_duration(text.trim())
        .map_err(|error| format!("{error}; must be a number with a unit, such as 500ms, 30s or 2m"))?;
    if value < least || value > most {
        return Err(format!("must be a duration from {} to {}", humantime::format_duration(least), humantime::format_duration(most)));
    }
    Ok(value)
}

/// `--poll-fraction`.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| "must be a number from 0.01 to 1, such as 0.1".to_owned())?;
    if (0.01..=1.0).contains(&value) { Ok(value) } else { Err("must be a number from 0.01 to 1".to_owned()) }
}

/// A namespace: a DNS label. An empty namespace is an error, because it would silently widen the scope to all namespaces.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("must not be empty; omit the flag or the variable to set no namespace".to_owned());
    }
    if text.len() > 63 || !is_label(text) {
        return Err("must be at most 63 characters of a-z, 0-9 and '-', without '-' at the start or end".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of a Kubernetes object: labels separated by dots.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 253 || !text.split('.').all(is_label) {
        return Err("must be at most 253 characters of a-z, 0-9, '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// `--metrics-address` and `--health-address`.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "must be an IP address and a port, such as 0.0.0.0:8080 or [::]:8080".to_owned())
}

/// `--log-level`. An invalid filter is invalid usage, so that no log is lost silently.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    logs::filter(text).map(|_| text.to_owned())
}
