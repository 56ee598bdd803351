//! The start of leader election on its own thread.

use std::{io, thread};

use kube::Client;
use tokio::runtime::Builder;

use super::elector::LeaderElector;
use super::handle::{Leadership, LeaseHandle};
use super::settings::{LeaseReports, LeaseSettings};

/// The stack size of the lease thread: sufficient for a TLS handshake, also in a debug build. Unused stack takes no memory.
const STACK: usize = 1024 * 1024;

/// Leader election.
#[derive(Debug)]
pub struct Lease;

impl Lease {
    /// Acquires and renews the Lease on a thread and with a client of its own, so that no other work of the operator delays a renewal.
    /// The thread ends when the lease is lost or released.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be started.
    pub fn start(
        connect: impl FnOnce() -> Result<Client, kube::Error> + Send + 'static,
        settings: LeaseSettings,
        reports: LeaseReports,
    ) -> io::Result<LeaseHandle> {
        let handle = LeaseHandle::candidate(settings.submit_margin());
        let of_thread = handle.clone();
        thread::Builder::new().name("lease".to_owned()).stack_size(STACK).spawn({
            let runtime = Builder::new_current_thread().enable_all().build()?;
            move || {
                runtime.block_on(async {
                    // A client works only in the runtime in which it was created.
                    match connect() {
                        Ok(client) => LeaderElector::new(client, settings, reports, of_thread).run().await,
                        Err(error) => {
                            tracing::error!(%error, "failed to set up the client for the lease");
                            drop(of_thread.end_guard());
                            of_thread.set(Leadership::Lost);
                        }
                    }
                });
            }
        })?;
        Ok(handle)
    }

    /// Like [`Self::start`], but as a task of this runtime, whose clock a test may pause.
    #[cfg(test)]
    pub(super) fn spawn(client: Client, settings: LeaseSettings, reports: LeaseReports) -> (LeaseHandle, tokio::task::JoinHandle<()>) {
        let handle = LeaseHandle::candidate(settings.submit_margin());
        let task = tokio::spawn(LeaderElector::new(client, settings, reports, handle.clone()).run());
        (handle, task)
    }
}
