//! How much is sent where: calls in flight per server, and pauses that a service asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::identity::Fingerprint;
use crate::operation::OperationKind;

/// How long a place among the calls in flight is waited for. A server that answers has one free by then, and coming back later
/// would cost a pass, and a record of the trouble after a few. Behind one that does not, a pass must not stand in the way of
/// other servers' for longer.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many servers are remembered before the idle ones are forgotten.
const SERVERS: usize = 1024;

/// How long a throttled identity stays away where the service does not say.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

/// From how long a pause its end is named to users: a message with a time may change at each new pause, and each change is a write.
const NAMED_PAUSE: Duration = Duration::from_mins(1);

/// The kinds of calls. A throttle applies to one kind: Microsoft Fabric limits "the number of calls a specific caller can perform on a specific
/// API" (its documentation, "Throttling"). So no lookup delays the cancellation of what runs. Where a limit does cover several kinds,
/// that costs one refused call of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Lists of workspaces and semantic models.
    Resolve,
    /// `POST` of an operation.
    Submit(OperationKind),
    /// `GET` of operations of this kind, one or all.
    Read(OperationKind),
    /// `DELETE` of a refresh.
    Cancel,
}

/// A pause that a service asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    end: Instant,
    /// The end as users read it, where they do.
    pub(super) until: Option<Timestamp>,
}

impl Pause {
    fn new(wait: Duration) -> Self {
        let end = Timestamp::now().checked_add(wait).ok().filter(|_| wait >= NAMED_PAUSE);
        Self { end: Instant::now() + wait, until: end.and_then(|end| Timestamp::from_second(end.as_second()).ok()) }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Calls in flight, and pauses.
pub(super) struct Traffic {
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
    pauses: Mutex<HashMap<(String, Fingerprint, CallKind), Pause>>,
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

    /// The pause of this identity's calls of a kind to a host.
    pub(super) fn pause(&self, host: &str, identity: Fingerprint, kind: CallKind) -> Option<Pause> {
        let pauses = self.pauses.lock();
        pauses.get(&(host.to_owned(), identity, kind)).copied().filter(|pause| !pause.left().is_zero())
    }

    /// How many identities a host has asked to pause calls now.
    pub(super) fn paused(&self) -> usize {
        let pauses = self.pauses.lock();
        let current = pauses.iter().filter(|(_, pause)| !pause.left().is_zero());
        current.map(|((host, identity, _), _)| (host, identity)).collect::<HashSet<_>>().len()
    }

    /// Notes that a service throttles an identity's calls of a kind: every caller that shares all three pauses them.
    pub(super) fn set_pause(&self, host: &str, identity: Fingerprint, kind: CallKind, wait: Option<Duration>) -> Pause {
        let asked = Pause::new(wait.unwrap_or(DEFAULT_PAUSE));
        let mut pauses = self.pauses.lock();
        pauses.retain(|_, pause| !pause.left().is_zero());
        let pause = pauses.entry((host.to_owned(), identity, kind)).or_insert(asked);
        if asked.end > pause.end {
            *pause = asked;
        }
        *pause
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
    async fn pause_applies_to_one_identity_host_and_kind() {
        let traffic = Traffic::new(1);
        let kind = CallKind::Read(OperationKind::Refresh);
        let left = |traffic: &Traffic, host, who, kind| traffic.pause(host, someone(who), kind).map(|pause| pause.left());
        traffic.set_pause("host", someone(1), kind, Some(Duration::from_secs(30)));
        traffic.set_pause("host", someone(1), kind, None);
        assert_eq!(left(&traffic, "host", 1, kind), Some(Duration::from_secs(30)), "a shorter one changes nothing");
        assert_eq!(left(&traffic, "host", 2, kind), None);
        assert_eq!(left(&traffic, "other", 1, kind), None);
        for other in [CallKind::Resolve, CallKind::Cancel, CallKind::Submit(OperationKind::Refresh), CallKind::Read(OperationKind::Sync)] {
            assert_eq!(left(&traffic, "host", 1, other), None, "{other:?}");
        }
        traffic.set_pause("host", someone(1), CallKind::Resolve, Some(Duration::from_secs(10)));
        assert_eq!(traffic.paused(), 1, "one identity, whatever its calls");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(left(&traffic, "host", 1, kind), None);
        assert_eq!(traffic.paused(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_a_long_pause_stays_the_same_until_then() {
        let traffic = Traffic::new(1);
        let asked = traffic.set_pause("host", someone(1), CallKind::Cancel, Some(Duration::from_secs(3392)));
        let until = asked.until.unwrap();
        let due = Timestamp::now() + Duration::from_secs(3392);
        assert!(due.duration_since(until).abs().as_secs() <= 2 && until.subsec_nanosecond() == 0, "{until}");
        for _ in 0..56 {
            tokio::time::advance(Duration::from_mins(1)).await;
            assert_eq!(traffic.pause("host", someone(1), CallKind::Cancel).unwrap().until, Some(until));
        }
        assert_eq!(traffic.set_pause("host", someone(2), CallKind::Cancel, Some(Duration::from_secs(59))).until, None);
    }
}
