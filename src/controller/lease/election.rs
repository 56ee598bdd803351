//! The start of leader election, on a thread of its own.

use std::{io, thread};

use kube::Client;
use tokio::runtime::Builder;

use super::candidate::Candidate;
use super::handle::{LeaseHandle, Standing};
use super::settings::{LeaseReports, LeaseSettings};

/// The stack of the lease's thread: enough for a TLS handshake, in a debug build too. Only what is used of it takes up memory.
const STACK: usize = 1024 * 1024;

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
    pub(super) fn spawn(client: Client, settings: LeaseSettings) -> (LeaseHandle, tokio::task::JoinHandle<()>) {
        let handle = LeaseHandle::seeking(settings.margin());
        let task = tokio::spawn(Candidate::new(client, settings, LeaseReports::default(), handle.clone()).run());
        (handle, task)
    }
}
