//! How much is sent where: calls in flight per server, and pauses that a service asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::identity::Fingerprint;

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

    /// A place among the calls in flight to a server; `None` at once where there is none.
    pub(super) fn enter(&self, server: &str) -> Option<OwnedSemaphorePermit> {
        let mut servers = self.servers.lock();
        if servers.len() >= SERVERS && !servers.contains_key(server) {
            servers.retain(|_, places| places.available_permits() < self.per_server);
        }
        let places = servers.entry(server.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_server)));
        Arc::clone(places).try_acquire_owned().ok()
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

    #[tokio::test]
    async fn places_are_counted_per_server() {
        let traffic = Traffic::new(2);
        let held = (traffic.enter("a"), traffic.enter("a"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(traffic.enter("a").is_none());
        assert!(traffic.enter("b").is_some());
        drop(held.0);
        assert!(traffic.enter("a").is_some());
    }

    #[tokio::test]
    async fn idle_servers_are_forgotten() {
        let traffic = Traffic::new(1);
        let busy = traffic.enter("busy");
        for n in 0..3 * SERVERS {
            assert!(traffic.enter(&n.to_string()).is_some());
        }
        assert!(traffic.servers.lock().len() <= SERVERS);
        assert!(traffic.enter("busy").is_none());
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
