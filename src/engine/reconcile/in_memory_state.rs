//! The in-memory state of a resource between two reconciliations. It may be lost; the guarantees do not depend on it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{DecisionMemory, Event};
use crate::api::{Check, RunState, Status};
use crate::operation::SubmitResult;

/// After this many failures in a row a resource counts as stuck, and blocks no other.
const STUCK_AFTER: u32 = 3;

/// The delay after a first failure; each further one doubles it.
const MIN_FAILURE_DELAY: Duration = Duration::from_millis(500);
const MAX_FAILURE_DELAY: Duration = Duration::from_mins(1);
/// The longest delay while the id of an accepted operation is not recorded, unless its write is denied.
const MAX_UNRECORDED_DELAY: Duration = Duration::from_secs(5);

/// The delay after a first conflict; each further one in a row doubles it.
const MIN_CONFLICT_DELAY: Duration = Duration::from_millis(20);
const MAX_CONFLICT_DELAY: Duration = Duration::from_secs(2);

/// So many annotations are removed without a delay.
const UNDELAYED_REMOVALS: u32 = 4;
/// The delay before another annotation is removed; each further one in a row doubles it.
const MIN_REMOVAL_DELAY: Duration = Duration::from_millis(500);
const MAX_REMOVAL_DELAY: Duration = Duration::from_hours(1);
/// A removal that is later than its delay by this no longer counts as one in a row. Tools apply a manifest again after minutes.
const REMOVALS_IN_A_ROW: Duration = Duration::from_hours(1);

/// The most writes of an id within one reconciliation, and the delay before the second write; each further one doubles it.
const MAX_RECORD_RETRIES: u32 = 3;
const MIN_RECORD_DELAY: Duration = Duration::from_millis(20);

/// The in-memory state of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InMemoryState {
    /// What the decision remembers.
    pub memory: DecisionMemory,
    /// Whether the next reconciliation starts with a read: only the API server knows whether an intent was recorded.
    pub reread: bool,
    /// The accepted submission, while the id of its operation is not recorded.
    pub accepted: Option<AcceptedSubmission>,
    /// The result of the latest check, until it is recorded.
    pub check: Option<Arc<Check>>,
    /// The request of a result that the API server did not keep: its resource definition is of a version without checks.
    pub dropped_check: Option<String>,
    /// The handled request to cancel that the API server did not keep, for the same reason, or because a webhook drops it.
    pub dropped_cancel_request: Option<String>,
    /// The last refused write of the finalizer or an annotation, until such a write succeeds.
    pub metadata_refused: Option<Repeated>,
    /// The events that were published before the last removal of the finalizer. A removal that is refused is decided again, with the same
    /// events.
    pub removal_events: Vec<Event>,
    /// The last removal of an annotation. A user, or a tool that applies a manifest, may set it again each time.
    pub annotation_removed: Option<Repeated>,
    /// Whether the namespace is being deleted, which is irreversible.
    pub namespace_terminating: bool,
    /// Reconciliations in a row that failed.
    pub failures: u32,
    /// Consecutive failed writes of the status or finalizer, at most `STUCK_AFTER`.
    pub consecutive_failed_writes: u32,
    /// Reconciliations in a row whose view was stale.
    pub conflicts: u32,
}

/// A submission that the service accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcceptedSubmission {
    /// The number of its run.
    pub run: i32,
    /// The attempt of that run.
    pub attempt: i32,
    /// The response of the service.
    pub submission: SubmitResult,
    /// How often the write of its id has failed.
    pub failed_writes: u32,
    /// Whether the last write was denied, so that only a change of the cluster helps.
    pub denied: bool,
}

/// What happened several times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repeated {
    /// How often in a row.
    pub times: u32,
    /// The last time.
    pub at: Timestamp,
}

impl Repeated {
    /// What is left of a delay since the last time; `None` if it is over. A clock that was set back ends it.
    fn remaining(self, delay: Duration, now: Timestamp) -> Option<Duration> {
        let passed = Duration::try_from(now.duration_since(self.at)).ok()?;
        Some(delay.saturating_sub(passed)).filter(|left| !left.is_zero())
    }
}

impl InMemoryState {
    /// The accepted submission of the intent that a status shows.
    #[must_use]
    pub fn accepted_for(&self, status: &Status) -> Option<&AcceptedSubmission> {
        let intent = intent(status)?;
        self.accepted.as_ref().filter(|accepted| (accepted.run, accepted.attempt) == intent)
    }

