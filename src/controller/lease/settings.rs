//! The settings of leader election, and the times derived from the duration.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::health::{Health, Heartbeat};
use crate::telemetry::metrics::Metrics;

/// The settings of leader election.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// How long a candidate waits for a silent holder. Rounded up to whole seconds in the Lease.
    pub duration: Duration,
    /// The name of this candidate, unique to its process: see [`identity`].
    pub identity: String,
    /// The installation of this process, if known: see [`super::installation`].
    pub installation: Option<String>,
    /// The namespaces that the operator watches; empty for all.
    pub watch_namespaces: Vec<String>,
}

impl LeaseSettings {
    /// How long a holder may act after it sent its last successful renewal. The remaining fifth separates it from the next holder, even
    /// if the scheduler or a clock read is delayed.
    #[must_use]
    pub fn renew_deadline(&self) -> Duration {
        self.duration * 4 / 5
    }

    /// How much of the lease must remain to send a submission: a fifth. Together with the fifth after [`Self::renew_deadline`], a
    /// request has two fifths (6 s of 15) to connect and be sent. More than the 7/15 that remain just before a renewal would reject
    /// submissions without any fault. A fifth also remains after one failed renewal.
    pub(super) fn submit_margin(&self) -> Duration {
        self.duration / 5
    }

    /// The interval between renewals.
    #[must_use]
    pub fn renew_interval(&self) -> Duration {
        self.duration / 3
    }

    /// The interval at which a candidate polls the Lease and a holder retries a failed renewal. At most one second, because it extends
    /// a failover beyond the duration, and delays the next holder after a release.
    #[must_use]
    pub fn retry_period(&self) -> Duration {
        (self.duration / 15).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// Timeout for one request: short enough for a second attempt on another connection before the lease expires.
    pub(super) fn request_timeout(&self) -> Duration {
        (self.duration / 5).clamp(Duration::from_millis(500), Duration::from_secs(5))
    }
}

/// The optional receivers of reports from the loop.
#[derive(Debug, Default)]
pub struct LeaseReports {
    /// Beats with every poll of the Lease.
    pub heartbeat: Option<Heartbeat>,
    /// Receives the responses to the requests for the Lease.
    pub health: Option<Health>,
    /// Counts renewals.
    pub metrics: Option<Arc<Metrics>>,
}

/// A unique name for this process: the host name, which is the name of the pod, and a random suffix. A container that is restarted in the
/// same pod is another process, and waits for the lease of its predecessor to expire.
#[must_use]
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "tabular-operator".to_owned());
    // The standard library seeds hashers from the random number generator of the system.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{host}_{random:016x}")
}
