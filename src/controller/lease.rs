//! Leader election: only the holder of a `coordination.k8s.io/v1` Lease acts.
//!
//! What makes it safe, each rule on its own:
//! - Every write carries the resourceVersion that it was decided on, so of two candidates one is refused.
//! - The holder counts from *before* it sent the request that the API server accepted, by its own monotonic clock, and
//!   stops at four fifths of the lease's duration. Nobody else can have begun to count earlier.
//! - A candidate takes over only when it has itself seen the Lease unchanged for the whole duration. The times written
//!   in the Lease are for people; no clock is ever compared with another machine's.
//! - A deleted Lease counts as one that is unchanged: its holder creates it again, and a candidate waits for the whole duration, even one that
//!   starts and has not seen it, if a resource shows that an operator has worked here. A candidate that has created it waits once more before
//!   it acts: the holder may have created it in between, and somebody deleted it again.
//! - A lease that was lost stays lost. The process ends, and comes back as a candidate of a new name.
//!
//! An API server that is away costs the holder its lease, though nobody can take it meanwhile: the holder cannot tell
//! that from being cut off alone.

mod candidate;
mod handle;
pub(crate) mod installation;
pub(crate) mod leaving;
mod precedent;
mod record;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use kube::Client;
use tokio::runtime::Builder;

use crate::telemetry::health::Heartbeat;
use crate::telemetry::metrics::Metrics;
use candidate::Candidate;
pub use handle::LeaseHandle;
use handle::Standing;

/// The stack of the lease's thread: enough for a TLS handshake, in a debug build too. Only what is used of it takes up memory.
const STACK: usize = 1024 * 1024;

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
    /// Which installation it is of, where that is known: see [`installation`].
    pub installation: Option<String>,
    /// The namespaces that the operator serves; none for all.
    pub watched: Vec<String>,
}

impl LeaseSettings {
    /// How long a holder may act after it sent its last good renewal. The fifth that is left keeps it apart from the
    /// next one, whatever a pause of the scheduler or a slow look at the clock adds.
    fn hold(&self) -> Duration {
        self.duration * 4 / 5
    }

    /// How much of the lease has to be left for a submission to be sent: a fifth, so that with the fifth after [`Self::hold`]
    /// it has two (6 s of 15) to find a connection and leave. More than the 7/15 that are left just before a renewal would
    /// refuse submissions with nothing wrong; a fifth is also left after a first renewal that failed.
    fn margin(&self) -> Duration {
        self.duration / 5
    }

    /// The time from one renewal to the next.
    fn renewal(&self) -> Duration {
        self.duration / 3
    }

    /// How often a candidate looks at the Lease, and a holder whose renewal failed tries again. A second at most: it is
    /// what a failover takes beyond the duration, and what a lease that was given back waits for its next holder.
    fn pace(&self) -> Duration {
        (self.duration / 15).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// How long one call may take: short enough for a second attempt on another connection before the lease is over.
    fn attempt(&self) -> Duration {
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

/// Leader election.
#[derive(Debug)]
pub struct Lease;

impl Lease {
    /// Seeks the Lease and keeps it, on a thread and with a client of its own: no other work of the operator delays a renewal.
    /// The thread ends when the lease was lost or given back.
    ///
    /// # Errors
    /// Where the thread or its runtime cannot be started.
    pub fn start(
        connect: impl FnOnce() -> Result<Client, kube::Error> + Send + 'static,
        settings: LeaseSettings,
        reports: LeaseReports,
    ) -> io::Result<LeaseHandle> {
        let handle = LeaseHandle::seeking(settings.margin());
        let of_thread = handle.clone();
        thread::Builder::new().name("lease".to_owned()).stack_size(STACK).spawn({
            let runtime = Builder::new_current_thread().enable_all().build()?;
            move || {
                runtime.block_on(async {
                    // A client works for the runtime that it was made in.
                    match connect() {
                        Ok(client) => Candidate::new(client, settings, reports, of_thread).run().await,
                        Err(error) => {
                            tracing::error!(%error, "failed to set up the client for the lease");
                            drop(of_thread.ends());
                            of_thread.set(Standing::Lost);
                        }
                    }
                });
            }
        })?;
        Ok(handle)
    }

    /// As [`Self::start`], as a task of this runtime, whose clock a test may pause.
    #[cfg(test)]
    fn spawn(client: Client, settings: LeaseSettings) -> (LeaseHandle, tokio::task::JoinHandle<()>) {
        let handle = LeaseHandle::seeking(settings.margin());
        let task = tokio::spawn(Candidate::new(client, settings, LeaseReports::default(), handle.clone()).run());
        (handle, task)
    }
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
