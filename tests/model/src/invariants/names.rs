//! The names of the invariants.

use crate::world::Violation;

pub(crate) fn violation(invariant: &'static str, details: impl Into<String>) -> Violation {
    Violation { invariant, details: details.into() }
}

pub(crate) fn holds(condition: bool, invariant: &'static str, details: impl FnOnce() -> String) -> Result<(), Violation> {
    if condition { Ok(()) } else { Err(violation(invariant, details())) }
}

/// A run has at most one running operation.
pub const ONE_OPERATION: &str = "at most one running operation per run";
/// No second submission, unless the first is known not to have started, or a user or a policy allows it.
pub const ONCE: &str = "no second submission";
/// A user's decision counts once.
pub const DECISION: &str = "a user decision counts once";
/// The intent is recorded before the submission.
pub const INTENT: &str = "no submission without its recorded intent";
/// Another client's operation is cancelled only by `conflictPolicy: Replace`, and the operator's own never counts as one.
pub const OTHER_CLIENTS: &str = "operations of other clients and resources are not cancelled";
/// An adopted operation is the submitted one.
pub const EVIDENCE: &str = "nothing is adopted against the evidence";
/// The finalizer is removed when no operation is running, or an event reports that one may be.
pub const RELEASE: &str = "the finalizer is removed only when no operation is running, unless an event reports it";
/// An end in the status is the end at the service.
pub const END_MATCHES_SERVICE: &str = "an end in the status is the end at the service";
/// A finished run never changes.
pub const FINISHED: &str = "a finished run never changes";
/// The number of a run, and that of its attempt, never decrease.
pub const RUN_ORDER: &str = "a run never goes back";
/// Tools of other projects read the conditions.
pub const CONDITIONS: &str = "conditions follow the rules of kstatus and Flux";
/// Without further faults every run ends.
pub const LIVENESS: &str = "without further faults every run ends and every deletion completes";
/// A resource that needs a user's decision is Stalled.
pub const STALLED: &str = "a resource that needs a user is Stalled";
/// A resource that cannot proceed blocks no other.
pub const FAIRNESS: &str = "a resource that cannot proceed blocks no other";
/// A run does not outlive its model.
pub const MODEL_GONE: &str = "a run ends when its model is deleted";
/// A turn without a record would block the other resources forever.
pub const TURN: &str = "a held turn is backed by the record";
/// Then nothing more is written.
pub const QUIESCENCE: &str = "nothing is written after the end";
/// A trigger starts one run.
pub const ONE_RUN: &str = "a trigger starts one run";
/// Each scheduled time is handled.
pub const SCHEDULE: &str = "every scheduled time is handled";
/// `concurrencyPolicy: Forbid` starts nothing during a run.
pub const FORBIDDEN: &str = "under Forbid, a trigger during a run starts nothing";
/// A draining operator starts no run, and leaves no operation running.
pub const UNINSTALL: &str = "after an uninstall no operation is running, unless it is reported";
/// A trigger that the status shows as accepted runs, or an event reports why it does not.
pub const ACCEPTED: &str = "an accepted trigger runs, or is reported as dropped";
/// A scheduled time starts nothing early.
pub const DUE: &str = "a scheduled time is accepted when it is due";
/// A status can be read, and a missing reference is Stalled after the grace period.
pub const SHOWN: &str = "a status is small and readable, and reports a missing reference";
/// The condition Fresh is true, and changes neither run, finalizer, submissions nor another condition.
pub const FRESH: &str = "Fresh shows the age of the data and changes nothing else";
/// A check only reads, answers each request once, and leaves a run alone.
pub const CHECK: &str = "a check changes nothing but its result, which is recorded once";
/// A reported success is a success of what the spec requests.
pub const SUCCESS: &str = "no success is reported for a change that did not run";
