//! The drain request, an annotation of the Lease that announces an uninstall to the operator.
//!
//! The Lease contains it because the holder accesses the Lease most often, and because a write to the Lease makes the next renewal fail
//! until the holder has read it. A renewal after the request confirms that the holder has received it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use crate::engine::DrainMode;

/// The annotation: `cancel` or `wait`, a number that increases with each renewal, and the installations ([`super::installation`]) that
/// it addresses. Without any, it addresses all.
pub(crate) const ANNOTATION: &str = "tabular-operator.dev/drain";
/// How long the request stays in effect without a renewal, by the clock of the operator. It must outlast the pods of an uninstall,
/// including a standby that acquires the Lease. The next installation removes it ([`super::installation`]).
pub(crate) const SIGNAL_TTL: Duration = Duration::from_mins(1);

/// The value of the request to these installations. `count` is the number of its renewals.
pub(crate) fn request(drain: DrainMode, count: u64, to: &[&str]) -> String {
    let mode = match drain {
        DrainMode::Cancel => "cancel",
        DrainMode::Wait => "wait",
    };
    [&[mode, &count.to_string()], to].concat().join(" ")
}

/// Whether the request addresses only other installations.
pub(super) fn addresses_only_others(request: &str, ours: &str) -> bool {
    let mut named = request.split(' ').skip(2).peekable();
    named.peek().is_some() && !named.any(|named| named == ours)
}

/// The last received request, and since when it has been unchanged.
#[derive(Debug, Default)]
pub(super) struct DrainSignal {
    last: Option<(String, Instant)>,
}

impl DrainSignal {
    /// The request in the Lease if it is still in effect.
    pub(super) fn observe(&mut self, lease: &Lease, now: Instant) -> Option<DrainMode> {
        let value = lease.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION));
        if value != self.last.as_ref().map(|(request, _)| request) {
            self.last = value.map(|request| (request.clone(), now));
        }
        let (request, since) = self.last.as_ref()?;
        let mode = match request.split(' ').next() {
            Some("cancel") => Some(DrainMode::Cancel),
            Some("wait") => Some(DrainMode::Wait),
            Some(_) | None => None,
        };
        mode.filter(|_| now < *since + SIGNAL_TTL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease_with(request: Option<&str>) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.annotations = request.map(|request| [(ANNOTATION.to_owned(), request.to_owned())].into());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn drain_request_expires_a_minute_after_renewal() {
        let (mut signal, start) = (DrainSignal::default(), Instant::now());
        let mut at = |seconds, request: Option<&str>| signal.observe(&lease_with(request), start + Duration::from_secs(seconds));
        let (first, second) = (request(DrainMode::Cancel, 1, &[]), request(DrainMode::Cancel, 2, &["a"]));
        assert_eq!(at(0, None), None);
        assert_eq!(at(5, Some(&first)), Some(DrainMode::Cancel));
        assert_eq!(at(64, Some(&first)), Some(DrainMode::Cancel));
        assert_eq!(at(65, Some(&first)), None);
        assert_eq!(at(70, Some(&second)), Some(DrainMode::Cancel));
        assert_eq!(at(75, None), None);
        assert_eq!(at(80, Some(&request(DrainMode::Wait, 1, &["a", "b"]))), Some(DrainMode::Wait));
        assert_eq!(at(85, Some("nonsense")), None);
    }
}
