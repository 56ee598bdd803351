//! The steps from the start to a decision, and from the decision to its record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{DecisionInput, EffectResult, Event, External, SkippedWrites, decide, timing};
use super::pending_decision::NextEffect;
use super::stage::ReadPurpose;
use super::{DriverRequest, Finish, Freshness, Observed, PendingDecision, PlannedCall, Reconciliation, Stage, View};
use crate::operation::SubmitResult;

/// Maximum number of decisions of one reconciliation. The next reconciliation continues after [`CONTINUE_DELAY`].
const MAX_DECISIONS: u8 = 12;
const CONTINUE_DELAY: Duration = Duration::from_millis(200);

impl<V: View> Reconciliation<V> {
    pub(super) fn start(&mut self, now: Timestamp) -> DriverRequest<V> {
        self.now = Some(now);
        if self.in_memory.reread {
            self.intent_unconfirmed = true;
            return self.read(ReadPurpose::Reread);
        }
        self.proceed()
    }

    pub(super) fn proceed(&mut self) -> DriverRequest<V> {
        let runs = || self.view.status().run.as_ref().is_some_and(|run| !run.state.ended());
        let reads_namespace = !self.detached && !self.in_memory.namespace_terminating;
        if reads_namespace && self.view.is_deleting() && self.view.has_finalizer() && runs() {
            self.stage = Stage::ReadingNamespace;
            return DriverRequest::ReadNamespace;
        }
        self.first_decision()
    }

    pub(super) fn first_decision(&mut self) -> DriverRequest<V> {
        let Some(accepted) = self.in_memory.accepted_for(self.view.status()) else { return self.observe(EffectResult::None) };
        self.failed_records = accepted.failed_writes;
        let effect_result = EffectResult::Submitted(accepted.submission.clone());
        self.observe(effect_result)
    }

    pub(super) fn observe(&mut self, effect_result: EffectResult) -> DriverRequest<V> {
        self.stage = Stage::Observing(Box::new(effect_result));
        DriverRequest::Observe
    }

    pub(super) fn read(&mut self, purpose: ReadPurpose) -> DriverRequest<V> {
        self.read_after(Duration::ZERO, purpose)
    }

    pub(super) fn read_after(&mut self, after: Duration, purpose: ReadPurpose) -> DriverRequest<V> {
        self.stage = Stage::Reading(purpose);
        DriverRequest::Read { after }
    }

    pub(super) fn decide(&mut self, observed: Observed, effect_result: EffectResult) -> DriverRequest<V> {
        let Observed { now, is_leader, may_submit: _, blocker, upstream, drain, adopt_claimed } = observed;
        self.now = Some(now);
        // A status in memory is changed only while leading, like a written one.
        if self.detached && !is_leader {
            return self.end(Finish::Conflict);
        }
        if self.decisions >= MAX_DECISIONS {
            return self.end(Finish::Settled { requeue: Some(CONTINUE_DELAY) });
        }
        self.decisions += 1;
        let accepted = accepted(&effect_result).cloned();
        let external = External {
            blocker,
            namespace_terminating: self.in_memory.namespace_terminating,
            upstream,
            // These do not apply to a resource that no longer exists, and nothing of it can be written.
            drain: drain.filter(|_| !self.detached),
            adopt_claimed: adopt_claimed && !self.detached,
            skipped_writes: SkippedWrites {
                metadata: self.detached || self.in_memory.metadata_backoff(now).is_some(),
                annotations: self.in_memory.removal_backoff(now).is_some(),
                status: self.in_memory.is_status_refused(),
            },
        };
        let decision = {
            let (mut desired, status, memory) = (self.view.desired(external), self.view.status(), &self.in_memory.memory);
            let dropped = &self.in_memory.dropped_cancel_request;
            if dropped.is_some() && desired.requests.cancel == *dropped {
                desired.to_mut().requests.cancel = None;
            }
            desired.operation.recall(memory.equivalents.as_ref());
            let mut decision = decide(&DecisionInput { desired: &desired, status, memory, effect_result, now, settings: &self.settings });
            decision.memory.equivalents = desired.operation.equivalents();
            let mut decision = Box::new(PendingDecision::new(decision, &self.view, &desired, now, accepted));
            self.plan_check(&desired, now, &mut decision);
            decision
        };
        let NextEffect::Call(call) = &decision.effect else { return self.prepared(decision) };
        let freshness = match call {
            PlannedCall::Submit(_) => Freshness::Fresh,
            PlannedCall::ResolveModel | PlannedCall::Poll(..) | PlannedCall::List(..) | PlannedCall::FindModel | PlannedCall::Cancel(_)
                if self.view.is_deleting() =>
            {
                Freshness::LastKnown
            }
            PlannedCall::ResolveModel | PlannedCall::Poll(..) | PlannedCall::List(..) | PlannedCall::FindModel | PlannedCall::Cancel(_) => {
                Freshness::Cached
            }
        };
        let (model, call) = (Box::new(decision.model.clone()), call.clone());
        let timeout = decision.deadline.map(|deadline| timing::remaining(deadline, now));
        self.stage = Stage::Preparing(decision);
        DriverRequest::Prepare { model, call, freshness, timeout }
    }

