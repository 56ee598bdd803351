//! How much is sent where: calls in flight per server, and pauses that a service asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::identity::Fingerprint;

/// How long a place among the calls in flight is waited for. A server that answers has one free by then, and coming back later
/// would cost a pass, and a record of the trouble after a few. Behind one that does not, a pass must not stand in the way of
/// other servers' for longer.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many servers are remembered before the idle ones are forgotten.
const SERVERS: usize = 1024;

/// How long a throttled identity stays away where the service does not say.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

/// Calls in flight, and pauses.
pub(super) struct Traffic {
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
    pauses: Mutex<HashMap<(String, Fingerprint), Instant>>,
}

impl Traffic {
    pub(super) fn new(per_server: usize) -> Self {
        Self { per_server, servers: Mutex::default(), pauses: Mutex::default() }
    }

    /// A place among the calls in flight to a server, first come, first served; `None` where none was free for [`PATIENCE`].
    pub(super) async fn enter(&self, server: &str) -> Option<OwnedSemaphorePermit> {
        let places = self.places(server);
        tokio::time::timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()
    }

    fn places(&self, server: &str) -> Arc<Semaphore> {
        let mut servers = self.servers.lock();
        if servers.len() >= SERVERS && !servers.contains_key(server) {
            // Whoever has a place, or waits for one, has a hand on them.
            servers.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(servers.entry(server.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_server))))
    }

    /// How long this identity is still to stay away from this host.
    pub(super) fn pause(&self, host: &str, identity: Fingerprint) -> Option<Duration> {
        let now = Instant::now();
        let pauses = self.pauses.lock();
        let until = pauses.get(&(host.to_owned(), identity))?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// How many identities are to stay away from a host now.
    pub(super) fn paused(&self) -> usize {
        let now = Instant::now();
        self.pauses.lock().values().filter(|until| **until > now).count()
    }

    /// Notes that a service asked an identity to stay away: every caller that shares both does.
    pub(super) fn set_pause(&self, host: &str, identity: Fingerprint, wait: Option<Duration>) {
        let now = Instant::now();
        let until = now + wait.unwrap_or(DEFAULT_PAUSE);
        let mut pauses = self.pauses.lock();
        pauses.retain(|_, end| *end > now);
        let end = pauses.entry((host.to_owned(), identity)).or_insert(until);
        *end = until.max(*end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone(n: u8) -> Fingerprint {
        Fingerprint::of(&[&[n]])
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_counted_per_server() {
        let traffic = Traffic::new(2);
        let held = (traffic.enter("a").await, traffic.enter("a").await);
        assert!(held.0.is_some() && held.1.is_some());
        let asked = Instant::now();
        assert!(traffic.enter("a").await.is_none());
        assert_eq!(asked.elapsed().as_millis(), PATIENCE.as_millis());
        assert!(traffic.enter("b").await.is_some());
        assert_eq!(asked.elapsed().as_millis(), PATIENCE.as_millis(), "another server's calls do not count");
        drop(held.0);
        assert!(traffic.enter("a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for() {
        let traffic = Traffic::new(1);
        let held = traffic.enter("a").await;
        let soon = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(held);
        };
        let (place, ()) = tokio::join!(traffic.enter("a"), soon);
        assert!(place.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_servers_are_forgotten() {
        let traffic = Traffic::new(1);
        let busy = traffic.enter("busy").await;
        for n in 0..3 * SERVERS {
            assert!(traffic.enter(&n.to_string()).await.is_some());
        }
        assert!(traffic.servers.lock().len() <= SERVERS);
        assert!(traffic.enter("busy").await.is_none());
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_one_identity_at_one_host() {
        let traffic = Traffic::new(1);
        traffic.set_pause("host", someone(1), Some(Duration::from_secs(30)));
        traffic.set_pause("host", someone(1), None);
        assert_eq!(traffic.pause("host", someone(1)), Some(Duration::from_secs(30)));
        assert_eq!(traffic.pause("host", someone(2)), None);
        assert_eq!(traffic.paused(), 1);
        assert_eq!(traffic.pause("other", someone(1)), None);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(traffic.pause("host", someone(1)), None);
        assert_eq!(traffic.paused(), 0);
    }
}
