//! The status of a resource in one word: what needs action comes first.

use std::cmp::Reverse;

use jiff::Timestamp;
use screen::Style;
use tabular_operator::api::{ConditionType, RunState};

use super::freshness;
use crate::objects::Object;
use crate::output::shown;

/// The status of a resource, in the order in which users need to know it. The label `status` of the operator's metrics has fewer values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceStatus {
    /// Nothing proceeds until a user acts.
    NeedsAction,
    /// An operation is running, or about to run or to be cancelled.
    Running,
    /// A run waits.
    Waiting,
    /// No run starts, because `spec.suspend` is set.
    Suspended,
    /// The latest run succeeded.
    Succeeded,
    /// No run has started yet, or the latest one did not succeed and nothing needs to be corrected.
    Idle,
}

impl ResourceStatus {
    /// The sign, which accompanies a word: color is never the only indicator.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::NeedsAction => "!",
            Self::Running => "▶",
            Self::Waiting => "…",
            Self::Suspended => "‖",
            Self::Succeeded => "✓",
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
            Self::Succeeded => Style::Green,
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
            Self::Succeeded => "Succeeded",
            Self::Idle => "Idle",
        }
    }
}

/// The status of a resource.
#[must_use]
pub fn resource_status(object: &Object) -> ResourceStatus {
    let state = object.run().map(|run| run.state);
    let is_submitted = matches!(state, Some(RunState::Submitting | RunState::Running | RunState::Cancelling));
    // As in the operator's metrics: while a resource is suspended, only what it has submitted needs a user.
    if object.is_suspended() && !is_submitted {
        return ResourceStatus::Suspended;
    }
    if object.status().needed_action().is_some() {
        return ResourceStatus::NeedsAction;
    }
    match state {
        Some(RunState::Submitting | RunState::Running | RunState::Cancelling) => ResourceStatus::Running,
        Some(RunState::Waiting) => ResourceStatus::Waiting,
        // Its next run is about to start.
        Some(_) if object.is(ConditionType::Reconciling) => ResourceStatus::Waiting,
        Some(RunState::Succeeded) => ResourceStatus::Succeeded,
        None if object.is(ConditionType::Reconciling) || object.status().conditions.is_empty() => ResourceStatus::Waiting,
        Some(RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_)) | None => ResourceStatus::Idle,
    }
}

/// The state in words: that of the run, unless the resource itself has one.
#[must_use]
pub fn state(object: &Object) -> String {
    if object.is_deleting() {
        return "Deleting".to_owned();
    }
    match (resource_status(object), object.run()) {
        (ResourceStatus::Suspended, _) => "Suspended".to_owned(),
        (_, Some(run)) => shown(&state_name(run.state)),
        // No run can start: it waits for a user.
        (ResourceStatus::NeedsAction | ResourceStatus::Waiting | ResourceStatus::Running, None) => "Waiting".to_owned(),
        (ResourceStatus::Succeeded | ResourceStatus::Idle, None) => "Idle".to_owned(),
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

/// Sorts resources as lists show them: those that need action and those that are stale, the most overdue first; then those that run; those
/// that wait, the longest first; and the rest by name.
pub fn order(objects: &mut [Object], now: Timestamp) {
    objects.sort_by_cached_key(|object| {
        let status = resource_status(object);
        let overdue = freshness(object, now).map_or(0, |freshness| freshness.overdue.max(0));
        let rank = match status {
            ResourceStatus::NeedsAction => 0,
            _ if overdue > 0 => 1,
            ResourceStatus::Running => 2,
            ResourceStatus::Waiting => 3,
            ResourceStatus::Suspended | ResourceStatus::Succeeded | ResourceStatus::Idle => 4,
        };
        // As the queue of a model is sorted.
        let requested = object.run().filter(|_| rank == 3).map(|run| (run.requested_time, object.uid().map(str::to_owned)));
        let key = object.key();
        (rank, Reverse(if rank < 2 { overdue } else { 0 }), requested.is_none(), requested, key.namespace, key.name, key.kind)
    });
}
