//! The result of a reconciliation: when the next one is due.

use std::time::Duration;

use tokio::time::Instant;

/// When the next reconciliation of a resource is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action(Option<Duration>);

impl Action {
    /// After this delay at the latest.
    pub(crate) fn requeue(after: Duration) -> Self {
        Self(Some(after))
    }

    /// Only after a change.
    pub(crate) fn await_change() -> Self {
        Self(None)
    }

    /// When that is, if there is a delay.
    pub(crate) fn due(self, now: Instant) -> Option<Instant> {
        self.0.and_then(|after| now.checked_add(after))
    }
}
