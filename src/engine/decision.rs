//! The input and the output of a decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{DesiredState, EffectResult, Equivalents, Settings};
use crate::api::{Model, ModelNames, Reason, Run, Status, Time};
use crate::operation::{ModelIds, OperationId, OperationKind, OperationRef};

/// The input of a decision.
#[derive(Clone, Debug)]
pub struct DecisionInput<'a> {
    /// What the resource requests.
    pub desired: &'a DesiredState,
    /// The status, as it was read with the resource version that the next write must carry.
    pub status: &'a Status,
    /// What this process remembers since the last decision, if anything.
    pub memory: &'a DecisionMemory,
    /// The result of the last effect.
    pub effect_result: EffectResult,
    /// The time, taken after `effect_result` was obtained.
    pub now: Timestamp,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// What the operator does next. A decision has at most one effect.
///
/// [`Decision::model`] is the model of the turn or call; a call may precede the first record of a run. Every call except `ResolveModel`
/// requires the ids of the model. Each write (`AddFinalizer`, `RemoveAnnotation`, `RemoveFinalizer`) carries the
/// resource version of the view, so that a write on a stale view is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    None,
    /// Add the finalizer, in a separate write.
    AddFinalizer,
    /// Request a turn from the queue of the model.
    AcquireTurn,
    /// Submit [`DesiredState::operation`]. Always together with a recorded intent, and at most [`Settings::call_timeout`] after it.
    Submit,
    /// Resolve the ids of the model by its names ([`crate::api::Model::names`]).
    ResolveModel,
    /// Poll one operation.
    Poll(OperationRef),
    /// List the model's operations of a kind that are running, or that started since a time. That time is by the operator's clock; the
    /// caller allows for the difference to the service's clock.
    List(OperationKind, Timestamp),
    /// Check whether the model still exists.
    FindModel,
    /// Cancel one operation.
    Cancel(OperationId),
    /// Remove this annotation.
    RemoveAnnotation(&'static str),
    /// Remove the finalizer.
    RemoveFinalizer,
}

/// An event to publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The event's reason. It determines whether the event is a warning ([`Reason::warns`]).
    pub reason: Reason,
    /// One sentence.
    pub message: String,
}

/// What is remembered between two decisions and may be lost at any time. It saves calls and writes; the guarantees never depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DecisionMemory {
    /// No poll before this time.
    pub poll_not_before: Option<Timestamp>,
    /// When `poll_not_before` was set. If the clock shows an earlier time, it was set back.
    pub poll_delayed_at: Option<Timestamp>,
    /// Failed calls in a row.
    pub consecutive_errors: u32,
    /// How often the service refused to start this run's operation; each refusal increases the delay. Transient failures do not count.
    pub refusals: u32,
    /// The time from which the delay before the next cancellation counts. It is not the end of the operation: only a poll shows that.
    pub cancelled_at: Option<Timestamp>,
    /// Cancellations that were sent, whatever their result, at most `timing::MOST_CANCELS`; each increases the delays.
    pub cancels: u32,
    /// Cancellations in a row that were refused or interrupted, whatever polls in between show.
    pub cancel_refusals: u32,
    /// Whether the service accepted a cancellation of the operation.
    pub cancel_accepted: bool,
    /// Whether a poll precedes the next cancellation, because there may be nothing left to cancel.
    pub poll_before_cancel: bool,
    /// The reason of the last event on a transition. A submission that is refused for it again publishes no event.
    pub last_event_reason: Option<Reason>,
    /// When progress was last written.
    pub progress_written_at: Option<Timestamp>,
    /// When the tables of the operation started and ended, if a poll has shown any. Shared, because most polls show nothing new.
    pub tables: Option<Arc<TableTimes>>,
    /// Contradictory polls in a row.
    pub contradictions: u32,
    /// When the list was last requested. It shows nothing about later operations, however long its response took.
    pub listed_at: Option<Timestamp>,
    /// The latest intent that this process recorded, by the same clock as `now`.
    pub own_intent: Option<Time>,
    /// Whether the service accepted the operation and has not shown it yet. After a restart it counts as shown.
    pub not_yet_listed: bool,
    /// The `Location` of the operation, if it is newer than the recorded one.
    pub location: Option<String>,
    /// The operation that the annotation `adopt` names and that was tried or rejected, while the annotation is not removed.
    pub rejected_adopt: Option<OperationId>,
    /// When the model was first found missing.
    pub model_missing_since: Option<Timestamp>,
    /// The ids that the names of the model were resolved to.
    pub resolved: Option<ResolvedModel>,
    /// The run in progress as it was last recorded. A status that does not show it was edited.
    pub run_in_progress: Option<Arc<Run>>,
    /// The digests of all ways to write the operation of the spec, once a decision needed them.
    pub equivalents: Option<Arc<Equivalents>>,
}

/// When polls first showed the start and the end of each table, by its name and the operator's clock.
pub type TableTimes = BTreeMap<String, (Option<Time>, Option<Time>)>;

/// The ids that the names of a model were resolved to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedModel {
    /// The names.
    pub names: ModelNames,
    /// The ids.
    pub ids: ModelIds,
    /// When they were resolved.
    pub at: Timestamp,
}

/// The output of a decision: what to record and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The status. If it differs from the recorded one, it is written before the effect.
    pub status: Status,
    /// What to remember.
    pub memory: DecisionMemory,
    /// What to do.
    pub effect: Effect,
    /// The model of the effect: of the turn, the list or the operation.
    pub model: Model,
    /// The events to publish once `status` is written. If the decision is void, none is published.
    pub events: Vec<Event>,
    /// When to decide again at the latest, if nothing happens before; `None` is never.
    pub requeue_after: Option<Duration>,
}
