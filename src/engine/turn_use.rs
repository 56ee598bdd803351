//! What a run's record means to the queue of its model.
//!
//! A run whose calls bring nothing holds up nobody: its identity may be throttled, refused or deleted, and another resource's is
//! healthy. What its operation may still do is no danger to the next run: the service refuses a second operation on the model while
//! one runs, and [`super::rules`] tells the operations of two submissions apart.

use jiff::Timestamp;

use super::{Settings, conditions, pace};
use crate::api::{Reason, Run, RunState, Status, Time};

/// What a run's record means to the queue of its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnUse {
    /// An operation is, or may be, under way: nobody else's turn.
    Holds,
    /// It waits for its turn since that time.
    Waits(Time),
    /// It has nothing to do with the queue: it has ended, a user has to act, or its calls bring nothing.
    Free,
}

/// What a recorded status means to the queue at a moment, so that the queue can be made anew after a restart.
#[must_use]
pub fn turn_use(status: &Status, now: Timestamp, settings: &Settings) -> TurnUse {
    let stuck = status.run.as_ref().is_some_and(brings_nothing);
    meaning(status, stuck, now, settings)
}

/// What it means where nothing that comes of the run can be recorded: whether it has ended since, its record does not say.
#[must_use]
pub fn turn_use_unrecorded(status: &Status, now: Timestamp, settings: &Settings) -> TurnUse {
    meaning(status, true, now, settings)
}

fn meaning(status: &Status, stuck: bool, now: Timestamp, settings: &Settings) -> TurnUse {
    let Some(run) = &status.run else {
        return TurnUse::Free;
    };
    match run.state {
        RunState::Waiting if stuck || run.reason == Reason::Suspended.as_str() => TurnUse::Free,
        RunState::Waiting => TurnUse::Waits(run.requested_time),
        RunState::Submitting if run.reason == Reason::SubmissionUnknown.as_str() => TurnUse::Free,
        // Until its submission can no longer arrive, an operation of another resource may be taken for its own.
        RunState::Submitting if stuck && pace::has_arrived(intent(run), now, settings) => TurnUse::Free,
        // The operation may have ended long ago, and nobody can tell until the calls bring something again.
        RunState::Running | RunState::Cancelling if stuck => TurnUse::Free,
        RunState::Submitting | RunState::Running | RunState::Cancelling => TurnUse::Holds,
        RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_) => TurnUse::Free,
    }
}

/// When the intent of a run was recorded, where its submission is unresolved: it may have started an operation that no record names. Also
/// where a user has to say which: the record may name no candidates, or not all of them.
#[must_use]
pub fn unresolved_since(run: &Run) -> Option<Time> {
    (run.state == RunState::Submitting).then(|| run.submitted_time.unwrap_or(run.requested_time))
}

/// Whether the calls for a run bring nothing, or somebody has to act before it goes on.
fn brings_nothing(run: &Run) -> bool {
    Reason::parse(&run.reason).is_some_and(|reason| reason == Reason::Retrying || conditions::stalls(reason))
}

fn intent(run: &Run) -> Timestamp {
    run.submitted_time.unwrap_or(run.requested_time).timestamp()
}
