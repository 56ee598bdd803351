//! The end of a reconciliation: the change of the queue of its model, and whether its operation may be running.
//!
//! A granted turn exists only in memory until the intent is recorded. A reconciliation that ends without a recorded intent releases the
//! turn. If it is unknown whether the intent was recorded, the turn is kept until the next read, unless the resource is stuck. So a resource
//! whose status cannot be written blocks no other.

use std::time::Duration;

use super::super::{QueueState, queue_state, queue_state_if_unwritable};
use super::{DriverRequest, Finish, Outcome, QueueUpdate, Reconciliation, Stage, Tracking, View};
use crate::api::Run;

impl<V: View> Reconciliation<V> {
    pub(super) fn end(&mut self, finish: Finish) -> DriverRequest<V> {
        self.stage = Stage::Ended;
        DriverRequest::Done(Box::new(self.outcome(finish)))
    }

    /// Ends the reconciliation and releases the turn.
    pub(super) fn release_turn(&mut self, requeue: Duration) -> DriverRequest<V> {
        self.stage = Stage::Ended;
        let outcome = self.outcome(Finish::Settled { requeue: Some(requeue) });
        DriverRequest::Done(Box::new(Outcome { queue: QueueUpdate::Remove, ..outcome }))
    }

    pub(super) fn outcome(&mut self, finish: Finish) -> Outcome<V> {
        // Before the first response nothing has changed.
        if self.now.is_none() {
            let (view, in_memory) = (self.view.clone(), self.in_memory.clone());
            return Outcome { finish, view, in_memory, queue: QueueUpdate::Keep, tracking: Tracking::Keep };
        }
        let queue = self.queue(finish);
        let in_memory = &mut self.in_memory;
        in_memory.reread |= self.intent_unconfirmed;
        match finish {
            Finish::Settled { .. } | Finish::FinalizerRemoved => (in_memory.failures, in_memory.conflicts) = (0, 0),
            // The write of another client succeeded.
            Finish::Conflict => (in_memory.consecutive_failed_writes, in_memory.conflicts) = (0, in_memory.conflicts.saturating_add(1)),
            Finish::Failed => in_memory.failures = in_memory.failures.saturating_add(1),
            Finish::Gone | Finish::Unresolvable => {}
        }
        Outcome { finish, view: self.view.clone(), in_memory: std::mem::take(in_memory), queue, tracking: self.tracking() }
    }

    fn queue(&self, finish: Finish) -> QueueUpdate {
        match finish {
            Finish::FinalizerRemoved | Finish::Gone | Finish::Unresolvable => return QueueUpdate::Remove,
            Finish::Settled { .. } | Finish::Conflict | Finish::Failed => {}
        }
        let failed = finish == Finish::Failed;
        let stuck = finish != Finish::Conflict && self.in_memory.is_stuck();
        if self.intent_unconfirmed {
            // After an intent without a response nothing was submitted.
            return if stuck { QueueUpdate::Remove } else { QueueUpdate::Keep };
        }
        let state = if stuck && !self.view.is_released() {
            queue_state_if_unwritable(self.view.status(), self.now.unwrap_or_default(), &self.settings)
        } else {
            self.recorded_queue_state()
        };
        if failed && state != QueueState::Holding {
            // Not back to waiting: at its head it would still block all others. It joins again with its next request.
            return QueueUpdate::Remove;
        }
        let model = self.view.status().run.as_ref().map(|run| run.model.key()).unwrap_or_default();
        QueueUpdate::Set { model, state }
    }

    /// The position in the queue of its model that the record shows.
    pub(super) fn recorded_queue_state(&self) -> QueueState {
        if self.view.is_released() {
            return QueueState::None;
        }
        queue_state(self.view.status(), self.now.unwrap_or_default(), &self.settings)
    }

    fn tracking(&self) -> Tracking {
        if self.removal_sent {
            return Tracking::Untrack;
        }
        match self.view.is_released() {
            true => Tracking::Keep,
            false if self.view.status().run.as_ref().is_some_and(Run::may_run) => Tracking::Track,
            false => Tracking::Untrack,
        }
    }
}
