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
const PERMIT_TIMEOUT: Duration = Duration::from_millis(100);

/// Maximum number of servers before idle ones are removed.
const MAX_SERVERS: usize = 1024;

/// Backoff of a throttled identity if the service does not state one.
const DEFAULT_BACKOFF: Duration = Duration::from_secs(5);

/// Minimum backoff whose end is in messages. A message with a time may change with each new backoff, and each change is a write.
const MIN_REPORTED_BACKOFF: Duration = Duration::from_mins(1);

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
pub(super) struct Backoff {
    end: Instant,
    /// The end of the backoff, if messages contain it.
    pub(super) until: Option<Timestamp>,
}

impl Backoff {
    fn new(wait: Duration) -> Self {
        let end = Timestamp::now().checked_add(wait).ok().filter(|_| wait >= MIN_REPORTED_BACKOFF);
        Self { end: Instant::now() + wait, until: end.and_then(|end| Timestamp::from_second(end.as_second()).ok()) }
    }

    /// The remaining time.
    pub(super) fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Calls in flight, and backoffs.
pub(super) struct CallLimiter {
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
    backoffs: Mutex<HashMap<(String, Fingerprint, Limit), Backoff>>,
}

impl CallLimiter {
    pub(super) fn new(per_server: usize) -> Self {
        Self { per_server, servers: Mutex::default(), backoffs: Mutex::default() }
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

    /// The backoff of this identity for calls of a kind to a host.
    pub(super) fn backoff(&self, host: &str, identity: Fingerprint, kind: CallKind) -> Option<Backoff> {
        let backoffs = self.backoffs.lock();
        backoffs.get(&(host.to_owned(), identity, kind.into())).copied().filter(|backoff| !backoff.remaining().is_zero())
    }

    /// Number of identities that currently back off from a host.
    pub(super) fn throttled_identities(&self) -> usize {
        let backoffs = self.backoffs.lock();
        let current = backoffs.iter().filter(|(_, backoff)| !backoff.remaining().is_zero());
        current.map(|((host, identity, _), _)| (host, identity)).collect::<HashSet<_>>().len()
    }

    /// Records that a service throttles calls of a kind of an identity. All callers with the same three values back off.
    pub(super) fn set_backoff(&self, host: &str, identity: Fingerprint, kind: CallKind, wait: Option<Duration>) -> Backoff {
        let requested = Backoff::new(wait.unwrap_or(DEFAULT_BACKOFF));
        let mut backoffs = self.backoffs.lock();
        backoffs.retain(|_, backoff| !backoff.remaining().is_zero());
        let backoff = backoffs.entry((host.to_owned(), identity, kind.into())).or_insert(requested);
        if requested.end > backoff.end {
            *backoff = requested;
        }
        *backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(n: u8) -> Fingerprint {
        Fingerprint::of(&[&[n]])
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_per_server() {
        let limiter = CallLimiter::new(2);
        let held = (limiter.acquire("a").await, limiter.acquire("a").await);
        assert!(held.0.is_some() && held.1.is_some());
        let requested = Instant::now();
        assert!(limiter.acquire("a").await.is_none());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis());
        assert!(limiter.acquire("b").await.is_some());
        assert_eq!(requested.elapsed().as_millis(), PERMIT_TIMEOUT.as_millis(), "another server's calls do not count");
        drop(held.0);
        assert!(limiter.acquire("a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn permit_is_awaited_briefly() {
        let limiter = CallLimiter::new(1);
        let held = limiter.acquire("a").await;
        let soon = async {
            tokio::time::sleep(PERMIT_TIMEOUT / 2).await;
            drop(held);
        };
        let (permit, ()) = tokio::join!(limiter.acquire("a"), soon);
        assert!(permit.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_servers_are_removed() {
        let limiter = CallLimiter::new(1);
        let busy = limiter.acquire("busy").await;
        for n in 0..3 * MAX_SERVERS {
            assert!(limiter.acquire(&n.to_string()).await.is_some());
        }
        assert!(limiter.servers.lock().len() <= MAX_SERVERS);
        assert!(limiter.acquire("busy").await.is_none());
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_applies_to_one_identity_host_and_kind() {
        let limiter = CallLimiter::new(1);
        let kind = CallKind::Poll(OperationKind::Refresh);
        let left = |limiter: &CallLimiter, host, who, kind| limiter.backoff(host, identity(who), kind).map(|backoff| backoff.remaining());
        limiter.set_backoff("host", identity(1), kind, Some(Duration::from_secs(30)));
        limiter.set_backoff("host", identity(1), kind, None);
        assert_eq!(left(&limiter, "host", 1, kind), Some(Duration::from_secs(30)), "a shorter one changes nothing");
        assert_eq!(left(&limiter, "host", 1, CallKind::List(OperationKind::Refresh)), Some(Duration::from_secs(30)), "lists as well");
        assert_eq!(left(&limiter, "host", 2, kind), None);
        assert_eq!(left(&limiter, "other", 1, kind), None);
        for other in [CallKind::Resolve, CallKind::Cancel, CallKind::Submit(OperationKind::Refresh), CallKind::Poll(OperationKind::Sync)] {
            assert_eq!(left(&limiter, "host", 1, other), None, "{other:?}");
        }
        limiter.set_backoff("host", identity(1), CallKind::Resolve, Some(Duration::from_secs(10)));
        assert_eq!(limiter.throttled_identities(), 1, "one identity, for all kinds of calls");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(left(&limiter, "host", 1, kind), None);
        assert_eq!(limiter.throttled_identities(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_long_backoff_is_stable() {
        let limiter = CallLimiter::new(1);
        let requested = limiter.set_backoff("host", identity(1), CallKind::Cancel, Some(Duration::from_secs(3392)));
        let until = requested.until.unwrap();
        let due = Timestamp::now() + Duration::from_secs(3392);
        assert!(due.duration_since(until).abs().as_secs() <= 2 && until.subsec_nanosecond() == 0, "{until}");
        for _ in 0..56 {
            tokio::time::advance(Duration::from_mins(1)).await;
            assert_eq!(limiter.backoff("host", identity(1), CallKind::Cancel).unwrap().until, Some(until));
        }
        assert_eq!(limiter.set_backoff("host", identity(2), CallKind::Cancel, Some(Duration::from_secs(59))).until, None);
    }
}
