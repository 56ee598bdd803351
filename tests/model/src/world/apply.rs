//! The effect of an action on the operators, the service, the resources and the time.

use std::sync::Arc;

use jiff::Timestamp;
use tabular_operator::api::{Model, Reason, RunState, Status};
use tabular_operator::operation::{Phase, Request};

use super::object::Object;
use super::{Action, LEASE_HOLD, LateWrite, Leadership, Owner, PendingSubmission, Seconds, UserAction, Violation, World, timestamp};
use crate::invariants;
use crate::scenario::Impairment;

/// The index of a model that is known only by its names. No operation is on it.
const UNRESOLVED: u8 = u8::MAX;

/// The index of the first Power BI model. Those before it are in Analysis Services.
const POWER_BI: u8 = 2;

/// The index of a model.
#[must_use]
pub fn index_of(model: &Model) -> u8 {
    let database = model.analysis_services.as_ref().map(|model| model.database.as_str());
    let by_name = database.and_then(|name| name.strip_prefix("Model")?.parse().ok());
    let dataset = model.power_bi.as_ref().and_then(|model| model.dataset_id.as_deref());
    let by_id = || dataset.and_then(|id| id.rsplit('-').next()?.parse::<u8>().ok()).map(|number| POWER_BI + number);
    by_name.or_else(by_id).unwrap_or(UNRESOLVED)
}

/// The ids of the Power BI model with this number.
pub(crate) fn ids_of(number: u8) -> (String, String) {
    ("11111111-1111-4111-8111-111111111111".to_owned(), format!("22222222-2222-4222-8222-{number:012}"))
}

