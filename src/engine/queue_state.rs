//! The position of a run in the queue of its model, derived from the status.
//!
//! A run whose calls fail blocks no other resource: its identity may be throttled, refused or deleted while another resource's identity
//! works. Its operation cannot harm the next run: the service refuses a second refresh, and the operator reads the list of refreshes before
//! it submits a sync. [`super::rules`] distinguishes the operations of two submissions.

use jiff::Timestamp;

use super::{Settings, conditions, timing};
use crate::api::{Reason, Run, RunState, Status, Time};

/// The position of a run in the queue of its model, derived from the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueState {
    /// An operation is or may be running: no other resource gets the turn.
    Holding,
    /// It has waited for its turn since that time.
    Waiting(Time),
    /// It has no part in the queue: it has ended, a user must act, or its calls fail.
    None,
}

/// The position of a run in the queue of its model at this time, derived from the status. After a restart the queue is rebuilt from it.
#[must_use]
pub fn queue_state(status: &Status, now: Timestamp, settings: &Settings) -> QueueState {
    let stuck = status.run.as_ref().is_some_and(is_stuck);
    queue_state_of(status, stuck, now, settings)
}

/// The same if updates of the status cannot be written: whether the run has ended since is not in the record.
#[must_use]
pub fn queue_state_if_unwritable(status: &Status, now: Timestamp, settings: &Settings) -> QueueState {
    queue_state_of(status, true, now, settings)
}

fn queue_state_of(status: &Status, stuck: bool, now: Timestamp, settings: &Settings) -> QueueState {
    let Some(run) = &status.run else {
        return QueueState::None;
    };
    match run.state {
        RunState::Waiting if stuck || run.reason == Reason::Suspended.as_str() => QueueState::None,
        RunState::Waiting => QueueState::Waiting(run.requested_time),
        RunState::Submitting if run.awaits_decision() => QueueState::None,
        // Until its submission can no longer arrive, an operation of another resource could be mistaken for its own.
        RunState::Submitting if stuck && timing::is_arrival_over(intent(run), now, settings) => QueueState::None,
        // The operation may have ended long ago. The operator learns that only when calls succeed again.
        RunState::Running | RunState::Cancelling if stuck => QueueState::None,
        RunState::Submitting | RunState::Running | RunState::Cancelling => QueueState::Holding,
        RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => QueueState::None,
    }
}

/// Whether the calls for a run fail, or a user must act before it continues.
#[must_use]
pub fn is_stuck(run: &Run) -> bool {
    Reason::parse(&run.reason).is_some_and(|reason| reason == Reason::Retrying || conditions::is_stalled(reason))
}

fn intent(run: &Run) -> Timestamp {
    run.submitted_time.unwrap_or(run.requested_time).timestamp()
}
