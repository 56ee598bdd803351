//! Where a resource stands: what needs a user comes first.

use std::cmp::Reverse;

use jiff::Timestamp;
use screen::Style;
use tabular_operator::api::{ConditionType, RunState};

use super::freshness;
use crate::objects::Object;
use crate::output::shown;

/// Where a resource stands, in the order in which people need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing proceeds until a user acts.
    NeedsAction,
    /// An operation is running, or about to run or to be cancelled.
    Running,
    /// A run waits.
    Waiting,
    /// No run starts, because `spec.suspend` is set.
    Suspended,
    /// The latest run ended, and nothing needs to be done.
    Done,
    /// No run has started yet.
    Idle,
}

impl Standing {
    /// The sign, which accompanies a word: color is never the only indicator.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::NeedsAction => "!",
            Self::Running => "▶",
            Self::Waiting => "…",
            Self::Suspended => "‖",
            Self::Done => "✓",
            Self::Idle => " ",
        }
    }

    /// The color.
    #[must_use]
    pub fn style(self) -> Style {
        match self {
            Self::NeedsAction => Style::Red,
            Self::Running => Style::Blue,
            Self::Waiting => Style::Yellow,
            Self::Suspended => Style::Magenta,
            Self::Done => Style::Green,
            Self::Idle => Style::Faint,
        }
    }

    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAction => "NeedsAction",
            Self::Running => "Running",
            Self::Waiting => "Waiting",
            Self::Suspended => "Suspended",
            Self::Done => "Done",
            Self::Idle => "Idle",
        }
    }
}

/// Where a resource stands.
#[must_use]
pub fn standing(object: &Object) -> Standing {
    if object.is(ConditionType::Stalled) {
        return Standing::NeedsAction;
    }
    match object.run().map(|run| run.state) {
        Some(RunState::Submitting | RunState::Running | RunState::Cancelling) => Standing::Running,
        Some(_) | None if object.is_suspended() => Standing::Suspended,
        Some(RunState::Waiting) => Standing::Waiting,
        Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_)) => {
            // Its next run is about to start.
            if object.is(ConditionType::Reconciling) { Standing::Waiting } else { Standing::Done }
        }
        None if object.is(ConditionType::Reconciling) || object.status().conditions.is_empty() => Standing::Waiting,
        None => Standing::Idle,
    }
}

/// The state in words: that of the run, unless the resource itself has one.
#[must_use]
pub fn state(object: &Object) -> String {
    if object.is_deleting() {
        return "Deleting".to_owned();
    }
    match (standing(object), object.run()) {
        (Standing::Suspended, _) => "Suspended".to_owned(),
        (_, Some(run)) => shown(&state_name(run.state)),
        // No run can start: it waits for a user.
        (Standing::NeedsAction | Standing::Waiting | Standing::Running, None) => "Waiting".to_owned(),
        (Standing::Done | Standing::Idle, None) => "Idle".to_owned(),
    }
}

/// The name of a state of a run.
#[must_use]
pub fn state_name(state: RunState) -> String {
    match state {
        RunState::Unrecognized(value) => value.as_str().to_owned(),
        RunState::Waiting
        | RunState::Submitting
        | RunState::Running
        | RunState::Cancelling
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled => format!("{state:?}"),
    }
}

/// The reason of the condition Ready; empty if the operator has not observed the resource.
#[must_use]
pub fn reason(object: &Object) -> String {
    object.condition(ConditionType::Ready).map(|condition| shown(&condition.reason)).unwrap_or_default()
}

/// Sorts resources as lists show them: those that need action and those that are stale, the most overdue first; then those that run and
/// those that wait; then the rest, by name.
pub fn order(objects: &mut [Object], now: Timestamp) {
    objects.sort_by_cached_key(|object| {
        let standing = standing(object);
        let overdue = freshness(object, now).map_or(0, |freshness| freshness.overdue.max(0));
        let rank = match standing {
            Standing::NeedsAction => 0,
            _ if overdue > 0 => 1,
            Standing::Running => 2,
            Standing::Waiting => 3,
            Standing::Suspended | Standing::Done | Standing::Idle => 4,
        };
        let key = object.key();
        (rank, Reverse(if rank < 2 { overdue } else { 0 }), key.namespace, key.name, key.kind)
    });
}
