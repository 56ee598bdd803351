//! The setup of the logs.

use std::io::IsTerminal;

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use super::filter::filter;
use super::secrets::shows_no_secrets;
use super::visible::VisibleWriter;

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
    let filter = filter(&settings.filter).map_err(LogError::Filter)?.and(filter_fn(shows_no_secrets));
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(|| VisibleWriter(std::io::stderr())).boxed(),
        LogFormat::Text => {
            let use_color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_ansi(use_color).with_writer(|| VisibleWriter(std::io::stderr())).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    log_panics();
    Ok(())
}

/// Logs a panic as a line like any other, instead of as text that a log store cannot parse.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message, "panicked; this is a bug, report it with this line");
    }));
}
