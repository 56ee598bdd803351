//! The calls to the service, and their results.

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::{Model, Reason};
use tabular_operator::engine::reconcile::{DriverResponse, PlannedCall, Reconciliation};
use tabular_operator::engine::{Blocker, CheckFailure, CheckReport, EffectResult, Remedy};
use tabular_operator::operation::{
    CancelResult, ModelCheck, ModelExistence, ModelIds, ModelLookup, OperationId, OperationKind, PollResult, Request, ServiceError,
    ServiceErrorKind, SubmitResult,
};

use super::apply::{ids_of, index_of};
use super::driver::whole;
use super::object::Object;
use super::operator::decision;
use super::{Appearance, Op, Owner, PendingSubmission, RequestOutcome, Violation, Visibility, World};
use crate::invariants;
use crate::scenario::Impairment;

/// The error of a call that was lost.
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
        call: &PlannedCall,
        timeout: Option<Duration>,
        outcome: RequestOutcome,
    ) -> Result<DriverResponse<Object>, Violation> {
        let Some(decision) = decision(machine) else { return Ok(DriverResponse::TimedOut) };
        let (view, model) = (machine.view(), index_of(&decision.model));
        if outcome == RequestOutcome::TimedOut {
            return Ok(DriverResponse::TimedOut);
        }
        let lost = outcome == RequestOutcome::LostBefore;
        // The operation of a deleted resource is always shown as it is, because no record describes it.
        let of_deleted = |op: &Arc<Op>| matches!(op.owner, Owner::Run { resource: of, .. } if self.resources[of].is_deleted);
        let ours = if let RequestOutcome::ShownAs(appearance) = outcome
            && !self.service.ops.iter().any(of_deleted)
        {
            appearance
        } else {
            Appearance::Plain
        };
        let effect_result = match call {
            PlannedCall::Submit(request) => {
                let submission = self.submit((operator, resource), (view, model, request), timeout, outcome)?;
                if let Some(SubmitResult::Accepted { id, .. }) = &submission {
                    self.claim_accepted(operator, resource, (&decision.model.key(), id));
                }
                return Ok(submission
                    .map_or(DriverResponse::TimedOut, |submission| DriverResponse::Called(Box::new(EffectResult::Submitted(submission)))));
            }
            PlannedCall::Poll(..) if self.service.visibility != Visibility::All => EffectResult::Polled(PollResult::NotFound),
            PlannedCall::List(kind, _) if self.service.visibility != Visibility::All => EffectResult::Listed {
                kind: *kind,
                result: Err(service_error(ServiceErrorKind::NotFound)),
                claimed: self.claimed_by_others((operator, resource), (*kind, &decision.model.key()), []),
            },
            PlannedCall::FindModel if lost => EffectResult::ModelChecked(ModelExistence::Failed(service_error(SERVICE_ERROR))),
            PlannedCall::FindModel => EffectResult::ModelChecked(match self.service.visibility {
                Visibility::All => ModelExistence::Exists,
                Visibility::Deleted => ModelExistence::Absent,
                Visibility::Hidden => ModelExistence::Failed(service_error(ServiceErrorKind::NotFound)),
            }),
            PlannedCall::Poll(..) if lost => EffectResult::Polled(PollResult::Failed(service_error(SERVICE_ERROR))),
            PlannedCall::Poll(kind, operation) => EffectResult::Polled(self.poll(&operation.id, (model, *kind), ours)),
            PlannedCall::List(kind, since) => {
                let listing = || self.service.list((model, *kind), *since, (self.now, self.operators[operator].clock), ours);
                let mut result = if lost { Err(service_error(SERVICE_ERROR)) } else { Ok(listing()) };
                if let Ok(listing) = &mut result
                    && self.scenario.broken_rules.truncation
                {
                    (listing.truncated, listing.may_hide_running) = (false, false);
                }
                let ids = result.iter().flat_map(|listing| listing.operations.iter().map(|operation| &operation.id));
                let claimed = self.claimed_by_others((operator, resource), (*kind, &decision.model.key()), ids);
                EffectResult::Listed { kind: *kind, result, claimed }
            }
            PlannedCall::Cancel(id) => self.cancel(resource, (view, model), id, outcome)?,
            PlannedCall::ResolveModel if lost => EffectResult::ModelResolved(ModelLookup::Failed(service_error(SERVICE_ERROR))),
            PlannedCall::ResolveModel if self.impairment_of(resource) == Some(Impairment::UnmatchedNames) => {
                EffectResult::ModelResolved(ModelLookup::Ambiguous("no dataset is named Sales".to_owned()))
            }
            PlannedCall::ResolveModel => {
                let (group_id, dataset_id) = ids_of(self.service.named_model);
                EffectResult::ModelResolved(ModelLookup::Found(ModelIds { group_id, dataset_id }))
            }
        };
        Ok(DriverResponse::Called(Box::new(effect_result)))
    }

    /// What a check finds. It changes nothing.
    pub(super) fn check_report(&self, resource: usize, model: &Model, outcome: RequestOutcome) -> CheckReport {
        let message = || "Secret aas-sp is not in this namespace".to_owned();
        let missing =
            || CheckFailure::Blocked(Blocker { reason: Reason::SecretNotFound, message: message(), remedy: Remedy::ClusterChange });
        let failed = |kind| CheckFailure::CallFailed(service_error(kind));
        let (reached, failure) = match (self.impairment_of(resource), outcome, self.service.visibility) {
            (Some(Impairment::SecretDeleted), _, _) | (_, RequestOutcome::NotPrepared, _) => (0, Some(missing())),
            (Some(Impairment::Refused), _, _) => (1, Some(failed(ServiceErrorKind::CredentialsRefused))),
            (Some(Impairment::Throttled), _, _) => (2, Some(failed(ServiceErrorKind::Throttled))),
            (_, RequestOutcome::LostBefore, _) => (2, Some(failed(SERVICE_ERROR))),
            // Its time ends.
            (_, RequestOutcome::TimedOut, _) => (1, None),
            (Some(Impairment::UnmatchedNames), _, _) if model.names().is_some() => (2, Some(failed(ServiceErrorKind::NotFound))),
            (_, _, Visibility::Deleted | Visibility::Hidden) => (2, Some(failed(ServiceErrorKind::NotFound))),
            (_, _, Visibility::All) => (3, None),
        };
        CheckReport {
            identity: (reached > 0).then(|| "Secret aas-sp".to_owned()),
            model: ModelCheck {
                host: "westus.asazure.windows.net".to_owned(),
                token_lifetime: (reached > 1).then_some(Duration::from_hours(1)),
                response_time: (reached > 2).then_some(Duration::from_millis(84)),
                ids: None,
                listed: reached > 2,
            },
            failure,
        }
    }

    /// Submits; `None` if the timeout of the call passes first.
    fn submit(
        &mut self,
        (operator, resource): (usize, usize),
        (view, model, request): (&Object, u8, &Arc<Request>),
        timeout: Option<Duration>,
        outcome: RequestOutcome,
    ) -> Result<Option<SubmitResult>, Violation> {
        let unanswered = || Some(SubmitResult::Unknown { message: "no response".to_owned() });
        let Some(run) = view.status.run.as_ref() else { return Ok(unanswered()) };
        invariants::submission(self, operator, resource, (view, model))?;
        let owner = Owner::Run { resource, number: run.number, attempt: run.attempt };
        Ok(match outcome {
            RequestOutcome::Done if request.kind() == OperationKind::Sync && !self.scenario.replicas => {
                Some(SubmitResult::NothingToDo { message: "there is no read-only replica to synchronize".to_owned() })
            }
            RequestOutcome::Done
            | RequestOutcome::NotPrepared
            | RequestOutcome::ShownAs(_)
            | RequestOutcome::Slow(_)
            | RequestOutcome::Rejected(_) => Some(match self.service.accept(model, owner, request, self.now) {
                Some(id) => SubmitResult::Accepted { id, location: None, activity_id: None, retry_after: None },
                None if self.service.visibility != Visibility::All => SubmitResult::NotStarted(service_error(ServiceErrorKind::NotFound)),
                None => SubmitResult::Busy { message: "another refresh is running".to_owned() },
            }),
            RequestOutcome::LostBefore => unanswered(),
            RequestOutcome::LostAfter => {
                let _ = self.service.accept(model, owner, request, self.now);
                unanswered()
            }
            RequestOutcome::Late | RequestOutcome::TimedOut => {
                let by = self.now + timeout.map_or(self.scenario.call_timeout, whole);
                self.service.pending_submissions.push(PendingSubmission { model, owner, request: Arc::clone(request), by });
                None
            }
            RequestOutcome::Refused(kind) => Some(SubmitResult::NotStarted(service_error(kind))),
        })
    }

    fn poll(&self, id: &OperationId, (model, kind): (u8, OperationKind), ours: Appearance) -> PollResult {
        self.service.find_visible(id, kind, model).map_or(PollResult::NotFound, |op| PollResult::Found {
            operation: Box::new(self.service.describe(&self.service.ops[op], ours)),
            retry_after: None,
            location: None,
        })
    }

    fn cancel(
        &mut self,
        resource: usize,
        (view, model): (&Object, u8),
        id: &OperationId,
        outcome: RequestOutcome,
    ) -> Result<EffectResult, Violation> {
        invariants::cancellation(self, resource, view, id)?;
        let lost = || CancelResult::Failed(service_error(SERVICE_ERROR));
        let shown = self.service.find_visible(id, OperationKind::Refresh, model).filter(|_| self.service.visibility == Visibility::All);
        let op = shown.filter(|op| self.service.ops[*op].live());
        Ok(EffectResult::CancelRequested(match (outcome, op) {
            (RequestOutcome::LostBefore, _) => lost(),
            (_, None) => CancelResult::NotRunning,
            (_, Some(op)) => {
                self.service.change(op, |op| op.cancelling = true);
                if outcome == RequestOutcome::Done { CancelResult::Accepted } else { lost() }
            }
        }))
    }
}
