//! Why a drain fails.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::controller::cluster::connect::ClientError;
use crate::controller::cluster::timeout::ApiError;

/// Why the operator must not be uninstalled yet.
#[derive(Debug, Error)]
pub enum DrainError {
    /// No client of the Kubernetes API can be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The Kubernetes API rejected a request or could not be reached.
    #[error("failed to {0}: {1}")]
    Call(&'static str, #[source] ApiError),
    /// Signal handlers cannot be installed.
    #[error("failed to listen for SIGTERM: {0}")]
    Signals(#[source] io::Error),
    /// The output cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[from] io::Error),
    /// Operations, or the removal of the finalizers, were still in progress at the timeout.
    #[error(
        "{0} still in progress after {after}, and the operator continues as before: retry later, increase --timeout, or leave running \
         operations alone (in the chart: uninstall.runs=Leave, or helm uninstall --no-hooks)",
        after = humantime::format_duration(*.1)
    )]
    TimedOut(String, Duration),
    /// No operator leads that could end the operations.
    #[error(
        "{0} in progress, and no operator holds the Lease {1}, so nothing is polled or cancelled: repair the operator, or leave running \
         operations alone (in the chart: uninstall.runs=Leave, or helm uninstall --no-hooks)"
    )]
    NoLeader(String, String),
    /// A signal stopped the drain.
    #[error("stopped by a signal; the operator continues as before")]
    Stopped,
}

impl DrainError {
    /// 2 if only other settings resolve the error, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(_) => 2,
            Self::Call(..) | Self::Signals(_) | Self::Output(_) | Self::TimedOut(..) | Self::NoLeader(..) | Self::Stopped => 1,
        }
    }
}
