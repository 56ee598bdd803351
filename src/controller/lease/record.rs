//! The Lease object: how it is read and changed. Pure functions; the time is an argument.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::installation;
use super::settings::LeaseSettings;

/// The maximum duration accepted from the Lease of another holder. A wrong one must not block all candidates forever.
const MAX_DURATION: Duration = Duration::from_hours(1);
/// The duration in a released Lease.
const RELEASED_DURATION: Duration = Duration::from_secs(1);

/// A version of the Lease, and since when this process has observed it unchanged.
#[derive(Clone, Debug)]
pub(super) struct LeaseSnapshot {
    version: Option<String>,
    since: Instant,
}

impl LeaseSnapshot {
    /// Records an observation. `now` is after the response, because a later start is safe.
    pub(super) fn of(lease: &Lease, earlier: Option<Self>, now: Instant) -> Self {
        let version = &lease.metadata.resource_version;
        match earlier {
            Some(earlier) if earlier.version == *version => earlier,
            Some(_) | None => Self { version: version.clone(), since: now },
        }
    }
}

/// The state of the Lease for a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Availability {
    /// It can be acquired: released or expired.
    Free,
    /// This process holds it: the response to its write was lost.
    HeldBySelf,
    /// Another holder has it, at least until this time. It is unknown if another client cleared it.
    HeldByOther { by: Option<String>, until: Instant },
}

/// Whether the Lease can be acquired.
pub(super) fn availability(lease: &Lease, snapshot: &LeaseSnapshot, settings: &LeaseSettings, now: Instant) -> Availability {
    let by = holder(lease).map(ToOwned::to_owned);
    if by.as_ref() == Some(&settings.identity) {
        return Availability::HeldBySelf;
    }
    // The holder may be configured with a longer duration than this process.
    let until = snapshot.since + settings.duration.max(duration(lease));
    if now < until && !is_released(lease, settings) { Availability::HeldByOther { by, until } } else { Availability::Free }
}

/// Whether an operator released the Lease: see [`released`]. If another client cleared the holder, that holder acts until its next renewal.
fn is_released(lease: &Lease, settings: &LeaseSettings) -> bool {
    // With leases of one second, a released Lease looks like a cleared one, and the wait is short.
    holder(lease).is_none() && duration(lease) == RELEASED_DURATION && settings.duration > RELEASED_DURATION
}

/// Whether a holder may act: it is named, or another client cleared it, because a holder that releases the Lease shortens its duration.
pub(in crate::controller) fn is_held(lease: &Lease) -> bool {
    holder(lease).is_some() || duration(lease) > RELEASED_DURATION
}

/// The holder. `None` if the Lease was released, or if another client cleared the holder.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// The number of holders before the current one.
pub(super) fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0)
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_DURATION)
}

/// The Lease with this process as its holder. Keeps the resourceVersion of `found` and everything that the operator does not own.
pub(super) fn acquired(found: Option<Lease>, settings: &LeaseSettings, time: Timestamp) -> Lease {
    let mut lease = found.unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(settings.name.clone()), namespace: Some(settings.namespace.clone()), ..ObjectMeta::default() },
        spec: None,
    });
    let before = lease.spec.take();
    let transitions = before.as_ref().map(|spec| spec.lease_transitions.unwrap_or(0).saturating_add(1));
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(settings.identity.clone()),
        lease_duration_seconds: Some(whole_seconds(settings.duration)),
        acquire_time: Some(MicroTime(time)),
        renew_time: Some(MicroTime(time)),
        lease_transitions: Some(transitions.unwrap_or(0)),
        ..before.unwrap_or_default()
    });
    installation::record_holder(&mut lease, settings.installation.as_deref());
    lease
}

/// A deleted Lease, ready to be created again.
pub(super) fn deleted(lease: Lease) -> Lease {
    let ObjectMeta { name, namespace, labels, annotations, .. } = lease.metadata;
    Lease { metadata: ObjectMeta { name, namespace, labels, annotations, ..ObjectMeta::default() }, spec: lease.spec }
}

/// The Lease after a renewal.
pub(super) fn renewed(mut lease: Lease, settings: &LeaseSettings, time: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(MicroTime(time));
    spec.lease_duration_seconds = Some(whole_seconds(settings.duration));
    lease
}

/// The Lease after its release. Keeps the number of holders, which the next one increments.
pub(super) fn released(mut lease: Lease, time: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.renew_time = Some(MicroTime(time));
    spec.lease_duration_seconds = Some(whole_seconds(RELEASED_DURATION));
    lease
}

fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds.max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(identity: &str) -> LeaseSettings {
        LeaseSettings {
            namespace: "ops".to_owned(),
            name: "tabular-operator".to_owned(),
            duration: Duration::from_secs(15),
            identity: identity.to_owned(),
            installation: None,
            watch_namespaces: Vec::new(),
        }
    }

    fn at(version: &str, mut lease: Lease) -> Lease {
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn lease_expires_only_by_local_clock() {
        // The clock of the holder is years behind, then ahead, without effect.
        for time in [Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            let lease = at("7", acquired(None, &settings("a"), time));
            let start = Instant::now();
            let seen = LeaseSnapshot::of(&lease, None, start);
            let judged = |now| availability(&lease, &seen, &settings("b"), now);
            let until = start + Duration::from_secs(15);
            assert_eq!(judged(until - Duration::from_millis(1)), Availability::HeldByOther { by: Some("a".to_owned()), until });
            assert_eq!(judged(until), Availability::Free);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn change_restarts_the_wait() {
        let start = Instant::now();
        let lease = acquired(None, &settings("a"), Timestamp::UNIX_EPOCH);
        let seen = LeaseSnapshot::of(&at("7", lease.clone()), None, start);
        let later = start + Duration::from_secs(14);
        let same = LeaseSnapshot::of(&at("7", lease.clone()), Some(seen.clone()), later);
        assert_eq!(same.since, start);
        let changed = LeaseSnapshot::of(&at("8", lease), Some(seen), later);
        assert_eq!(changed.since, later);
    }

    #[tokio::test(start_paused = true)]
    async fn longer_duration_of_holder_is_respected_up_to_limit() {
        let now = Instant::now();
        let mut lease = acquired(None, &settings("a"), Timestamp::UNIX_EPOCH);
        for (seconds, waits) in [(60, 60), (1, 15), (-3, 15), (i32::MAX, 3600)] {
            lease.spec.as_mut().unwrap().lease_duration_seconds = Some(seconds);
            let Availability::HeldByOther { until, .. } = availability(&lease, &LeaseSnapshot::of(&lease, None, now), &settings("b"), now)
            else {
                panic!("another holder has it")
            };
            assert_eq!(until - now, Duration::from_secs(waits));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_release_frees_the_lease_without_a_wait() {
        let (now, held) = (Instant::now(), acquired(None, &settings("a"), Timestamp::UNIX_EPOCH));
        let judged = |lease: &Lease, ours: &LeaseSettings| availability(lease, &LeaseSnapshot::of(lease, None, now), ours, now);
        let free = released(held.clone(), Timestamp::UNIX_EPOCH);
        assert_eq!(judged(&free, &settings("b")), Availability::Free);
        let mut cleared = held;
        cleared.spec.as_mut().unwrap().holder_identity = Some(String::new());
        for lease in [cleared, Lease::default()] {
            let until = now + Duration::from_secs(15);
            assert_eq!(judged(&lease, &settings("b")), Availability::HeldByOther { by: None, until });
        }
        let short = LeaseSettings { duration: Duration::from_secs(1), ..settings("b") };
        assert_eq!(judged(&free, &short), Availability::HeldByOther { by: None, until: now + short.duration });
    }

    #[test]
    fn holders_are_counted_and_foreign_fields_kept() {
        let first = acquired(None, &settings("a"), Timestamp::UNIX_EPOCH);
        assert_eq!(transitions(&first), 0);
        let mut back = released(renewed(first, &settings("a"), Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
        assert_eq!(holder(&back), None);
        back.spec.as_mut().unwrap().strategy = Some("theirs".to_owned());
        back.metadata.labels = Some([("team".to_owned(), "bi".to_owned())].into());
        let second = acquired(Some(at("9", back)), &settings("b"), Timestamp::UNIX_EPOCH);
        assert_eq!(transitions(&second), 1);
        assert_eq!(holder(&second), Some("b"));
        assert_eq!(second.metadata.resource_version.as_deref(), Some("9"));
        assert_eq!(second.spec.as_ref().unwrap().strategy.as_deref(), Some("theirs"));
        assert!(second.metadata.labels.is_some());
    }

    #[test]
    fn duration_is_rounded_up_to_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(1_500)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(15)), 15);
        assert_eq!(whole_seconds(Duration::ZERO), 1);
    }
}
