//! The requests of the machine, and the responses of its driver.
//!
//! Each request has its own responses; the driver performs it and decides nothing. A "local" request needs no I/O: the driver
//! responds immediately.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Blocker, CheckReport, DrainMode, EffectResult, Event, QueueState, Turn, Upstream};
use super::InMemoryState;
use crate::api::{Model, Status, Time};
use crate::operation::{self, OperationId, OperationKind, OperationRef};

/// What the driver must do next. Only [`DriverRequest::Done`] ends the reconciliation.
#[derive(Clone, Debug)]
#[must_use]
pub enum DriverRequest<V> {
    /// Observe the time and the facts outside the resource. Local. Response: [`DriverResponse::Observed`].
    Observe,
    /// Read the resource bypassing the cache, after this delay. Response: [`DriverResponse::Read`].
    Read {
        /// The delay.
        after: Duration,
    },
    /// Read the namespace of the resource. Response: [`DriverResponse::Namespace`].
    ReadNamespace,
    /// Obtain credentials, a token and a permit for this call. Nothing is sent to the service. Responses: [`DriverResponse::Prepared`],
    /// [`DriverResponse::NotPrepared`], [`DriverResponse::TimedOut`].
    Prepare {
        /// The model that the call is about.
        model: Box<Model>,
        /// The call.
        call: PlannedCall,
        /// How recent the credentials must be.
        freshness: Freshness,
        /// The timeout of the preparation.
        timeout: Option<Duration>,
    },
    /// Reserve an operation that this resource is about to adopt, unless another resource has it. Local. Response: [`DriverResponse::Reserved`].
    Reserve {
        /// The key of its model.
        model: String,
        /// Its id.
        id: OperationId,
    },
    /// Write the status under the resource version of the view, while leading. Responses: [`DriverResponse::Written`],
    /// [`DriverResponse::Rejected`], [`DriverResponse::Unconfirmed`].
    WriteStatus {
        /// The status.
        status: Arc<Status>,
        /// Whether it records the intent of a submission.
        intent: bool,
    },
    /// Add the finalizer, like [`DriverRequest::WriteStatus`].
    AddFinalizer,
    /// Remove this annotation, like [`DriverRequest::WriteStatus`].
    RemoveAnnotation(&'static str),
    /// Remove the finalizer, under the same conditions. The driver stops tracking the resource before it sends this write, because the
    /// resource may be gone before the response. Responses: [`DriverResponse::Removed`], [`DriverResponse::Rejected`],
    /// [`DriverResponse::Unconfirmed`].
    RemoveFinalizer {
        /// The events that were published with the decision.
        events: Vec<Event>,
    },
    /// Request a turn on a model from its queue. Local. Response: [`DriverResponse::Turn`].
    AcquireTurn {
        /// The key of the model.
        model: String,
        /// Since when the resource waits.
        since: Time,
    },
    /// Publish events. Local. Response: [`DriverResponse::Published`].
    Publish {
        /// The events.
        events: Vec<Event>,
        /// Whether the namespace is being deleted, and the events of the resource with it.
        namespace_terminating: bool,
    },
    /// Make the call that was prepared, exactly once. Responses: [`DriverResponse::Called`], [`DriverResponse::TimedOut`].
    Call {
        /// The call.
        call: PlannedCall,
        /// The timeout of the call. For a submission it is the rest of the call's deadline since the intent.
        timeout: Option<Duration>,
    },
    /// Check step by step whether the operations of a model can be listed. Nothing is changed. Response:
    /// [`DriverResponse::CheckCompleted`].
    RunCheck {
        /// The model.
        model: Box<Model>,
        /// The kind of the operations.
        kind: OperationKind,
        /// After this time the check ends with what it has found.
        timeout: Duration,
    },
    /// The reconciliation has ended.
    Done(Box<Outcome<V>>),
}

/// One call to a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlannedCall {
    /// Submit an operation.
    Submit(Arc<operation::Request>),
    /// Resolve the names of the model.
    ResolveModel,
    /// Poll one operation.
    Poll(OperationKind, OperationRef),
    /// List the operations of a kind that run, or that started since the intent.
    List(OperationKind, Timestamp),
    /// Find out whether the model still exists.
    FindModel,
    /// Cancel one operation.
    Cancel(OperationId),
}

/// How recent credentials must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Current: the referenced objects are read again, because an operation is about to start.
    Fresh,
    /// Recent: an operation is polled.
    Cached,
    /// The last known ones if the referenced objects are gone: the Secret may be deleted with the resource.
    LastKnown,
}

