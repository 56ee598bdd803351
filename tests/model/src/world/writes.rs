//! Writes of a reconciliation at the API server: performed, lost, late or rejected.

use std::sync::Arc;

use tabular_operator::api::{Reason, Status};
use tabular_operator::engine::Event;
use tabular_operator::engine::reconcile::{PendingDecision, Reconciliation, Rejection, Request, Response, View};

use super::cluster::Object;
use super::operator::decision;
use super::{Broken, How, LateWrite, World};
use crate::laws;
use crate::scenario::Ail;

impl World {
    /// Why a write is certainly not performed.
    fn rejection(&self, operator: usize, resource: usize, view: &Object, how: How) -> Option<Rejection> {
        if !self.leads(operator) {
            return Some(Rejection::NotLeader);
        }
        match self.ail_of(resource) {
            Some(Ail::WritesDenied) => return Some(Rejection::Denied),
            Some(Ail::WritesRefused) => return Some(Rejection::Refused),
            Some(Ail::Throttled | Ail::Refused | Ail::SecretGone | Ail::Writes) | None => {}
        }
        if let How::Rejected(rejection) = how {
            return Some(rejection);
        }
        let it = &self.resources[resource];
        if it.gone {
            return Some(Rejection::NotFound);
        }
        (!self.is_current(resource, view)).then_some(Rejection::Conflict)
    }

    fn is_unwritten(&self, resource: usize, how: How) -> bool {
        self.ail_of(resource) == Some(Ail::Writes) || how == How::LostBefore
    }

    pub(super) fn writes_status(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        status: &Arc<Status>,
        how: How,
    ) -> Result<Response<Object>, Broken> {
        let view = machine.view();
        if let Some(rejection) = self.rejection(operator, resource, view, how) {
            return Ok(Response::Rejected(rejection));
        }
        if self.is_unwritten(resource, how) {
            return Ok(Response::Unanswered { denied: false });
        }
        let Some(decision) = decision(machine) else { return Ok(Response::Unanswered { denied: false }) };
        if how == How::Late {
            let write =
                LateWrite { operator, resource, version: view.version, status: Arc::clone(status), decision: Arc::new(decision.clone()) };
            self.late.push(write);
            return Ok(Response::Unanswered { denied: false });
        }
        if self.scenario.careless.unwritten && laws::submits(decision) {
            return Ok(Response::Written(view.with_status(status)));
        }
        self.lands(operator, resource, decision, status)?;
        if how == How::LostAfter {
            return Ok(Response::Unanswered { denied: false });
        }
        Ok(Response::Written(self.resources[resource].now().clone()))
    }

    /// A status is written.
    pub(super) fn lands(
        &mut self,
        operator: usize,
        resource: usize,
        decision: &PendingDecision,
        status: &Arc<Status>,
    ) -> Result<(), Broken> {
        laws::write(self, operator, resource, decision, status)?;
        for (of, number) in laws::answered(self, resource, status) {
            let answered = &mut self.resource(of).answered;
            *answered = number.max(*answered);
        }
        if let Some(question) = laws::decided(self, resource, status) {
            self.resource(resource).decided.push(question);
        }
        let before = self.resources[resource].now().status.run.as_ref().map_or(0, |run| run.number);
        if let Some(run) = status.run.as_ref().filter(|run| run.number > before) {
            self.resource(resource).begun.push(run.trigger.clone());
        }
        if laws::submits(decision) {
            let desired = &self.resources[resource].now().edition.desired;
            let asked = (desired.work.digest.clone(), desired.token.clone());
            self.resource(resource).asked = Some(asked);
        }
        self.resource(resource).write_status(Arc::clone(status));
        self.late.retain(|write| write.resource != resource);
        self.show_all(resource);
        self.tell_followers(resource);
        Ok(())
    }

    /// The finalizer is added, or an annotation is removed.
    pub(super) fn writes_metadata(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        request: &Request<Object>,
        how: How,
    ) -> Response<Object> {
        if let Some(rejection) = self.rejection(operator, resource, machine.view(), how) {
            return Response::Rejected(rejection);
        }
        if self.is_unwritten(resource, how) {
            return Response::Unanswered { denied: false };
        }
        match request {
            Request::RemoveAnnotation(annotation) => self.resource(resource).bare(annotation),
            _ => self.resource(resource).finalize(true),
        }
        self.changed(resource);
        if how == How::LostAfter {
            return Response::Unanswered { denied: false };
        }
        Response::Written(self.resources[resource].now().clone())
    }

    pub(super) fn removes_finalizer(
        &mut self,
        operator: usize,
        resource: usize,
        machine: &Reconciliation<Object>,
        events: &[Event],
        how: How,
    ) -> Result<Response<Object>, Broken> {
        let view = machine.view().clone();
        // The resource may be gone before the response: what it claims stays its own, and nothing of it is followed any more.
        self.operators[operator].minds[resource].tracked = Some(view.clone());
        self.depart(operator, resource);
        self.operators[operator].minds[resource].tracked = None;
        if let Some(rejection) = self.rejection(operator, resource, &view, how) {
            return Ok(Response::Rejected(rejection));
        }
        if self.is_unwritten(resource, how) {
            return Ok(Response::Unanswered { denied: false });
        }
        laws::release(self, operator, resource, &view, events)?;
        let said = events.iter().any(|notice| notice.reason == Reason::Released);
        self.resource(resource).said |= said;
        self.resource(resource).finalize(false);
        self.changed(resource);
        Ok(if how == How::LostAfter { Response::Unanswered { denied: false } } else { Response::Removed })
    }

    /// The operator has changed the metadata of a resource.
    fn changed(&mut self, resource: usize) {
        self.late.retain(|write| write.resource != resource);
        self.show_all(resource);
    }
}
