//! One decision while it is executed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{CheckRequest, Decision, DecisionMemory, DesiredState, Effect, Event, deletion_timeout};
use super::{PlannedCall, View};
use crate::api::{Model, Run, Status};
use crate::operation::{OperationId, SubmitResult};

/// One decision while it is executed.
#[derive(Clone, Debug)]
pub struct PendingDecision {
    /// The status to write; `None` if it is already recorded.
    pub status: Option<Arc<Status>>,
    /// What the decision remembers, valid once its status is written.
    pub memory: DecisionMemory,
    /// The effect after the write of the status.
    pub effect: NextEffect,
    /// The model of the effect.
    pub model: Model,
    /// The events to publish.
    pub events: Vec<Event>,
    /// When to decide again at the latest, if nothing happens before.
    pub requeue: Option<Duration>,
    /// The deadline of a call, if the namespace is being deleted.
    pub deadline: Option<Timestamp>,
    /// Whether it was made without a write of the finalizer or an annotation, because such writes are refused.
    pub metadata_refused: bool,
    /// The submission that the service has just accepted, if this decision records it.
    pub accepted: Option<SubmitResult>,
    /// The operation that the run adopts, with the key of its model.
    pub adopts: Option<(String, OperationId)>,
}

/// [`Effect`], with the data that a driver needs to perform it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextEffect {
    /// No effect: the reconciliation ends.
    Settle,
    /// Request a turn.
    AcquireTurn,
    /// Add the finalizer.
    AddFinalizer,
    /// Remove an annotation.
    RemoveAnnotation(&'static str),
    /// Remove the finalizer.
    RemoveFinalizer,
    /// Call a service.
    Call(PlannedCall),
    /// Perform a check.
    Check(Box<CheckRequest>),
}

impl PendingDecision {
    pub(super) fn new<V: View>(
        decision: Decision,
        view: &V,
        desired: &DesiredState,
        now: Timestamp,
        accepted: Option<SubmitResult>,
    ) -> Self {
        let Decision { status, memory, effect, model, events, requeue_after } = decision;
        let kind = desired.operation.request.kind();
        let effect = match effect {
            Effect::None => NextEffect::Settle,
            Effect::AcquireTurn => NextEffect::AcquireTurn,
            Effect::AddFinalizer => NextEffect::AddFinalizer,
            Effect::RemoveAnnotation(annotation) => NextEffect::RemoveAnnotation(annotation),
            Effect::RemoveFinalizer => NextEffect::RemoveFinalizer,
            Effect::Submit => NextEffect::Call(PlannedCall::Submit(Arc::new(desired.operation.request.clone()))),
            Effect::ResolveModel => NextEffect::Call(PlannedCall::ResolveModel),
            Effect::Poll(operation) => NextEffect::Call(PlannedCall::Poll(kind, operation)),
            Effect::List(kind, intent) => NextEffect::Call(PlannedCall::List(kind, intent)),
            Effect::FindModel => NextEffect::Call(PlannedCall::FindModel),
            Effect::Cancel(id) => NextEffect::Call(PlannedCall::Cancel(id)),
        };
        let before = view.status().run.as_ref().and_then(|run| run.operation_id.as_deref());
        let new_operation = |run: &Run| run.operation_id.as_deref().filter(|id| before != Some(*id)).and_then(OperationId::parse);
        let adopts = status.run.as_ref().filter(|_| accepted.is_none()).and_then(|run| new_operation(run).map(|id| (run.model.key(), id)));
        Self {
            adopts,
            status: (*view.status() != status).then(|| Arc::new(status)),
            memory,
            effect,
            model,
            events,
            requeue: requeue_after,
            deadline: deletion_timeout(desired, now).and_then(|deletion_timeout| now.checked_add(deletion_timeout).ok()),
            metadata_refused: desired.skipped_writes.metadata,
            accepted,
        }
    }

    /// Whether its status records the intent of a submission.
    pub(super) fn is_intent(&self) -> bool {
        matches!(self.effect, NextEffect::Call(PlannedCall::Submit(_)))
    }
}