/// A response of the driver.
#[derive(Clone, Debug)]
pub enum DriverResponse<V> {
    /// The first response, at this time.
    Start(Timestamp),
    /// The facts outside the resource.
    Observed(Box<Observed>),
    /// The resource as the API server has it; `None` if it is gone, or another resource has its name.
    Read(Result<Option<V>, ReadFailed>),
    /// Whether the namespace is being deleted. A failed read counts as no.
    Namespace {
        /// Whether it is.
        terminating: bool,
    },
    /// The call is prepared.
    Prepared,
    /// The call cannot be prepared, and why.
    NotPrepared(Box<EffectResult>),
    /// The timeout passed first.
    TimedOut,
    /// Whether another resource has the operation.
    Reserved {
        /// Whether one has.
        claimed: bool,
    },
    /// The resource as the write left it.
    Written(V),
    /// The finalizer is removed, or the resource is gone.
    Removed,
    /// The write was certainly not performed.
    Rejected(Rejection),
    /// The write may have been performed.
    Unconfirmed {
        /// Whether the response shows that only a change of the cluster helps.
        denied: bool,
    },
    /// The response of the queue.
    Turn(Turn),
    /// The events are published.
    Published,
    /// The result of the call.
    Called(Box<EffectResult>),
    /// What the check found.
    CheckCompleted(Box<CheckReport>),
}

/// Why a write was certainly not performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The view is stale, or an admission webhook denies the write as if it were.
    Conflict,
    /// The resource was deleted, or its definition lacks what is written.
    NotFound,
    /// Nothing was sent: the process no longer leads.
    NotLeader,
    /// The API server refuses the write permanently: only a change of the cluster helps.
    Permanent,
    /// The API server refuses the write temporarily.
    Temporary,
}

/// The API server did not respond to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadFailed;

/// The facts outside a resource.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time.
    pub now: Timestamp,
    /// Whether the process leads.
    pub is_leader: bool,
    /// Whether the Lease remains valid long enough to send a submission.
    pub may_submit: bool,
    /// A fault in the spec, or in what it refers to.
    pub blocker: Option<Blocker>,
    /// The upstream refresh of the resource, if it exists.
    pub upstream: Option<Upstream>,
    /// Whether the operator is about to be uninstalled.
    pub drain: Option<DrainMode>,
    /// Whether another resource has the operation that the annotation `adopt` names.
    pub adopt_claimed: bool,
}

/// How a reconciliation ended, and its results.
#[derive(Clone, Debug)]
pub struct Outcome<V> {
    /// How it ended.
    pub finish: Finish,
    /// The resource as it was last observed.
    pub view: V,
    /// What is kept in memory until the next reconciliation.
    pub in_memory: InMemoryState,
    /// The change of the queue of its model.
    pub queue: QueueUpdate,
    /// Whether its operation may be running.
    pub tracking: Tracking,
}

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// There is nothing more to do now.
    Settled {
        /// The delay before the next reconciliation; `None` if nothing is due before a change.
        requeue: Option<Duration>,
    },
    /// The view was stale, or the process no longer leads. Neither is a failure of the Kubernetes API, and nothing was written.
    Conflict,
    /// A request to the Kubernetes API failed.
    Failed,
    /// The finalizer is removed.
    FinalizerRemoved,
    /// The resource is gone.
    Gone,
    /// Only a user could have resolved the submission of a resource that is gone.
    Unresolvable,
}

impl<V> Outcome<V> {
    /// The delay before the next reconciliation; `None` if nothing is due before a change.
    #[must_use]
    pub fn requeue(&self) -> Option<Duration> {
        match self.finish {
            Finish::Settled { requeue } => requeue,
            Finish::Conflict => Some(self.in_memory.after_conflict()),
            Finish::Failed => Some(self.in_memory.after_failure()),
            Finish::FinalizerRemoved | Finish::Gone | Finish::Unresolvable => None,
        }
    }
}

/// The change of the queue of its model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueUpdate {
    /// The resource has the position that its record shows.
    Set {
        /// The key of the model; empty without a run.
        model: String,
        /// Its position in the queue.
        state: QueueState,
    },
    /// It leaves the queue. Its next request for a turn adds it again, ordered by the time since which it has waited.
    Remove,
    /// Unchanged, because it is unknown whether its intent is recorded.
    Keep,
}

/// Whether the operation of a resource must be tracked if the resource is deleted without its finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tracking {
    /// One may be running.
    Track,
    /// None is running, or the resource was released.
    Untrack,
    /// Unchanged, because another client has removed the finalizer.
    Keep,
}

/// The run that a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunRef {
    /// Its number.
    pub number: i32,
    /// The id of its operation, if it is known.
    pub operation_id: Option<String>,
    /// The id by which the service's support can find it.
    pub activity_id: Option<String>,
}
