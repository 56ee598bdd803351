//! Bounds the calls in flight to each server. Namespaces share them fairly.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::fair_semaphore::{FairSemaphore, Permit};

/// Maximum wait for a permit for a call in flight. A server that responds has a free permit by then, and a retry would cost a
/// reconciliation and, after some retries, a recorded error. If the server does not respond, a longer wait would block reconciliations for
/// other servers.
const PERMIT_TIMEOUT: Duration = Duration::from_millis(100);

/// Maximum number of servers before idle ones are removed.
const MAX_SERVERS: usize = 1024;

/// The permits for calls in flight.
pub(super) struct CallsInFlight {
    per_server: usize,
    servers: Mutex<HashMap<String, FairSemaphore>>,
}

impl CallsInFlight {
    pub(super) fn new(per_server: usize) -> Self {
        Self { per_server, servers: Mutex::default() }
    }

    /// Acquires a permit for a call in flight to a server; `None` if the namespace got none for [`PERMIT_TIMEOUT`]. If the server never
    /// responds to the calls of one namespace, they hold at most three quarters of the permits.
    pub(super) async fn acquire(&self, server: &str, namespace: &str) -> Option<Permit> {
        let permits = self.permits(server);
        tokio::time::timeout(PERMIT_TIMEOUT, permits.acquire(namespace)).await.ok().flatten()
    }

    /// Number of servers, and of calls to them that hold a permit or wait for one.
    pub(super) fn counts(&self) -> (usize, usize) {
        let servers = self.servers.lock();
        (servers.len(), servers.values().map(FairSemaphore::callers).sum())
    }

    fn permits(&self, server: &str) -> FairSemaphore {
        let mut servers = self.servers.lock();
        if servers.len() >= MAX_SERVERS && !servers.contains_key(server) {
            servers.retain(|_, permits| permits.is_in_use());
        }
        servers.entry(server.to_owned()).or_insert_with(|| FairSemaphore::new(self.per_server)).clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_per_server() {
        let in_flight = CallsInFlight::new(3);
        let held = (in_flight.acquire("a", "bi").await, in_flight.acquire("a", "bi").await);
        assert!(held.0.is_some() && held.1.is_some());
        let requested = Instant::now();
        assert!(in_flight.acquire("a", "bi").await.is_none());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis());
        assert!(in_flight.acquire("b", "bi").await.is_some());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis(), "another server's calls do not count");
        drop(held.0);
        assert!(in_flight.acquire("a", "bi").await.is_some());
    }

    /// The server responds to no call of a namespace with many resources.
    #[tokio::test(start_paused = true)]
    async fn hanging_calls_of_a_namespace_delay_no_other() {
        let in_flight = CallsInFlight::new(32);
        let mut hanging = Vec::new();
        for _ in 0..24 {
            hanging.push(in_flight.acquire("a", "greedy").await.unwrap());
        }
        assert!(in_flight.acquire("a", "greedy").await.is_none());
        let waiting = futures::future::join_all((0..500).map(|_| in_flight.acquire("a", "greedy")));
        let other = async {
            tokio::task::yield_now().await;
            let requested = Instant::now();
            let permits = futures::future::join_all((0..4).map(|_| in_flight.acquire("a", "other"))).await;
            (permits, requested.elapsed())
        };
        let (refused, (permits, waited)) = tokio::join!(waiting, other);
        assert!(refused.iter().all(Option::is_none));
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(waited, Duration::ZERO);
        drop(hanging);
    }

    #[tokio::test(start_paused = true)]
    async fn permit_is_awaited_briefly() {
        let in_flight = CallsInFlight::new(1);
        let held = in_flight.acquire("a", "bi").await;
        let soon = async {
            tokio::time::sleep(PERMIT_TIMEOUT / 2).await;
            drop(held);
        };
        let (permit, ()) = tokio::join!(in_flight.acquire("a", "bi"), soon);
        assert!(permit.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_servers_are_removed() {
        let in_flight = CallsInFlight::new(1);
        let busy = in_flight.acquire("busy", "bi").await;
        for n in 0..3 * MAX_SERVERS {
            assert!(in_flight.acquire(&n.to_string(), "bi").await.is_some());
        }
        let (servers, calls) = in_flight.counts();
        assert!(servers <= MAX_SERVERS);
        assert_eq!(calls, 1);
        assert!(in_flight.acquire("busy", "bi").await.is_none());
        drop(busy);
    }
}
