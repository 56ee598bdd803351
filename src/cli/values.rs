//! Parsers of single values from the command line: each takes a text and says in a sentence what is wrong with it.

use std::net::SocketAddr;
use std::time::Duration;

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

/// `--max-refresh-duration`: Analysis Services lists the refreshes of 30 days.
pub(super) fn max_refresh_duration(text: &str) -> Result<Duration, String> {
    duration(text, HOUR, 30 * 24 * HOUR)
}

/// `--reference-grace`.
pub(super) fn reference_grace(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, HOUR)
}

/// `--lease-duration`: below a second the API server's own answer time eats it up.
pub(super) fn lease_duration(text: &str) -> Result<Duration, String> {
    duration(text, SECOND, HOUR)
}

/// `drain --timeout`.
pub(super) fn drain_timeout(text: &str) -> Result<Duration, String> {
    duration(text, SECOND, 24 * HOUR)
}

/// `--otlp-endpoint`, and the variables of its kind. The text is not repeated: it may hold a password.
pub(super) fn collector(text: &str) -> Result<Url, String> {
    let wanted = "write the URL of a collector that takes OTLP over HTTP, such as http://otel-collector.observability:4318";
    let url = Url::parse(text.trim()).map_err(|error| format!("{error}; {wanted}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("it begins with neither http:// nor https://; {wanted}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it holds a password, which would show in logs: put the header that it stands for into OTEL_EXPORTER_OTLP_HEADERS".to_owned()
        );
    }
    Ok(url)
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = humantime::parse_duration(text.trim())
        .map_err(|error| format!("{error}; write a number and its unit, such as 500ms, 30s or 2m"))?;
    if value < least || value > most {
        return Err(format!("write a duration from {} to {}", humantime::format_duration(least), humantime::format_duration(most)));
    }
    Ok(value)
}

/// `--poll-fraction`.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| "write a number from 0.01 to 1, such as 0.1".to_owned())?;
    if (0.01..=1.0).contains(&value) { Ok(value) } else { Err("write a number from 0.01 to 1".to_owned()) }
}

/// A namespace: a DNS label. An empty one is refused, for it would silently widen the scope to all.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a namespace is missing; leave the flag or the variable out to name none".to_owned());
    }
    if text.len() > 63 || !is_label(text) {
        return Err("a namespace is at most 63 characters of a-z, 0-9 and '-', and neither begins nor ends with '-'".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of a Kubernetes object: labels joined by dots.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 253 || !text.split('.').all(is_label) {
        return Err("a name is at most 253 characters of a-z, 0-9, '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// `--metrics-address` and `--health-address`.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "write an IP address and a port, such as 0.0.0.0:8080 or [::]:8080".to_owned())
}

/// `--log-level`: a misspelled one is bad usage, not silence.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    logs::filter(text).map(|_| text.to_owned())
}
