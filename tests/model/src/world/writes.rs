//! The writes of a reconciliation at the API server: performed, lost, late or rejected.

use std::sync::Arc;

use tabular_operator::api::{Reason, Status};
use tabular_operator::engine::Event;
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, PendingDecision, Reconciliation, Rejection, View};

use super::object::Object;
use super::operator::decision;
use super::{LateWrite, RequestOutcome, Violation, World};
use crate::invariants;
use crate::scenario::Impairment;

impl World {
    /// Why a write is certainly not performed.
    fn rejection(&self, operator: usize, resource: usize, view: &Object, outcome: RequestOutcome) -> Option<Rejection> {
        if !self.leads(operator) {
            return Some(Rejection::NotLeader);
        }
        match self.impairment_of(resource) {
            Some(Impairment::WritesDenied) => return Some(Rejection::Permanent),
            Some(Impairment::WritesRefused) => return Some(Rejection::Temporary),
            _ => {}
        }
        if let RequestOutcome::Rejected(rejection) = outcome {
            return Some(rejection);
        }
        let it = &self.resources[resource];
        if it.is_deleted {
            return Some(Rejection::NotFound);
        }
        (!self.is_current(resource, view)).then_some(Rejection::Conflict)
    }

    fn is_unwritten(&self, resource: usize, outcome: RequestOutcome) -> bool {
        self.impairment_of(resource) == Some(Impairment::Writes) || outcome == RequestOutcome::LostBefore
    }

    pub(super) fn write_status_of(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        status: &Arc<Status>,
        outcome: RequestOutcome,
    ) -> Result<DriverResponse<Object>, Violation> {
        let view = machine.view();
        if let Some(rejection) = self.rejection(operator, resource, view, outcome) {
            return Ok(DriverResponse::Rejected(rejection));
        }
        if self.is_unwritten(resource, outcome) {
            return Ok(DriverResponse::Unconfirmed { denied: false });
        }
        let Some(decision) = decision(machine) else { return Ok(DriverResponse::Unconfirmed { denied: false }) };
        if outcome == RequestOutcome::Late {
            let write =
                LateWrite { operator, resource, version: view.version, status: Arc::clone(status), decision: Arc::new(decision.clone()) };
            self.late.push(write);
            return Ok(DriverResponse::Unconfirmed { denied: false });
        }
        if self.scenario.broken_rules.unwritten && invariants::submits(decision) {
            return Ok(DriverResponse::Written(view.with_status(status)));
        }
        self.record_status(operator, resource, decision, status)?;
        if outcome == RequestOutcome::LostAfter {
            return Ok(DriverResponse::Unconfirmed { denied: false });
        }
        Ok(DriverResponse::Written(self.resources[resource].now().clone()))
    }

    /// Records a status.
    pub(super) fn record_status(
        &mut self,
        operator: usize,
        resource: usize,
        decision: &PendingDecision,
        status: &Arc<Status>,
    ) -> Result<(), Violation> {
        invariants::write(self, operator, resource, decision, status)?;
        for (of, number) in invariants::exemptions(self, resource, status) {
            let exempt_up_to = &mut self.resource(of).exempt_up_to;
            *exempt_up_to = number.max(*exempt_up_to);
        }
        if let Some(value) = invariants::applied_resubmit(self, resource, status) {
            self.resource(resource).applied_resubmits.push(value);
        }
        let before = self.resources[resource].now().status.run.as_ref().map_or(0, |run| run.number);
        if let Some(run) = status.run.as_ref().filter(|run| run.number > before) {
            self.resource(resource).started_triggers.push(run.trigger.clone());
        }
        let unhandled = [Reason::TriggerDropped, Reason::UpstreamRunsMissed];
        self.resource(resource).misses_upstream_runs |= decision.events.iter().any(|event| unhandled.contains(&event.reason));
        if invariants::submits(decision) {
            let desired = &self.resources[resource].now().revision.desired;
            let requested = (desired.operation.digest.clone(), desired.token.clone());
            self.resource(resource).submitted_work = Some(requested);
        }
        self.resource(resource).write_status(Arc::clone(status));
        self.late.retain(|write| write.resource != resource);
        self.update_all_claims(resource);
        self.notify_dependents(resource);
        Ok(())
    }

    /// Adds the finalizer, or removes an annotation.
    pub(super) fn write_metadata(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        request: &DriverRequest<Object>,
        outcome: RequestOutcome,
    ) -> DriverResponse<Object> {
        if let Some(rejection) = self.rejection(operator, resource, machine.view(), outcome) {
            return DriverResponse::Rejected(rejection);
        }
        if self.is_unwritten(resource, outcome) {
            return DriverResponse::Unconfirmed { denied: false };
        }
        match request {
            DriverRequest::RemoveAnnotation(annotation) => self.resource(resource).remove_annotation(annotation),
            _ => self.resource(resource).set_finalizer(true),
        }
        self.changed(resource);
        if outcome == RequestOutcome::LostAfter {
            return DriverResponse::Unconfirmed { denied: false };
        }
        DriverResponse::Written(self.resources[resource].now().clone())
    }

    pub(super) fn remove_finalizer(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        events: &[Event],
        outcome: RequestOutcome,
    ) -> Result<DriverResponse<Object>, Violation> {
        let view = machine.view().clone();
        // The resource may be deleted before the response. Its claims stay, and its operation is no longer tracked.
        self.operators[operator].states[resource].tracked = Some(view.clone());
        self.keep_claims(operator, resource);
        self.operators[operator].states[resource].tracked = None;
        if let Some(rejection) = self.rejection(operator, resource, &view, outcome) {
            return Ok(DriverResponse::Rejected(rejection));
        }
        if self.is_unwritten(resource, outcome) {
            return Ok(DriverResponse::Unconfirmed { denied: false });
        }
        invariants::release(self, operator, resource, &view, events)?;
        let is_reported = events.iter().any(|event| event.reason == Reason::Released);
        self.resource(resource).reported |= is_reported;
        self.resource(resource).set_finalizer(false);
        self.changed(resource);
        Ok(if outcome == RequestOutcome::LostAfter { DriverResponse::Unconfirmed { denied: false } } else { DriverResponse::Removed })
    }

    /// The operator has changed the metadata of a resource.
    fn changed(&mut self, resource: usize) {
        self.late.retain(|write| write.resource != resource);
        self.update_all_claims(resource);
    }
}
