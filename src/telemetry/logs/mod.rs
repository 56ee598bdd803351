//! Logs: one line per event on standard error, as JSON or as text.

mod filter;
mod secrets;
mod start;
mod visible;

pub use filter::filter;
pub use start::{LogError, LogFormat, LogSettings, start};
