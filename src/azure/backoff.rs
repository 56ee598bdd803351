//! Backoffs that a service requested, for each host, identity and kind of call.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::classify;
use super::identity::Fingerprint;
use crate::operation::{CallKind, OperationKind, ServiceError, ServiceErrorKind};

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
    /// `GET` of one operation of this kind.
    Poll(OperationKind),
    /// `GET` of all refreshes.
    ListRefreshes,
    Cancel,
}

impl From<CallKind> for Limit {
    fn from(kind: CallKind) -> Self {
        match kind {
            CallKind::Resolve => Self::Resolve,
            CallKind::Submit(kind) => Self::Submit(kind),
            CallKind::Poll(kind) => Self::Poll(kind),
            CallKind::List(OperationKind::Refresh) => Self::ListRefreshes,
            // Power BI shows the last sync by the request that polls it.
            CallKind::List(OperationKind::Sync) => Self::Poll(OperationKind::Sync),
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

    /// The error of a call that is not made because of this backoff.
    pub(super) fn error(&self) -> ServiceError {
        let error = ServiceError::new(ServiceErrorKind::Throttled, classify::throttled(self.until));
        ServiceError { retry_after: Some(self.remaining()), ..error }
    }
}

/// The current backoffs.
#[derive(Default)]
pub(super) struct Backoffs(Mutex<HashMap<(String, Fingerprint, Limit), Backoff>>);

impl Backoffs {
    /// The backoff of this identity for calls of a kind to a host.
    pub(super) fn get(&self, host: &str, identity: Fingerprint, kind: CallKind) -> Option<Backoff> {
        let backoffs = self.0.lock();
        backoffs.get(&(host.to_owned(), identity, kind.into())).copied().filter(|backoff| !backoff.remaining().is_zero())
    }

    /// Number of identities that currently back off from a host.
    pub(super) fn throttled_identities(&self) -> usize {
        let backoffs = self.0.lock();
        let current = backoffs.iter().filter(|(_, backoff)| !backoff.remaining().is_zero());
        current.map(|((host, identity, _), _)| (host, identity)).collect::<HashSet<_>>().len()
    }

    /// Removes the backoffs that have ended, and returns the number of the others.
    pub(super) fn purge(&self) -> usize {
        let mut backoffs = self.0.lock();
        backoffs.retain(|_, backoff| !backoff.remaining().is_zero());
        backoffs.len()
    }

    /// Records that a service throttles calls of a kind of an identity. All callers with the same three values back off.
    pub(super) fn set(&self, host: &str, identity: Fingerprint, kind: CallKind, wait: Option<Duration>) -> Backoff {
        let requested = Backoff::new(wait.unwrap_or(DEFAULT_BACKOFF));
        let mut backoffs = self.0.lock();
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
    async fn backoff_applies_to_one_identity_host_and_kind() {
        let backoffs = Backoffs::default();
        let kind = CallKind::Poll(OperationKind::Refresh);
        let left = |backoffs: &Backoffs, host, who, kind| backoffs.get(host, identity(who), kind).map(|backoff| backoff.remaining());
        backoffs.set("host", identity(1), kind, Some(Duration::from_secs(30)));
        backoffs.set("host", identity(1), kind, None);
        assert_eq!(left(&backoffs, "host", 1, kind), Some(Duration::from_secs(30)), "a shorter one changes nothing");
        assert_eq!(left(&backoffs, "host", 2, kind), None);
        assert_eq!(left(&backoffs, "other", 1, kind), None);
        for other in CallKind::ALL.iter().copied().filter(|other| *other != kind) {
            assert_eq!(left(&backoffs, "host", 1, other), None, "{other:?}");
        }
        backoffs.set("host", identity(1), CallKind::Resolve, Some(Duration::from_secs(10)));
        assert_eq!((backoffs.throttled_identities(), backoffs.purge()), (1, 2), "one identity, for all kinds of calls");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(left(&backoffs, "host", 1, kind), None);
        assert_eq!((backoffs.throttled_identities(), backoffs.purge()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_list_of_refreshes_delays_no_poll() {
        let backoffs = Backoffs::default();
        let backs_off = |kind| backoffs.get("host", identity(1), kind).is_some();
        backoffs.set("host", identity(1), CallKind::List(OperationKind::Refresh), Some(Duration::from_secs(3392)));
        assert!(backs_off(CallKind::List(OperationKind::Refresh)) && !backs_off(CallKind::Poll(OperationKind::Refresh)));
        // One request of Power BI serves both.
        backoffs.set("host", identity(1), CallKind::List(OperationKind::Sync), None);
        assert!(backs_off(CallKind::List(OperationKind::Sync)) && backs_off(CallKind::Poll(OperationKind::Sync)));
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_long_backoff_is_stable() {
        let backoffs = Backoffs::default();
        let requested = backoffs.set("host", identity(1), CallKind::Cancel, Some(Duration::from_secs(3392)));
        let until = requested.until.unwrap();
        let due = Timestamp::now() + Duration::from_secs(3392);
        assert!(due.duration_since(until).abs().as_secs() <= 2 && until.subsec_nanosecond() == 0, "{until}");
        for _ in 0..56 {
            tokio::time::advance(Duration::from_mins(1)).await;
            assert_eq!(backoffs.get("host", identity(1), CallKind::Cancel).unwrap().until, Some(until));
        }
        assert_eq!(backoffs.set("host", identity(2), CallKind::Cancel, Some(Duration::from_secs(59))).until, None);
    }
}
