//! What the machine requests of its driver, and what the driver responds.
//!
//! Each request has its own responses; the driver performs it and decides nothing. Those that are "local" need no I/O: the driver
//! answers them at once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Fault, Followed, Leaving, Notice, Seen, Turn, TurnUse};
use super::Transient;
use crate::api::{Model, Status, Time};
use crate::operation::{self, Handle, OperationId, OperationKind};

/// What the driver does next. Only [`Request::Done`] ends the reconciliation.
#[derive(Clone, Debug)]
#[must_use]
pub enum Request<V> {
    /// Observe the time and what surrounds the resource. Local. Response: [`Response::Observed`].
    Observe,
    /// Read the resource past the cache, after this delay. Response: [`Response::Read`].
    Read {
        /// The delay.
        after: Duration,
    },
    /// Read the namespace of the resource. Response: [`Response::Namespace`].
    ReadNamespace,
    /// Obtain credentials, a token and a permit for this call. Nothing is sent to the service. Responses: [`Response::Prepared`],
    /// [`Response::NotPrepared`], [`Response::TimedOut`].
    Prepare {
        /// The model that the call is about.
        model: Box<Model>,
        /// The call.
        call: Call,
        /// How recent the credentials have to be.
        freshness: Freshness,
        /// The longest that it may take.
        timeout: Option<Duration>,
    },
    /// Reserve an operation that this resource is about to adopt, unless another resource has it. Local. Response: [`Response::Reserved`].
    Reserve {
        /// The key of its model.
        model: String,
        /// Its id.
        id: OperationId,
    },
    /// Write the status under the resource version of the view, while leading. A response of a write, with [`Response::Written`].
    WriteStatus {
        /// The status.
        status: Arc<Status>,
        /// Whether it records the intent of a submission.
        intent: bool,
    },
    /// Add the finalizer, like [`Request::WriteStatus`].
    AddFinalizer,
    /// Remove this annotation, like [`Request::WriteStatus`].
    RemoveAnnotation(&'static str),
    /// Remove the finalizer, under the same conditions. A response of a write, with [`Response::Removed`]. From now on the resource is not
    /// tracked: it may be gone before the response.
    RemoveFinalizer {
        /// The events that were published with the decision.
        events: Vec<Notice>,
    },
    /// Request a turn on a model from its queue. Local. Response: [`Response::Turn`].
    AcquireTurn {
        /// The key of the model.
        model: String,
        /// Since when the resource waits.
        since: Time,
    },
    /// Publish events. Local. Response: [`Response::Published`].
    Publish {
        /// The events.
        events: Vec<Notice>,
        /// Whether the namespace is being deleted, and the events of the resource with it.
        namespace_ending: bool,
    },
    /// Make the call that was prepared, exactly once. Responses: [`Response::Called`], [`Response::TimedOut`].
    Call {
        /// The call.
        call: Call,
        /// The longest that it may take. To a submission it is what is left of the call's deadline since the intent.
        timeout: Option<Duration>,
    },
    /// The reconciliation has ended.
    Done(Box<Outcome<V>>),
}

/// One call to a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Submit an operation.
    Submit(Arc<operation::Request>),
    /// Resolve the names of the model.
    ResolveModel,
    /// Poll one operation.
    Poll(OperationKind, Handle),
    /// List the operations of a kind that run, or that started since the intent.
    List(OperationKind, Timestamp),
    /// Find out whether the model still exists.
    FindModel,
    /// Cancel one operation.
    Cancel(OperationId),
}

/// How recent credentials have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// As the objects that are referred to are now: an operation is about to start.
    Fresh,
    /// As they were recently: an operation is polled.
    Cached,
    /// As they were last, where they are gone: an operation is cancelled, and its Secret may be deleted with it.
    LastKnown,
}

