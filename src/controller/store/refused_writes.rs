//! The refused writes of one resource, and when each is reported again. The text of a refusal does not count: it may differ each time.

use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::labels::Write;

/// The pause after the first report of a refusal; each further one doubles it.
const MIN_PAUSE: Duration = Duration::from_mins(1);
/// The API server deletes events after an hour.
const MAX_PAUSE: Duration = Duration::from_mins(45);

/// The refused writes of one resource. The kinds of writes and the statuses of refusals bound their number.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedWrites(Vec<RefusedWrite>);

/// The refusals of one kind of write for one cause.
#[derive(Clone, Debug)]
struct RefusedWrite {
    write: Write,
    /// The HTTP status of the response; `None` if the API server accepted the write without effect.
    status: Option<u16>,
    /// How often it was reported.
    reports: u32,
    /// When it was last reported.
    reported: Instant,
}

impl RefusedWrites {
    /// Whether to report a refusal, which counts as reported then: it is the first since such a write succeeded, or the pause after the
    /// last report is over.
    pub(super) fn should_report(&mut self, write: Write, status: Option<u16>, now: Instant) -> bool {
        let Some(known) = self.0.iter_mut().find(|known| (known.write, known.status) == (write, status)) else {
            self.0.push(RefusedWrite { write, status, reports: 1, reported: now });
            return true;
        };
        let is_due = now.duration_since(known.reported) >= pause(known.reports);
        if is_due {
            (known.reports, known.reported) = (known.reports.saturating_add(1), now);
        }
        is_due
    }

    /// Forgets the refusals of a kind of write, because one succeeded.
    pub(super) fn forget(&mut self, write: Write) {
        self.0.retain(|known| known.write != write);
    }
}

/// The pause after this many reports.
fn pause(reports: u32) -> Duration {
    MIN_PAUSE.saturating_mul(1 << reports.saturating_sub(1).min(16)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minutes at which a write that is retried every second is reported within two hours.
    fn reports(refused: &mut RefusedWrites, write: Write, began: Instant) -> Vec<u64> {
        let minutes = (0..7_200).filter(|second| refused.should_report(write, Some(403), began + Duration::from_secs(*second)));
        minutes.map(|second| second / 60).collect()
    }

    #[test]
    fn refusal_is_reported_after_growing_pauses() {
        let (mut refused, began) = (RefusedWrites::default(), Instant::now());
        assert_eq!(reports(&mut refused, Write::Status, began), [0, 1, 3, 7, 15, 31, 63, 108]);
        let far = began + Duration::from_hours(10_000);
        assert!((0..100).all(|report| refused.should_report(Write::Status, Some(403), far + MAX_PAUSE * report)));
    }

    #[test]
    fn each_write_and_cause_is_reported_on_its_own() {
        let (mut refused, now) = (RefusedWrites::default(), Instant::now());
        let mut reported = |write, status| refused.should_report(write, status, now);
        for first in [true, false, false] {
            assert_eq!([reported(Write::Status, Some(403)), reported(Write::Finalizer, Some(403))], [first; 2]);
            assert_eq!([reported(Write::Status, Some(500)), reported(Write::Status, None)], [first; 2]);
        }
    }

    #[test]
    fn success_of_such_a_write_ends_the_pauses() {
        let (mut refused, began) = (RefusedWrites::default(), Instant::now());
        let before = reports(&mut refused, Write::Status, began);
        assert!(refused.should_report(Write::Finalizer, Some(403), began));
        refused.forget(Write::Status);
        assert_eq!(reports(&mut refused, Write::Status, began), before);
        assert!(!refused.should_report(Write::Finalizer, Some(403), began));
        refused.forget(Write::Finalizer);
        refused.forget(Write::Status);
        assert!(refused.0.is_empty());
    }
}
