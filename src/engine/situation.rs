//! What the decision is made on, and what it says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Desired;
use crate::api::{Model, ModelNames, Reason, Run, Status, Time};
use crate::operation::{
    Cancellation, Handle, Listing, Look, ModelIds, OperationId, OperationKind, Presence, Resolution, Submission, Trouble,
};

/// The operator's settings that the decision depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shortest pause between two looks at an operation.
    pub poll_min: Duration,
    /// The longest pause between two looks at an operation.
    pub poll_max: Duration,
    /// The pause between two looks, as a part of the time that the operation has run.
    pub poll_fraction: f64,
    /// How long one call may take, so how long after its intent a submission may still arrive.
    pub call_timeout: Duration,
    /// How long the service's listing, and its look-up by id, may lag behind what it has accepted.
    pub listing_lag: Duration,
    /// How long a missing reference may still arrive, before the resource is Stalled.
    pub reference_grace: Duration,
}

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

/// What was just learnt. One variant for each effect, and [`Seen::Fault`] for what hindered it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nothing yet: this is a first look.
    Nothing,
    /// What the names of the model stand for.
    Resolved(Resolution),
    /// Whether it is this run's turn on its model.
    Turn(Turn),
    /// What became of a submission.
    Submission(Submission),
    /// What a look at the operation showed.
    Look(Look),
    /// What the service's listing showed.
    Listing {
        /// What was listed.
        kind: OperationKind,
        /// The operations, or why there are none.
        result: Result<Listing, Trouble>,
        /// Which of them are other resources'.
        taken: Taken,
    },
    /// What became of a cancellation.
    Cancellation(Cancellation),
    /// Whether a model still exists that the service says not to know.
    Presence(Presence),
    /// A call could not even be prepared.
    Trouble(Trouble),
    /// Something outside the service is wrong: a Secret, a reference, a permission.
    Fault(Fault),
}

/// Operations of other resources than the one that asks, by their ids in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Taken {
    /// Those that others follow or have followed: it adopts none of them.
    pub watched: BTreeSet<String>,
    /// Those that were let go, as far as they are remembered. Nobody of ours watches them any more, so to `conflictPolicy` they are
    /// another client's, as they are once they are forgotten.
    pub let_go: BTreeSet<String>,
    /// Those that others may have started, as they show their users. That proves nothing: each of them may as well be the one that the
    /// resource itself has started.
    pub candidates: BTreeSet<String>,
    /// When other resources recorded the intents of submissions on this model that are unresolved: each of them may have started an
    /// operation of this kind that no record names.
    pub unresolved: BTreeSet<Timestamp>,
}

impl Taken {
    /// Whether another resource has an operation, or had it when it was let go.
    pub(super) fn has(&self, id: &OperationId) -> bool {
        self.is_watched(id) || self.let_go.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource asks its user about an operation.
    pub(super) fn is_candidate(&self, id: &OperationId) -> bool {
        self.candidates.contains(&id.as_str().to_lowercase())
    }

    /// Whether another resource has an operation.
    pub(super) fn is_watched(&self, id: &OperationId) -> bool {
        self.watched.contains(&id.as_str().to_lowercase())
    }
}

/// Whether it is a run's turn on its model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It is.
    Granted,
    /// Another resource of this operator is ahead: its namespace and name.
    Behind(String),
}

/// Where the cure of a fault lies, which says when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cure {
    /// In the spec: only a change of it helps.
    Spec,
    /// In the cluster: a Secret, a `ServiceAccount`, a permission. Looked at after a few seconds, and ever more seldom, up to a minute.
    Cluster,
}

/// What hinders a run, in words that a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Which fault.
    pub reason: Reason,
    /// One sentence: what is wrong, and what to do.
    pub message: String,
    /// Where the cure lies.
    pub cure: Cure,
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
