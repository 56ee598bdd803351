//! Bounds the calls in flight to each server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum wait for a permit for a call in flight. A server that responds has a free permit by then, and a retry would cost a
/// reconciliation and, after some retries, a recorded error. If the server does not respond, a longer wait would block reconciliations for
/// other servers.
const PERMIT_TIMEOUT: Duration = Duration::from_millis(100);

/// Maximum number of servers before idle ones are removed.
const MAX_SERVERS: usize = 1024;

/// The permits for calls in flight.
pub(super) struct CallsInFlight {
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl CallsInFlight {
    pub(super) fn new(per_server: usize) -> Self {
        Self { per_server, servers: Mutex::default() }
    }

    /// Acquires a permit for a call in flight to a server, first in, first out; `None` if none was free for [`PERMIT_TIMEOUT`].
    pub(super) async fn acquire(&self, server: &str) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits(server);
        tokio::time::timeout(PERMIT_TIMEOUT, permits.acquire_owned()).await.ok()?.ok()
    }

    fn permits(&self, server: &str) -> Arc<Semaphore> {
        let mut servers = self.servers.lock();
        if servers.len() >= MAX_SERVERS && !servers.contains_key(server) {
            // A holder of a permit, and a waiter, have a reference.
            servers.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        Arc::clone(servers.entry(server.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_server))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_per_server() {
        let in_flight = CallsInFlight::new(2);
        let held = (in_flight.acquire("a").await, in_flight.acquire("a").await);
        assert!(held.0.is_some() && held.1.is_some());
        let requested = Instant::now();
        assert!(in_flight.acquire("a").await.is_none());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis());
        assert!(in_flight.acquire("b").await.is_some());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis(), "another server's calls do not count");
        drop(held.0);
        assert!(in_flight.acquire("a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn permit_is_awaited_briefly() {
        let in_flight = CallsInFlight::new(1);
        let held = in_flight.acquire("a").await;
        let soon = async {
            tokio::time::sleep(PERMIT_TIMEOUT / 2).await;
            drop(held);
        };
        let (permit, ()) = tokio::join!(in_flight.acquire("a"), soon);
        assert!(permit.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_servers_are_removed() {
        let in_flight = CallsInFlight::new(1);
        let busy = in_flight.acquire("busy").await;
        for n in 0..3 * MAX_SERVERS {
            assert!(in_flight.acquire(&n.to_string()).await.is_some());
        }
        assert!(in_flight.servers.lock().len() <= MAX_SERVERS);
        assert!(in_flight.acquire("busy").await.is_none());
        drop(busy);
    }
}
