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
pub(crate) const ANNOTATION: &str = "tabular-operator.dev/leaving";
/// How long the request stays in effect without a renewal, by the clock of the operator. It must outlast the pods of an uninstall,
/// including a standby that acquires the Lease. The next installation removes it ([`super::installation`]).
pub(crate) const HOLDS: Duration = Duration::from_mins(1);

/// The value of the request to these installations. `count` is the number of its renewals.
pub(crate) fn word(leaving: DrainMode, count: u64, to: &[&str]) -> String {
    let word = match leaving {
        DrainMode::Cancel => "cancel",
        DrainMode::Wait => "wait",
    };
    [&[word, &count.to_string()], to].concat().join(" ")
}

/// Whether the request addresses only other installations.
pub(super) fn is_to_others(word: &str, ours: &str) -> bool {
    let mut named = word.split(' ').skip(2).peekable();
    named.peek().is_some() && !named.any(|named| named == ours)
}

/// The last received request, and since when it has been unchanged.
#[derive(Debug, Default)]
pub(super) struct Heard {
    last: Option<(String, Instant)>,
}

impl Heard {
    /// The request in the Lease if it is still in effect.
    pub(super) fn hear(&mut self, lease: &Lease, now: Instant) -> Option<DrainMode> {
        let said = lease.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION));
        if said != self.last.as_ref().map(|(word, _)| word) {
            self.last = said.map(|word| (word.clone(), now));
        }
        let (word, since) = self.last.as_ref()?;
        let leaving = match word.split(' ').next() {
            Some("cancel") => Some(DrainMode::Cancel),
            Some("wait") => Some(DrainMode::Wait),
            Some(_) | None => None,
        };
        leaving.filter(|_| now < *since + HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(word: Option<&str>) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.annotations = word.map(|word| [(ANNOTATION.to_owned(), word.to_owned())].into());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn drain_request_expires_a_minute_after_renewal() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        let mut at = |seconds, word: Option<&str>| heard.hear(&saying(word), start + Duration::from_secs(seconds));
        let (first, second) = (word(DrainMode::Cancel, 1, &[]), word(DrainMode::Cancel, 2, &["a"]));
        assert_eq!(at(0, None), None);
        assert_eq!(at(5, Some(&first)), Some(DrainMode::Cancel));
        assert_eq!(at(64, Some(&first)), Some(DrainMode::Cancel));
        assert_eq!(at(65, Some(&first)), None);
        assert_eq!(at(70, Some(&second)), Some(DrainMode::Cancel));
        assert_eq!(at(75, None), None);
        assert_eq!(at(80, Some(&word(DrainMode::Wait, 1, &["a", "b"]))), Some(DrainMode::Wait));
        assert_eq!(at(85, Some("nonsense")), None);
    }
}
