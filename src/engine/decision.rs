//! What the decision is made on, and what it says.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Desired, Seen, Settings};
use crate::api::{Model, ModelNames, Reason, Run, Status, Time};
use crate::operation::{Handle, ModelIds, OperationId, OperationKind};

/// Everything that a decision is made on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// What is asked for.
    pub desired: &'a Desired,
    /// What is on record: the status, as it was read with the resource version that the next write must carry.
    pub recorded: &'a Status,
    /// What was remembered since the last look, where this process remembers anything.
    pub scratch: &'a Scratch,
    /// What was just learnt.
    pub seen: Seen,
    /// The time, taken after `seen` was learnt.
    pub now: Timestamp,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// What the operator may do next. At most one for each decision.
///
/// A turn or a call is for [`Step::model`], whatever is recorded by then: a question may come before the first record of a
/// run. It has its ids wherever the service is to be asked about it, but for `Resolve`. Each write (`AddFinalizer`, `RemoveAnnotation`, `Release`) carries
/// the resource version of the view: on a stale view it must be refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Add the finalizer, in a write of its own.
    AddFinalizer,
    /// Ask the queue of the model for a turn.
    TakeTurn,
    /// Submit what [`Desired::work`] asks for. Only ever together with a recorded intent, and not later than
    /// [`Settings::call_timeout`] after it.
    Submit,
    /// Look up the ids of the model by its names ([`crate::api::Model::names`]).
    Resolve,
    /// Look at one operation.
    Look(Handle),
    /// List the model's operations of a kind that run, or that began since the moment given. That is by our clock; whoever lists allows
    /// for the service's being another.
    List(OperationKind, Timestamp),
    /// Ask whether the model still exists.
    FindModel,
    /// Cancel one operation.
    Cancel(OperationId),
    /// Remove this annotation.
    RemoveAnnotation(&'static str),
    /// Drop the finalizer.
    Release,
}

/// Something to tell as an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// The event's reason, by which it is a warning or none ([`Reason::warns`]).
    pub reason: Reason,
    /// One sentence.
    pub message: String,
}

/// What is remembered between two looks and may be lost at any moment: it spares calls and writes, never decides the promise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scratch {
    /// No look before this moment.
    pub next_look: Option<Timestamp>,
    /// When `next_look` was set: a clock that shows less than this was set back.
    pub paused_at: Option<Timestamp>,
    /// Calls in a row that brought nothing.
    pub troubles: u32,
    /// How often the service refused to start this run's operation, for the pause that grows with each refusal. Passing failures do not count.
    pub refusals: u32,
    /// When a cancellation was last answered.
    pub cancelled_at: Option<Timestamp>,
    /// Cancellations in a row that were refused or interrupted, whatever a poll in between shows.
    pub cancel_refusals: u32,
    /// Whether a look comes before the next cancellation, since there may be nothing left to cancel.
    pub look_first: bool,
    /// The reason that the last event on a transition told: a submission that is refused for it again is no news.
    pub told: Option<Reason>,
    /// When progress was last written.
    pub progress_written: Option<Timestamp>,
    /// Looks in a row that contradicted themselves.
    pub contradictions: u32,
    /// When the listing was last asked for: it proves nothing of what came later, however long its answer took.
    pub listed_at: Option<Timestamp>,
    /// The latest intent that this process recorded: it is by the same clock as what is measured now.
    pub own_intent: Option<Time>,
    /// Whether the service accepted the operation and has not shown it yet: a memory that was lost says that it has.
    pub unseen: bool,
    /// Where the service said to ask about the operation, where that is newer than what is on record.
    pub location: Option<String>,
    /// When the model was first found to be gone.
    pub gone_since: Option<Timestamp>,
    /// What the names of the model were found to stand for.
    pub resolved: Option<Resolved>,
    /// The run under way as it was last recorded: a status that shows nothing of it was edited.
    pub under_way: Option<Arc<Run>>,
}

/// What the names of a model stood for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolved {
    /// The names.
    pub names: ModelNames,
    /// The ids.
    pub ids: ModelIds,
    /// When they were looked up.
    pub at: Timestamp,
}

/// What to record and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The record: to be written, where it differs from what was recorded, before the effect.
    pub recorded: Status,
    /// What to remember.
    pub scratch: Scratch,
    /// What to do.
    pub effect: Effect,
    /// The model that the effect is about: its turn, its listing, its operation.
    pub model: Model,
    /// What to tell, once `recorded` is written; nothing of it where the step is void.
    pub notices: Vec<Notice>,
    /// When to look again at the latest, if nothing happens before; `None` is never.
    pub look_again: Option<Duration>,
}