/// What the driver responds.
#[derive(Clone, Debug)]
pub enum Response<V> {
    /// The first response, at this time.
    Start(Timestamp),
    /// What surrounds the resource.
    Observed(Box<Observed>),
    /// The resource as the API server has it; `None` where it is gone, or another has its name.
    Read(Result<Option<V>, Unavailable>),
    /// Whether the namespace is being deleted. A failed read counts as no.
    Namespace {
        /// Whether it is.
        terminating: bool,
    },
    /// The call is prepared.
    Prepared,
    /// The call cannot be prepared, and why.
    NotPrepared(Box<Seen>),
    /// The timeout passed first.
    TimedOut,
    /// Whether another resource has the operation.
    Reserved {
        /// Whether one has.
        taken: bool,
    },
    /// The resource as the write left it.
    Written(V),
    /// The finalizer is removed, or the resource is gone.
    Removed,
    /// The write was certainly not performed.
    Rejected(Rejection),
    /// The write may have been performed.
    Unanswered {
        /// Whether the response shows that only a change of the cluster helps.
        denied: bool,
    },
    /// The answer of the queue.
    Turn(Turn),
    /// The events are published.
    Published,
    /// What the call showed.
    Called(Box<Seen>),
}

/// Why a write was certainly not performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The view is stale, or an admission webhook denies the write as if it were.
    Conflict,
    /// The resource is gone, or its definition does not have what is written.
    NotFound,
    /// Nothing was sent: the process no longer leads.
    NotLeader,
    /// The API server refuses the write for what it is: only a change of the cluster helps.
    Denied,
    /// The API server refuses the write for now.
    Refused,
}

/// The API server did not respond to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unavailable;

/// What surrounds a resource.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time.
    pub now: Timestamp,
    /// Whether the process leads.
    pub leads: bool,
    /// Whether the lease is certain to last until a submission has arrived.
    pub may_submit: bool,
    /// What is wrong with the spec, or with what it refers to.
    pub fault: Option<Fault>,
    /// The refresh that the resource follows, where it exists.
    pub followed: Option<Followed>,
    /// Whether the operator is about to be uninstalled.
    pub leaving: Option<Leaving>,
    /// Whether another resource has the operation that the annotation `adopt` names.
    pub adopt_taken: bool,
}

/// How a reconciliation ended, and what holds from now on.
#[derive(Clone, Debug)]
pub struct Outcome<V> {
    /// How it ended.
    pub finish: Finish,
    /// The resource as it is known now.
    pub view: V,
    /// What is kept in memory until the next reconciliation.
    pub transient: Transient,
    /// What the resource means to the queue of its model.
    pub queue: QueueUpdate,
    /// Whether its operation may be running.
    pub tracking: Tracking,
}

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// Nothing more can be done now.
    Settled {
        /// After this time there may be; `None` is not before something changes.
        requeue: Option<Duration>,
    },
    /// The view was stale, or the process no longer leads.
    Conflict,
    /// The Kubernetes API did not do what was requested.
    Failed,
    /// The finalizer is removed.
    Released,
    /// The resource is gone.
    Gone,
    /// Only a user could have resolved the submission of a resource that is gone.
    Unresolvable,
}

impl<V> Outcome<V> {
    /// The delay before the next reconciliation; `None` where nothing is due before something changes.
    #[must_use]
    pub fn requeue(&self) -> Option<Duration> {
        match self.finish {
            Finish::Settled { requeue } => requeue,
            Finish::Conflict => Some(self.transient.after_conflict()),
            Finish::Failed => Some(self.transient.after_failure()),
            Finish::Released | Finish::Gone | Finish::Unresolvable => None,
        }
    }
}

/// What a resource means to the queue of its model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueUpdate {
    /// What its record shows.
    Set {
        /// The key of the model; empty without a run.
        model: String,
        /// Its part in the queue.
        turn: TurnUse,
    },
    /// It leaves the queue. With its next request for a turn it joins again, since when it waited.
    Leave,
    /// What it meant before: whether its intent is on record is unknown.
    Keep,
}

/// Whether the operation of a resource has to be followed should the resource be deleted without its finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tracking {
    /// One may be running.
    Track,
    /// None is running, or the resource was released.
    Untrack,
    /// As before: another client has removed the finalizer.
    Keep,
}

/// The run that a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunRef {
    /// Its number.
    pub number: i32,
    /// The id of its operation, where it is known.
    pub operation_id: Option<String>,
    /// The id by which the service's support finds it.
    pub activity_id: Option<String>,
}
