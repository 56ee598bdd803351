//! Logs: one line per event on standard error, as JSON or as text.

mod filter;
mod visible;

use std::io::IsTerminal;

use clap::ValueEnum;
use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

pub use filter::filter;

use visible::Visible;

/// Libraries that process complete requests. Below `info`, their logs may contain headers and bodies, and therefore tokens and secrets. No
/// filter enables these levels.
const SEE_SECRETS: &[&str] = &["azure_core", "azure_identity", "h2", "hyper", "hyper_util", "reqwest", "rustls", "typespec"];

/// Settings of the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON or text.
    pub format: LogFormat,
    /// A level, or filter directives.
    pub filter: String,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line
    Json,
    /// Readable text, with colors on a terminal
    Text,
}

/// Error while setting up the logs.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is invalid.
    #[error("invalid --log-level: {0}")]
    Filter(String),
    /// A logger is already installed.
    #[error("failed to set up logs: {0}")]
    Taken(#[from] TryInitError),
}

/// Installs the logger.
///
/// # Errors
/// If the filter is invalid, or a logger is already installed.
pub fn start(settings: &LogSettings) -> Result<(), LogError> {
    let filter = filter(&settings.filter).map_err(LogError::Filter)?.and(filter_fn(keeps_secrets));
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(|| Visible(std::io::stderr())).boxed(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_ansi(colours).with_writer(|| Visible(std::io::stderr())).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    log_panics();
    Ok(())
}

/// A target that logs complete responses of the Kubernetes API if it fails to decode them, even a Secret or a token.
const WRITES_ANSWERS: &str = "kube_client::client";

fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    heard(metadata.target(), *metadata.level())
}

fn heard(target: &str, level: Level) -> bool {
    target != WRITES_ANSWERS && (level <= Level::INFO || !sees_secrets(target))
}

fn sees_secrets(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    SEE_SECRETS.iter().any(|name| library == *name || library.starts_with("typespec"))
}

/// Logs a panic as a line like any other, instead of as text that a log store cannot parse.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message, "panicked; this is a bug, report it with this line");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_with_secrets_are_not_logged() {
        assert!(heard("reqwest::connect", Level::WARN) && !heard("reqwest::connect", Level::DEBUG));
        assert!(!heard("kube_client::client", Level::ERROR) && heard("kube_client::client::builder", Level::WARN));
        assert!(heard("tabular_operator::service", Level::TRACE));
    }

    #[test]
    fn libraries_with_tokens_are_matched_by_module() {
        assert!(sees_secrets("h2::codec::framed_write"));
        assert!(sees_secrets("typespec_client_core::http"));
        assert!(!sees_secrets("tabular_operator::service"));
        assert!(!sees_secrets("h2o"));
    }
}
