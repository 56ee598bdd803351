//! Which Lease a candidate seeks, and the times that follow from its duration.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::health::Heartbeat;
use crate::telemetry::metrics::Metrics;

/// Which Lease, and for whom.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// How long a silent holder is waited for. The Lease itself has whole seconds: it is rounded up there.
    pub duration: Duration,
    /// This candidate's name, different for every process: see [`identity`].
    pub identity: String,
    /// Which installation it is of, where that is known: see [`super::installation`].
    pub installation: Option<String>,
    /// The namespaces that the operator serves; none for all.
    pub watched: Vec<String>,
}

impl LeaseSettings {
    /// How long a holder may act after it sent its last good renewal. The fifth that is left keeps it apart from the
    /// next one, whatever a pause of the scheduler or a slow look at the clock adds.
    pub(super) fn hold(&self) -> Duration {
        self.duration * 4 / 5
    }

    /// How much of the lease has to be left for a submission to be sent: a fifth, so that with the fifth after [`Self::hold`]
    /// it has two (6 s of 15) to find a connection and leave. More than the 7/15 that are left just before a renewal would
    /// refuse submissions with nothing wrong; a fifth is also left after a first renewal that failed.
    pub(super) fn margin(&self) -> Duration {
        self.duration / 5
    }

    /// The time from one renewal to the next.
    pub(super) fn renewal(&self) -> Duration {
        self.duration / 3
    }

    /// How often a candidate looks at the Lease, and a holder whose renewal failed tries again. A second at most: it is
    /// what a failover takes beyond the duration, and what a lease that was given back waits for its next holder.
    pub(super) fn pace(&self) -> Duration {
        (self.duration / 15).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// How long one call may take: short enough for a second attempt on another connection before the lease is over.
    pub(super) fn attempt(&self) -> Duration {
        (self.duration / 5).clamp(Duration::from_millis(500), Duration::from_secs(5))
    }
}

/// What the loop reports to, where there is somebody to report to.
#[derive(Debug, Default)]
pub struct LeaseReports {
    /// Beaten at every look at the Lease.
    pub heartbeat: Option<Heartbeat>,
    /// Renewals are counted here.
    pub metrics: Option<Arc<Metrics>>,
}

/// A name for this process that no other has or had: the host's, which is the pod's, and something random. A container
/// that is started anew in the same pod is another one, and waits for its predecessor's lease to run out.
#[must_use]
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "tabular-operator".to_owned());
    // The standard library takes the keys of each hasher from the system's randomness.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{host}_{random:016x}")
}