impl World {
    /// Applies an action.
    ///
    /// # Errors
    /// The violated invariant.
    pub fn apply(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Reconcile { operator, resource, age } => {
                self.budget.stale -= u8::from(age > 0);
                let due = self.operators[operator].states[resource].is_due(self.now);
                self.budget.spurious -= u8::from(!due);
                self.start_reconciliation(operator, resource, age)?;
            }
            Action::Perform { operator, resource, outcome } => self.perform(operator, resource, outcome)?,
            Action::Deliver { operator, resource } => self.deliver(operator, resource)?,
            Action::Abandon { operator, resource } => {
                self.budget.abandonments -= 1;
                self.abandon(operator, resource)?;
            }
            Action::PerformLateWrite { write } => {
                let LateWrite { operator, resource, version, status, decision } = self.late.remove(write);
                if !self.resources[resource].is_deleted && self.resources[resource].now().version == version {
                    self.record_status(operator, resource, &decision, &status)?;
                    self.mark_changed(resource);
                }
            }
            Action::Crash { operator } => {
                self.budget.crashes -= 1;
                self.operators[operator].restart(false);
            }
            Action::Exit { operator } => self.operators[operator].restart(true),
            Action::Start { operator } => {
                self.operators[operator].up = true;
                self.observe_drain(operator);
                self.rebuild(operator);
            }
            Action::Renew { operator, confirmed } => {
                self.lease.renewed = self.now;
                if confirmed {
                    self.observe_drain(operator);
                    self.operators[operator].leadership = Leadership::Leader { until: self.now + LEASE_HOLD };
                } else {
                    self.budget.calls -= 1;
                }
            }
            Action::AcquireLease { operator } => {
                self.lease = super::Lease { holder: operator, renewed: self.now };
                self.operators[operator].restart(true);
                self.observe_drain(operator);
                self.operators[operator].leadership = Leadership::Leader { until: self.now + LEASE_HOLD };
                self.rebuild(operator);
            }
            Action::User { resource, user_action } => {
                self.budget.user_actions -= 1;
                let now = self.now;
                self.resource(resource).apply_user_action(user_action, now);
                self.mark_changed(resource);
            }
            Action::DeleteNamespace => {
                self.budget.user_actions -= 1;
                let now = self.now;
                for resource in 0..self.resources.len() {
                    self.resource(resource).end_namespace(now);
                    self.mark_changed(resource);
                }
            }
            Action::RetargetNames => {
                self.budget.user_actions -= 1;
                self.service.named_model = 1 - self.service.named_model;
            }
            Action::Impair { impaired } => {
                self.budget.impairments -= u8::from(impaired);
                self.impaired = impaired;
                if self.scenario.impairment == Some(Impairment::InvalidSpec) {
                    // A fault of the spec changes only with the spec.
                    self.resource(0).edit(|spec| spec.history_limit = (spec.history_limit + 1) % 5 + 5);
                    self.mark_changed(0);
                }
            }
            Action::SetVisibility { visibility } => {
                self.budget.visibility_changes = self.budget.visibility_changes.saturating_sub(1);
                self.service.set_visibility(visibility);
            }
            Action::RequestDrain { .. }
            | Action::WithdrawDrain
            | Action::ObserveDrain { .. }
            | Action::CompleteDrain
            | Action::RemoveFinalizer { .. }
            | Action::Uninstall
            | Action::Install => self.apply_uninstall(action)?,
            Action::Tick => {
                let next = self.next_event_time().unwrap_or(self.now);
                self.advance(next);
            }
            Action::Delay { by } => {
                self.budget.delays -= 1;
                self.advance(self.now + by);
            }
            Action::StepClock { operator, by } => {
                self.budget.clock_steps -= 1;
                self.operators[operator].clock += by;
            }
            Action::EndOperation { .. }
            | Action::ShowOperation { .. }
            | Action::LoseOperation { .. }
            | Action::DeliverSubmission { .. }
            | Action::OtherClient { .. } => {
                self.apply_to_service(action);
            }
        }
        self.detach_deleted();
        invariants::always(self)
    }

    /// Applies an action of the service.
    fn apply_to_service(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::EndOperation { op, phase } => {
                let by_itself = phase == Phase::Succeeded || (phase == Phase::Cancelled && self.service.ops[op].cancelling);
                self.budget.failures -= u8::from(!by_itself);
                self.service.change(op, |op| op.ended = Some((now, phase)));
            }
            Action::ShowOperation { op } => self.service.change(op, |op| op.visible = true),
            Action::LoseOperation { op } => {
                self.budget.lost_operations -= 1;
                self.service.change(op, |op| op.lost = true);
            }
            Action::DeliverSubmission { submission } => {
                let PendingSubmission { model, owner, request, .. } = self.service.pending_submissions.remove(submission);
                // The model is busy if another operation was first. The client gets no response.
                let _ = self.service.accept(model, owner, &request, now);
            }
            Action::OtherClient { model, request, appearance } => {
                self.budget.other_operations -= 1;
                let on_it = (0..self.resources.len()).find(|resource| self.model_of(*resource) == model);
                let ours =
                    on_it.map_or(Request::Sync, |resource| self.resources[resource].now().revision.desired.operation.request.clone());
                if self.service.accept(model, Owner::OtherClient, &Arc::new(request.beside(&ours)), now).is_some() {
                    self.service.change(self.service.ops.len() - 1, |op| op.appearance = appearance);
                }
            }
            _ => {}
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, to: Seconds) {
        self.now = to;
        self.service.advance(to);
    }

    /// A user has changed a resource, so the operators' watches show it.
    pub(crate) fn mark_changed(&mut self, resource: usize) {
        for operator in &mut self.operators {
            operator.states[resource].dirty = true;
        }
        self.late.retain(|write| write.resource != resource || write.version == self.resources[resource].now().version);
        self.update_all_claims(resource);
    }

    /// A refresh has changed, so its dependents are reconciled.
    pub(super) fn notify_dependents(&mut self, resource: usize) {
        let name = format!("resource-{resource}");
        let depends = |other: &&usize| self.resources[**other].now().revision.manifest.upstream_name() == Some(name.as_str());
        let all: Vec<usize> = (0..self.resources.len()).collect();
        for other in all.iter().filter(depends).copied().collect::<Vec<_>>() {
            self.mark_changed(other);
        }
    }

    /// The time by the operator's wall clock.
    pub(crate) fn wall(&self, operator: usize) -> Timestamp {
        timestamp(self.now + self.operators[operator].clock)
    }

    /// Whether the API server accepts a write of this view.
    pub(super) fn is_current(&self, resource: usize, view: &Object) -> bool {
        let it = &self.resources[resource];
        !it.is_deleted && (it.now().version == view.version || self.scenario.broken_rules.version)
    }

    /// Applies a user action that is not part of the budget, in a continuation without faults.
    pub(crate) fn apply_user_action(&mut self, resource: usize, user_action: UserAction) {
        let now = self.now;
        self.resource(resource).apply_user_action(user_action, now);
        self.mark_changed(resource);
    }
}

/// Whether a user must decide what a submission started.
#[must_use]
pub fn is_unresolved(status: &Status) -> bool {
    status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting && run.reason == Reason::SubmissionUnknown.as_str())
}
