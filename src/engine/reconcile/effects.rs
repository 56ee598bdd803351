//! The effect of a decision, after its record.

use std::time::Duration;

use super::super::{EffectResult, timing};
use super::pending_decision::NextEffect;
use super::steps::accepted;
use super::{DriverRequest, Finish, Observed, PendingDecision, PlannedCall, Reconciliation, Stage, View};
use crate::api::{Run, RunState, Time};
use crate::operation::{ServiceError, ServiceErrorKind, SubmitResult};

impl<V: View> Reconciliation<V> {
    pub(super) fn perform_effect(&mut self, decision: Box<PendingDecision>) -> DriverRequest<V> {
        match &decision.effect {
            // Only the reconciliation that recorded the intent submits.
            NextEffect::Call(PlannedCall::Submit(_)) if decision.status.is_none() || self.detached => self.observe(EffectResult::None),
            NextEffect::Call(PlannedCall::Submit(_)) => self.observe_before_call(decision),
            NextEffect::Call(_) if decision.deadline.is_some() => self.observe_before_call(decision),
            NextEffect::Call(call) => {
                let call = call.clone();
                self.call(decision, call, None)
            }
            NextEffect::RemoveFinalizer if self.detached => self.end(Finish::FinalizerRemoved),
            NextEffect::Settle
            | NextEffect::AcquireTurn
            | NextEffect::AddFinalizer
            | NextEffect::RemoveAnnotation(_)
            | NextEffect::Check(_)
                if self.detached =>
            {
                self.settle_detached(decision.requeue)
            }
            NextEffect::Settle => {
                let refused = self.now.and_then(|now| self.in_memory.metadata_backoff(now));
                let removed = self.now.and_then(|now| self.in_memory.removal_backoff(now));
                self.end(Finish::Settled { requeue: decision.requeue.into_iter().chain(refused).chain(removed).min() })
            }
            NextEffect::AcquireTurn => {
                let waits = self.view.status().run.as_ref().filter(|run| run.state == RunState::Waiting);
                let since = waits.map_or_else(|| Time::from(self.now.unwrap_or_default()), |run| run.requested_time);
                self.stage = Stage::Acquiring;
                DriverRequest::AcquireTurn { model: decision.model.key(), since }
            }
            NextEffect::AddFinalizer => {
                self.stage = Stage::Changing(decision);
                DriverRequest::AddFinalizer
            }
            NextEffect::RemoveAnnotation(annotation) => {
                let annotation = *annotation;
                self.stage = Stage::Changing(decision);
                DriverRequest::RemoveAnnotation(annotation)
            }
            NextEffect::Check(request) => {
                let (model, kind, timeout) = (Box::new(request.model.clone()), request.kind, timing::check_timeout(&self.settings));
                self.stage = Stage::RunningCheck(decision);
                DriverRequest::RunCheck { model, kind, timeout }
            }
            NextEffect::RemoveFinalizer => {
                self.removal_sent = true;
                self.in_memory.begin_write();
                self.in_memory.removal_events.clone_from(&decision.events);
                self.stage = Stage::Removing;
                DriverRequest::RemoveFinalizer { events: decision.events }
            }
        }
    }

    fn observe_before_call(&mut self, decision: Box<PendingDecision>) -> DriverRequest<V> {
        self.stage = Stage::Checking(decision);
        DriverRequest::Observe
    }

    fn call(&mut self, decision: Box<PendingDecision>, call: PlannedCall, timeout: Option<Duration>) -> DriverRequest<V> {
        self.stage = Stage::Calling(decision);
        DriverRequest::Call { call, timeout }
    }

    /// Ends without the effect, which requires an existing resource.
    fn settle_detached(&mut self, requeue: Option<Duration>) -> DriverRequest<V> {
        if self.view.status().run.as_ref().is_some_and(Run::awaits_decision) {
            return self.end(Finish::Unresolvable);
        }
        self.end(Finish::Settled { requeue })
    }

    /// Checks immediately before a call whether it may still be made, because the write of the intent may have taken long.
    pub(super) fn check(&mut self, decision: Box<PendingDecision>, observed: Observed) -> DriverRequest<V> {
        self.now = Some(observed.now);
        let NextEffect::Call(call) = &decision.effect else { return self.end(Finish::Failed) };
        let call = call.clone();
        if !decision.is_intent() {
            let timeout = decision.deadline.map(|deadline| timing::remaining(deadline, observed.now));
            return self.call(decision, call, timeout);
        }
        match self.submission_timeout(&observed) {
            Ok(left) => self.call(decision, call, Some(left)),
            Err(message) => self.decide(observed, EffectResult::Submitted(SubmitResult::Deferred { message: message.to_owned() })),
        }
    }

    /// The timeout of a submission, so that it ends at the deadline of the call after the intent, however long the write of the intent took.
    ///
    /// # Errors
    /// Why nothing is submitted.
    fn submission_timeout(&self, observed: &Observed) -> Result<Duration, &'static str> {
        // Another operator may lead soon. If this one still leads then, it records that nothing was submitted.
        if !observed.may_submit {
            return Err("nothing was submitted: the operator's lease is about to expire");
        }
        if observed.drain.is_some() {
            return Err("nothing was submitted: the operator is about to be uninstalled");
        }
        let intent = self.view.status().run.as_ref().and_then(|run| run.submitted_time);
        let spent = intent.map_or(Duration::ZERO, |intent| timing::elapsed(intent.timestamp(), observed.now));
        // The intent is recorded in whole seconds, rounded down.
        let left = (self.settings.call_timeout + Duration::from_secs(1)).saturating_sub(spent);
        if left < self.settings.call_timeout / 4 {
            return Err("nothing was submitted: the Kubernetes API took too long to record the intent");
        }
        Ok(left)
    }

    /// Handles the timeout of a call.
    pub(super) fn call_timed_out(&mut self, decision: &PendingDecision) -> DriverRequest<V> {
        if decision.is_intent() {
            let message = "the service did not respond in time".to_owned();
            return self.observe(EffectResult::Submitted(SubmitResult::Unknown { message }));
        }
        self.timed_out_in_deletion()
    }

    /// Handles the timeout of a preparation, which sent nothing, or of a call that is no submission, which may have been performed. Only
    /// the deletion of a namespace limits them: `NAMESPACE_TIMEOUT`.
    pub(super) fn timed_out_in_deletion(&mut self) -> DriverRequest<V> {
        let message = "no response within two minutes: the deletion of the namespace no longer waits".to_owned();
        self.observe(EffectResult::CallFailed(ServiceError {
            kind: ServiceErrorKind::Unreachable,
            message,
            retry_after: None,
            activity_id: None,
        }))
    }

    pub(super) fn called(&mut self, effect_result: EffectResult) -> DriverRequest<V> {
        if let Some(submission) = accepted(&effect_result) {
            let submission = submission.clone();
            self.in_memory.accept(self.view.status(), &submission, self.failed_records);
        }
        self.observe(effect_result)
    }
}