    /// The delay before the next reconciliation after one that ended with a conflict.
    #[must_use]
    pub fn after_conflict(&self) -> Duration {
        doubled(MIN_CONFLICT_DELAY, self.conflicts).min(MAX_CONFLICT_DELAY)
    }

    /// The delay before the next reconciliation after one that failed.
    #[must_use]
    pub fn after_failure(&self) -> Duration {
        let ends_soon = self.accepted.as_ref().is_some_and(|accepted| !accepted.denied);
        let longest = if ends_soon { MAX_UNRECORDED_DELAY } else { MAX_FAILURE_DELAY };
        doubled(MIN_FAILURE_DELAY, self.failures).min(longest)
    }

    /// Whether the resource counts as stuck. The number of failed reconciliations alone is not enough: calls to the service may succeed
    /// between failed writes.
    pub(super) fn is_stuck(&self) -> bool {
        self.failures >= STUCK_AFTER || self.is_status_refused()
    }

    /// Whether the last writes of the status failed.
    pub(super) fn is_status_refused(&self) -> bool {
        self.consecutive_failed_writes >= STUCK_AFTER
    }

    /// Counts a write as failed until it succeeds.
    pub(super) fn begin_write(&mut self) {
        self.consecutive_failed_writes = self.consecutive_failed_writes.saturating_add(1).min(STUCK_AFTER);
    }

    /// Keeps the accepted submission of the intent that a status shows.
    pub fn accept(&mut self, status: &Status, submission: &SubmitResult, failed_writes: u32) {
        if let Some((run, attempt)) = intent(status) {
            self.accepted = Some(AcceptedSubmission { run, attempt, submission: submission.clone(), failed_writes, denied: false });
        }
    }

    /// For how long the finalizer and the annotations are not written after a refusal; `None` if they are.
    pub(super) fn metadata_backoff(&self, now: Timestamp) -> Option<Duration> {
        let refused = self.metadata_refused?;
        refused.remaining(doubled(MIN_FAILURE_DELAY, refused.times).min(MAX_FAILURE_DELAY), now)
    }

    /// For how long annotations that request nothing are left after others were removed; `None` if they are removed.
    pub(super) fn removal_backoff(&self, now: Timestamp) -> Option<Duration> {
        let removed = self.annotation_removed?;
        removed.remaining(removal_delay(removed), now)
    }

    /// Counts the removal of an annotation.
    pub(super) fn annotation_removed(&mut self, at: Timestamp) {
        let in_a_row = |removed: &Repeated| {
            let passed = Duration::try_from(at.duration_since(removed.at));
            passed.is_ok_and(|passed| passed <= removal_delay(*removed) + REMOVALS_IN_A_ROW)
        };
        let times = self.annotation_removed.filter(in_a_row).map_or(0, |removed| removed.times).saturating_add(1);
        self.annotation_removed = Some(Repeated { times, at });
    }

    /// Counts a refused write of the finalizer or an annotation.
    pub(super) fn refuse_metadata(&mut self, at: Timestamp) {
        let times = self.metadata_refused.map_or(0, |refused| refused.times).saturating_add(1);
        self.metadata_refused = Some(Repeated { times, at });
    }
}

/// The delay of the next removal of an annotation.
fn removal_delay(removed: Repeated) -> Duration {
    match removed.times.checked_sub(UNDELAYED_REMOVALS) {
        None => Duration::ZERO,
        Some(delayed) => doubled(MIN_REMOVAL_DELAY, delayed + 1).min(MAX_REMOVAL_DELAY),
    }
}

/// The delay before an id is written again after this many failures; `None` if the reconciliation gives up.
pub(super) fn record_retry_delay(failures: u32) -> Option<Duration> {
    (failures <= MAX_RECORD_RETRIES).then(|| doubled(MIN_RECORD_DELAY, failures))
}

/// The run and the attempt of a recorded intent.
fn intent(status: &Status) -> Option<(i32, i32)> {
    let run = status.run.as_ref().filter(|run| run.state == RunState::Submitting)?;
    Some((run.number, run.attempt))
}

/// The `nth` delay, each twice the previous one.
fn doubled(first: Duration, nth: u32) -> Duration {
    first.saturating_mul(1 << nth.saturating_sub(1).min(16))
}
