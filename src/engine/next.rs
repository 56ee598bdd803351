//! The result of a rule. A rule changes the draft of a decision and calls no rule of another state. [`super::decide()`] executes the
//! result.

use std::time::Duration;

use super::Effect;
use crate::api::{CancelCause, Reason, RunState};
use crate::operation::OperationId;

/// The result of a rule.
#[derive(Debug)]
#[must_use]
pub(super) enum Next {
    /// Record the working copy, then perform the effect.
    Record {
        /// What to do.
        effect: Effect,
        /// When to decide again at the latest; `None` is never.
        requeue: Option<Duration>,
    },
    /// Perform the effect, and leave the record of the run as it was.
    Unchanged {
        /// What to do.
        effect: Effect,
        /// When to decide again at the latest; `None` is never.
        requeue: Option<Duration>,
    },
    /// Certainly no operation of this attempt has started. Apply the rules of a waiting run; they may submit immediately.
    ApplyWaitingRules,
    /// Cancel the operation.
    Cancel {
        /// Why.
        cause: CancelCause,
        /// Which operation.
        id: OperationId,
    },
    /// End the run.
    End {
        /// How.
        state: RunState,
        /// Why.
        reason: Reason,
        /// One sentence.
        message: String,
    },
    /// Submit another operation for the run, after a delay.
    Retry {
        /// Why the last one failed.
        reason: Reason,
        /// The same in one sentence.
        failure: String,
    },
    /// Remove the finalizer.
    RemoveFinalizer {
        /// How the run ends, with its reason and one sentence; `None` if it has ended, or if it has submitted nothing.
        ended: Option<(RunState, Reason, String)>,
    },
}

impl Next {
    /// Records the working copy, then performs the effect.
    pub(super) fn record(effect: Effect, requeue: Option<Duration>) -> Self {
        Self::Record { effect, requeue }
    }

    /// Performs the effect, and leaves the record of the run as it was.
    pub(super) fn unchanged(effect: Effect, requeue: Option<Duration>) -> Self {
        Self::Unchanged { effect, requeue }
    }
}
