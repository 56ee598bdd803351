//! Logs: one line per event to the standard error, as JSON or as text.

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

/// Libraries that see requests whole. Below `info` their logs may hold headers and bodies, and with them tokens and
/// secrets, so no filter opens them further.
const SEE_SECRETS: &[&str] = &["azure_core", "azure_identity", "h2", "hyper", "hyper_util", "reqwest", "rustls", "typespec"];

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON or text.
    pub format: LogFormat,
    /// A level, or filter directives.
    pub filter: String,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// Text for a person, with colours on a terminal
    Text,
}

/// Why logs could not be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("failed to read --log-level: {0}")]
    Filter(String),
    /// Something else set up logs first.
    #[error("failed to set up logs: {0}")]
    Taken(#[from] TryInitError),
}

/// Starts to log.
///
/// # Errors
/// Where the filter cannot be read, or logs are set up already.
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

/// Writes a whole answer of the Kubernetes API into a warning where it cannot be read, be it a Secret or a token.
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

/// A panic becomes a log line like any other, instead of text that a log store cannot read.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message, "a bug: the code panicked; please report it with this line");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_hold_a_secret_is_not_heard() {
        assert!(heard("reqwest::connect", Level::WARN) && !heard("reqwest::connect", Level::DEBUG));
        assert!(!heard("kube_client::client", Level::ERROR) && heard("kube_client::client::builder", Level::WARN));
        assert!(heard("tabular_operator::service", Level::TRACE));
    }

    #[test]
    fn libraries_that_see_tokens_are_known_by_their_module() {
        assert!(sees_secrets("h2::codec::framed_write"));
        assert!(sees_secrets("typespec_client_core::http"));
        assert!(!sees_secrets("tabular_operator::service"));
        assert!(!sees_secrets("h2o"));
    }
}
