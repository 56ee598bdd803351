//! The calls to the service, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::engine::Observation;
use tabular_operator::engine::reconcile::{Call, Reconciliation, Response};
use tabular_operator::operation::{
    CancelResult, ModelIds, ModelLookup, OperationId, OperationKind, PollResult, Presence, Request, ServiceError, ServiceErrorKind,
    Submission,
};

use super::cluster::Object;
use super::driver::whole;
use super::operator::decision;
use super::play::{ids_of, index_of};
use super::{Broken, Guise, How, Op, Owner, Post, Sight, World};
use crate::laws;

/// What a call that brought nothing is told as.
const SERVICE_ERROR: ServiceErrorKind = ServiceErrorKind::Unreachable;

/// An error of this kind.
fn service_error(kind: ServiceErrorKind) -> ServiceError {
    ServiceError::new(kind, format!("{kind:?}"))
}

impl World {
    /// Makes one call.
    pub(super) fn call(
        &mut self,
        (operator, resource): (usize, usize),
        machine: &Reconciliation<Object>,
        call: &Call,
        timeout: Option<Duration>,
        how: How,
    ) -> Result<Response<Object>, Broken> {
        let Some(decision) = decision(machine) else { return Ok(Response::TimedOut) };
        let (view, model) = (machine.view(), index_of(&decision.model));
        if how == How::TimedOut {
            return Ok(Response::TimedOut);
        }
        let lost = how == How::LostBefore;
        // Of a resource that is gone, what the service shows is all that is known: none of it is shown otherwise than it is.
        let of_gone = |op: &Arc<Op>| matches!(op.owner, Owner::Run { resource: of, .. } if self.resources[of].gone);
        let ours = if let How::Shown(guise) = how
            && !self.service.ops.iter().any(of_gone)
        {
            guise
        } else {
            Guise::Plain
        };
        let seen = match call {
            Call::Submit(request) => {
                let submission = self.submit((operator, resource), (view, model, request), timeout, how)?;
                return Ok(
                    submission.map_or(Response::TimedOut, |submission| Response::Called(Box::new(Observation::Submission(submission))))
                );
            }
            Call::Poll(..) if self.service.sight != Sight::All => Observation::Polled(PollResult::NotFound),
            Call::List(kind, _) if self.service.sight != Sight::All => Observation::Listed {
                kind: *kind,
                result: Err(service_error(ServiceErrorKind::NotFound)),
                claimed: self.taken((operator, resource), (*kind, &decision.model.key()), []),
            },
            Call::FindModel if lost => Observation::ModelChecked(Presence::Failed(service_error(SERVICE_ERROR))),
            Call::FindModel => Observation::ModelChecked(match self.service.sight {
                Sight::All => Presence::Exists,
                Sight::Deleted => Presence::Absent,
                Sight::Hidden => Presence::Failed(service_error(ServiceErrorKind::NotFound)),
            }),
            Call::Poll(..) if lost => Observation::Polled(PollResult::Failed(service_error(SERVICE_ERROR))),
            Call::Poll(kind, operation) => Observation::Polled(self.look(&operation.id, (model, *kind), ours)),
            Call::List(kind, since) => {
                let listing = || self.service.list((model, *kind), *since, (self.now, self.operators[operator].clock), ours);
                let mut result = if lost { Err(service_error(SERVICE_ERROR)) } else { Ok(listing()) };
                if let Ok(listing) = &mut result
                    && self.scenario.careless.truncation
                {
                    (listing.truncated, listing.may_hide_running) = (false, false);
                }
                let ids = result.iter().flat_map(|listing| listing.operations.iter().map(|operation| &operation.id));
                let taken = self.taken((operator, resource), (*kind, &decision.model.key()), ids);
                Observation::Listed { kind: *kind, result, claimed: taken }
            }
            Call::Cancel(id) => self.cancel(resource, (view, model), id, how)?,
            Call::ResolveModel if lost => Observation::ModelResolved(ModelLookup::Failed(service_error(SERVICE_ERROR))),
            Call::ResolveModel => {
                let (group_id, dataset_id) = ids_of(self.service.named);
                Observation::ModelResolved(ModelLookup::Found(ModelIds { group_id, dataset_id }))
            }
        };
        Ok(Response::Called(Box::new(seen)))
    }

    /// Submits; `None` where the timeout of the call passes first.
    fn submit(
        &mut self,
        (operator, resource): (usize, usize),
        (view, model, request): (&Object, u8, &Arc<Request>),
        timeout: Option<Duration>,
        how: How,
    ) -> Result<Option<Submission>, Broken> {
        let unanswered = || Some(Submission::Unknown { message: "no answer".to_owned() });
        let Some(run) = view.status.run.as_ref() else { return Ok(unanswered()) };
        laws::submission(self, operator, resource, (view, model))?;
        let owner = Owner::Run { resource, number: run.number, attempt: run.attempt };
        Ok(match how {
            How::Well | How::Unprepared | How::Shown(_) | How::Slow(_) | How::Rejected(_) => {
                Some(match self.service.take(model, owner, request, self.now) {
                    Some(id) => Submission::Accepted { id, location: None, activity_id: None, retry_after: None },
                    None if self.service.sight != Sight::All => Submission::NotStarted(service_error(ServiceErrorKind::NotFound)),
                    None => Submission::Busy { message: "another refresh is running".to_owned() },
                })
            }
            How::LostBefore => unanswered(),
            How::LostAfter => {
                let _ = self.service.take(model, owner, request, self.now);
                unanswered()
            }
            How::Late | How::TimedOut => {
                let by = self.now + timeout.map_or(self.scenario.call_timeout, whole);
                self.service.posts.push(Post { model, owner, request: Arc::clone(request), by });
                None
            }
            How::Refused(kind) => Some(Submission::NotStarted(service_error(kind))),
        })
    }

    fn look(&self, id: &OperationId, (model, kind): (u8, OperationKind), ours: Guise) -> PollResult {
        self.service.shown(id, kind, model).map_or(PollResult::NotFound, |op| PollResult::Found {
            operation: Box::new(self.service.describe(&self.service.ops[op], ours)),
            retry_after: None,
            location: None,
        })
    }

    fn cancel(&mut self, resource: usize, (view, model): (&Object, u8), id: &OperationId, how: How) -> Result<Observation, Broken> {
        laws::cancellation(self, resource, view, id)?;
        let lost = || CancelResult::Failed(service_error(SERVICE_ERROR));
        let shown = self.service.shown(id, OperationKind::Refresh, model).filter(|_| self.service.sight == Sight::All);
        let op = shown.filter(|op| self.service.ops[*op].live());
        Ok(Observation::CancelRequested(match (how, op) {
            (How::LostBefore, _) => lost(),
            (_, None) => CancelResult::NotRunning,
            (_, Some(op)) => {
                self.service.change(op, |op| op.cancelling = true);
                if how == How::Well { CancelResult::Accepted } else { lost() }
            }
        }))
    }
}
