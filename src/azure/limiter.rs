//! The limits of traffic: calls in flight for each server, and backoffs that a service requested.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::identity::Fingerprint;
use crate::operation::{CallKind, OperationKind};

/// Maximum wait for a permit for a call in flight. A server that responds has a free permit by then, and a retry would cost a
/// reconciliation and, after some retries, a recorded error. If the server does not respond, a longer wait would block reconciliations for
/// other servers.
const PATIENCE: Duration = Duration::from_millis(100);

/// Maximum number of servers before idle ones are removed.
const SERVERS: usize = 1024;

/// Backoff of a throttled identity if the service does not state one.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

/// Minimum backoff whose end is in messages. A message with a time may change with each new backoff, and each change is a write.
const NAMED_PAUSE: Duration = Duration::from_mins(1);

/// The calls that one throttle applies to: Microsoft Fabric limits "the number of calls a specific caller can perform on a specific API" (its
/// documentation, "Throttling"). A throttled request for names therefore does not delay the cancellation of a running operation. If a limit
/// covers several of these, each costs one refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Limit {
    Resolve,
    Submit(OperationKind),
    /// `GET` of operations of this kind, one or all.
    Read(OperationKind),
    Cancel,
}

impl From<CallKind> for Limit {
    fn from(kind: CallKind) -> Self {
        match kind {
            CallKind::Resolve => Self::Resolve,
            CallKind::Submit(kind) => Self::Submit(kind),
            CallKind::Poll(kind) | CallKind::List(kind) => Self::Read(kind),
            CallKind::Cancel => Self::Cancel,
        }
    }
}

/// A backoff that a service requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    end: Instant,
    /// The end of the backoff, if messages contain it.
    pub(super) until: Option<Timestamp>,
}

impl Pause {
    fn new(wait: Duration) -> Self {
        let end = Timestamp::now().checked_add(wait).ok().filter(|_| wait >= NAMED_PAUSE);
        Self { end: Instant::now() + wait, until: end.and_then(|end| Timestamp::from_second(end.as_second()).ok()) }
    }

    /// The remaining time.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Calls in flight, and backoffs.
pub(super) struct Traffic {
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
    pauses: Mutex<HashMap<(String, Fingerprint, Limit), Pause>>,
}

impl Traffic {
    pub(super) fn new(per_server: usize) -> Self {
        Self { per_server, servers: Mutex::default(), pauses: Mutex::default() }
    }

    /// Acquires a permit for a call in flight to a server, first in, first out; `None` if none was free for [`PATIENCE`].
    pub(super) async fn enter(&self, server: &str) -> Option<OwnedSemaphorePermit> {
        let places = self.places(server);
        tokio::time::timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()
    }

    fn places(&self, server: &str) -> Arc<Semaphore> {
        let mut servers = self.servers.lock();
        if servers.len() >= SERVERS && !servers.contains_key(server) {
            // A holder of a permit, and a waiter, have a reference.
            servers.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(servers.entry(server.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_server))))
    }

    /// The backoff of this identity for calls of a kind to a host.
    pub(super) fn pause(&self, host: &str, identity: Fingerprint, kind: CallKind) -> Option<Pause> {
        let pauses = self.pauses.lock();
        pauses.get(&(host.to_owned(), identity, kind.into())).copied().filter(|pause| !pause.left().is_zero())
    }

    /// Number of identities that currently back off from a host.
    pub(super) fn paused(&self) -> usize {
        let pauses = self.pauses.lock();
        let current = pauses.iter().filter(|(_, pause)| !pause.left().is_zero());
        current.map(|((host, identity, _), _)| (host, identity)).collect::<HashSet<_>>().len()
    }

    /// Records that a service throttles calls of a kind of an identity. All callers with the same three values back off.
    pub(super) fn set_pause(&self, host: &str, identity: Fingerprint, kind: CallKind, wait: Option<Duration>) -> Pause {
        let asked = Pause::new(wait.unwrap_or(DEFAULT_PAUSE));
        let mut pauses = self.pauses.lock();
        pauses.retain(|_, pause| !pause.left().is_zero());
        let pause = pauses.entry((host.to_owned(), identity, kind.into())).or_insert(asked);
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
    async fn permits_are_counted_per_server() {
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
    async fn permit_is_awaited_briefly() {
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
    async fn idle_servers_are_removed() {
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
    async fn backoff_applies_to_one_identity_host_and_kind() {
        let traffic = Traffic::new(1);
        let kind = CallKind::Poll(OperationKind::Refresh);
        let left = |traffic: &Traffic, host, who, kind| traffic.pause(host, someone(who), kind).map(|pause| pause.left());
        traffic.set_pause("host", someone(1), kind, Some(Duration::from_secs(30)));
        traffic.set_pause("host", someone(1), kind, None);
        assert_eq!(left(&traffic, "host", 1, kind), Some(Duration::from_secs(30)), "a shorter one changes nothing");
        assert_eq!(left(&traffic, "host", 1, CallKind::List(OperationKind::Refresh)), Some(Duration::from_secs(30)), "lists as well");
        assert_eq!(left(&traffic, "host", 2, kind), None);
        assert_eq!(left(&traffic, "other", 1, kind), None);
        for other in [CallKind::Resolve, CallKind::Cancel, CallKind::Submit(OperationKind::Refresh), CallKind::Poll(OperationKind::Sync)] {
            assert_eq!(left(&traffic, "host", 1, other), None, "{other:?}");
        }
        traffic.set_pause("host", someone(1), CallKind::Resolve, Some(Duration::from_secs(10)));
        assert_eq!(traffic.paused(), 1, "one identity, for all kinds of calls");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(left(&traffic, "host", 1, kind), None);
        assert_eq!(traffic.paused(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_long_backoff_is_stable() {
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