    pub(super) fn prepared(&mut self, mut decision: Box<PendingDecision>) -> DriverRequest<V> {
        // Another resource may have adopted the operation since the list was read.
        match decision.adopts.take().filter(|_| !self.detached) {
            Some((model, id)) => {
                self.stage = Stage::Reserving(decision);
                DriverRequest::Reserve { model, id }
            }
            None => self.record(decision),
        }
    }

    /// Writes the status if it differs. The decision takes effect only once it is written.
    pub(super) fn record(&mut self, decision: Box<PendingDecision>) -> DriverRequest<V> {
        match &decision.status {
            None => self.recorded(decision),
            Some(status) if self.detached => {
                self.view = self.view.with_status(status);
                self.recorded(decision)
            }
            Some(status) => {
                let (status, intent) = (Arc::clone(status), decision.is_intent());
                self.intent_unconfirmed |= intent;
                self.in_memory.begin_write();
                self.stage = Stage::Writing(decision);
                DriverRequest::WriteStatus { status, intent }
            }
        }
    }

    pub(super) fn written(&mut self, decision: Box<PendingDecision>, view: V) -> DriverRequest<V> {
        self.view = view;
        self.in_memory.consecutive_failed_writes = 0;
        self.intent_unconfirmed &= !decision.is_intent();
        self.recorded(decision)
    }

    fn recorded(&mut self, mut decision: Box<PendingDecision>) -> DriverRequest<V> {
        if decision.accepted.is_some() {
            (self.in_memory.accepted, self.failed_records) = (None, 0);
        }
        self.in_memory.memory = std::mem::take(&mut decision.memory);
        self.forget_recorded_check(&decision);
        self.keep_dropped_cancel_request(&decision);
        let is_published = decision.effect == NextEffect::RemoveFinalizer && decision.events == self.in_memory.removal_events;
        if decision.events.is_empty() || is_published || matches!(decision.effect, NextEffect::RemoveAnnotation(_)) {
            return self.perform_effect(decision);
        }
        let events = decision.events.clone();
        self.stage = Stage::Publishing(decision);
        self.publish(events)
    }

    /// Keeps a handled request to cancel that was written and is not in the status. It counts as handled: a further write would be dropped
    /// too, and the request is not about a later run.
    fn keep_dropped_cancel_request(&mut self, decision: &PendingDecision) {
        let kept = &self.view.status().last_handled_cancel_request;
        let written = decision.status.as_ref().map(|status| &status.last_handled_cancel_request);
        if let Some(dropped) = written.filter(|written| *written != kept) {
            self.in_memory.dropped_cancel_request.clone_from(dropped);
        }
    }

    pub(super) fn publish(&self, events: Vec<Event>) -> DriverRequest<V> {
        DriverRequest::Publish { events, namespace_terminating: self.in_memory.namespace_terminating }
    }
}

/// The submission that was just accepted.
pub(super) fn accepted(effect_result: &EffectResult) -> Option<&SubmitResult> {
    match effect_result {
        EffectResult::Submitted(accepted @ SubmitResult::Accepted { .. }) => Some(accepted),
        _ => None,
    }
}
