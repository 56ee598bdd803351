//! A driver of the real machine, `tabular_operator::engine::reconcile::Reconciliation`. It performs the requests one by one and decides
//! nothing. It responds to local requests immediately; the others have an outcome ([`RequestOutcome`]).

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::{Reason, Time};
use tabular_operator::engine::reconcile::{
    DriverRequest, DriverResponse, Finish, InMemoryState, Observed, Outcome, ReadFailed, Reconciliation, Stage, Tracking, View,
};
use tabular_operator::engine::{Blocker, Decision, DecisionInput, DecisionMemory, EffectResult, External, Remedy, Turn, Upstream, decide};
use tabular_operator::operation::{ServiceError, ServiceErrorKind};

use super::object::Object;
use super::operator::{Existence, decision};
use super::{Pending, RequestOutcome, SUBMIT_MARGIN, Seconds, Task, Violation, World};
use crate::invariants;
use crate::scenario::Impairment;

impl World {
    /// Starts a reconciliation on a view that is `age` versions old.
    pub(super) fn start_reconciliation(&mut self, operator: usize, resource: usize, age: usize) -> Result<(), Violation> {
        let (wall, settings) = (self.wall(operator), Arc::clone(&self.settings));
        let view = self.resources[resource].aged(age).clone();
        let state = &mut self.operators[operator].states[resource];
        // After a stale view, the watch shows the newest version soon.
        (state.dirty, state.due) = (age > 0, None);
        let in_memory = std::mem::take(&mut state.in_memory);
        let machine = match state.tracked.clone().filter(|_| state.existence == Existence::Detached) {
            Some(tracked) => Reconciliation::detached(tracked, in_memory, settings),
            None => Reconciliation::new(view, in_memory, settings),
        };
        self.drive(operator, resource, machine, DriverResponse::Start(wall))
    }

    /// Delivers the response to the last request.
    pub(super) fn deliver(&mut self, operator: usize, resource: usize) -> Result<(), Violation> {
        let Some(task) = self.operators[operator].states[resource].task.take() else { return Ok(()) };
        match Arc::unwrap_or_clone(task) {
            Task { machine, pending: Pending::Response(response) } => self.drive(operator, resource, machine, response),
            Task { pending: Pending::Request(_), .. } => Ok(()),
        }
    }

    /// Stops the driver: after a timeout or a panic, or because its future is dropped.
    pub(super) fn abandon(&mut self, operator: usize, resource: usize) -> Result<(), Violation> {
        let Some(task) = self.operators[operator].states[resource].task.take() else { return Ok(()) };
        Self::cover_abandonment();
        let outcome = Arc::unwrap_or_clone(task).machine.abandon(self.wall(operator));
        self.apply_outcome(operator, resource, outcome)
    }

    /// Passes a response to the machine.
    fn drive(
        &mut self,
        operator: usize,
        resource: usize,
        mut machine: Reconciliation<Object>,
        response: DriverResponse<Object>,
    ) -> Result<(), Violation> {
        Self::cover_response(&machine, &response);
        let request = machine.handle(response);
        self.run_machine(operator, resource, machine, request)
    }

    /// Responds to local requests until another one must be performed. The observation immediately before a call belongs to the call.
    fn run_machine(
        &mut self,
        operator: usize,
        resource: usize,
        mut machine: Reconciliation<Object>,
        mut request: DriverRequest<Object>,
    ) -> Result<(), Violation> {
        loop {
            let response = match request {
                DriverRequest::Observe if !matches!(machine.state().stage, Stage::Checking(_)) => {
                    DriverResponse::Observed(Box::new(self.observed(operator, resource, &machine)))
                }
                DriverRequest::AcquireTurn { model, since } => DriverResponse::Turn(match &self.scenario.scripted.ahead {
                    Some(other) => Turn::Behind(other.clone()),
                    None => self.acquire_turn(operator, resource, &model, since),
                }),
                DriverRequest::Reserve { model, id } => {
                    DriverResponse::Reserved { claimed: !self.try_reserve(operator, resource, Some((&model, &id))) }
                }
                DriverRequest::Publish { events, .. } => {
                    if let Some(Ok(mut log)) = self.scenario.scripted.events.as_ref().map(|log| log.lock()) {
                        log.extend(events);
                    }
                    DriverResponse::Published
                }
                DriverRequest::Done(outcome) => return self.apply_outcome(operator, resource, *outcome),
                request @ (DriverRequest::Observe
                | DriverRequest::Read { .. }
                | DriverRequest::ReadNamespace
                | DriverRequest::Prepare { .. }
                | DriverRequest::WriteStatus { .. }
                | DriverRequest::AddFinalizer
                | DriverRequest::RemoveAnnotation(_)
                | DriverRequest::RemoveFinalizer { .. }
                | DriverRequest::Call { .. }
                | DriverRequest::RunCheck { .. }) => {
                    if let Some(decision) = decision(&machine) {
                        invariants::freshness(self, operator, resource, machine.view())?;
                        invariants::decision(self, operator, resource, machine.view(), decision)?;
                    }
                    let task = Task { machine, pending: Pending::Request(request) };
                    self.operators[operator].states[resource].task = Some(Arc::new(task));
                    return Ok(());
                }
            };
            Self::cover_response(&machine, &response);
            request = machine.handle(response);
        }
    }

    /// The facts outside a resource.
    fn observed(&mut self, operator: usize, resource: usize, machine: &Reconciliation<Object>) -> Observed {
        let view = machine.view();
        let adopt_claimed = self.adopt_claimed(operator, resource, view);
        let external = self.external(operator, resource, view);
        let intent = view.status.run.as_ref().and_then(|run| run.submitted_time).map(Time::timestamp);
        let ignores_deadline = self.scenario.broken_rules.deadline && matches!(machine.state().stage, Stage::Checking(_));
        Observed {
            now: intent.filter(|_| ignores_deadline).unwrap_or_else(|| self.wall(operator)),
            is_leader: self.leads(operator),
            may_submit: self.leads_for(operator, SUBMIT_MARGIN),
            blocker: external.blocker,
            upstream: external.upstream,
            drain: external.drain.filter(|_| !self.scenario.broken_rules.drain),
            adopt_claimed: adopt_claimed || external.adopt_claimed,
        }
    }

    /// The facts outside a resource that its operator observes.
    pub(crate) fn external(&self, operator: usize, resource: usize, view: &Object) -> External {
        let scripted = &self.scenario.scripted.external;
        let invalid = || Blocker { reason: Reason::InvalidSpec, message: "the spec is invalid".to_owned(), remedy: Remedy::SpecChange };
        let is_invalid = self.impairment_of(resource) == Some(Impairment::InvalidSpec);
        External {
            blocker: scripted.blocker.clone().or_else(|| is_invalid.then(invalid)),
            upstream: scripted.upstream.clone().or_else(|| self.upstream_of(view)),
            drain: self.operators[operator].observed_drain,
            adopt_claimed: scripted.adopt_claimed,
            ..External::default()
        }
    }

    /// The upstream refresh of a resource.
    pub(crate) fn upstream_of(&self, view: &Object) -> Option<Upstream> {
        let index: usize = view.revision.manifest.upstream_name()?.strip_prefix("resource-")?.parse().ok()?;
        self.resources.get(index)?.as_upstream()
    }

    /// Makes a decision, outside of any reconciliation.
    pub(crate) fn decide(
        &self,
        (operator, resource): (usize, usize),
        view: &Object,
        memory: &DecisionMemory,
        effect_result: EffectResult,
    ) -> Decision {
        decide(&DecisionInput {
            desired: &view.desired(self.external(operator, resource, view)),
            status: &view.status,
            memory,
            effect_result,
            now: self.wall(operator),
            settings: &self.settings,
        })
    }

    /// Performs the request of a reconciliation.
    pub(super) fn perform(&mut self, operator: usize, resource: usize, outcome: RequestOutcome) -> Result<(), Violation> {
        let Some(task) = self.operators[operator].states[resource].task.take() else { return Ok(()) };
        let is_committed = task.is_committed();
        let Task { mut machine, pending } = Arc::unwrap_or_clone(task);
        let Pending::Request(mut request) = pending else { return Ok(()) };
        self.spend(&machine, &request, outcome);
        if matches!(request, DriverRequest::Observe) {
            let observed = DriverResponse::Observed(Box::new(self.observed(operator, resource, &machine)));
            Self::cover_response(&machine, &observed);
            request = machine.handle(observed);
            if !matches!(request, DriverRequest::Call { .. }) {
                return self.run_machine(operator, resource, machine, request);
            }
        }
        let response = match &request {
            DriverRequest::Read { .. } if outcome == RequestOutcome::LostBefore => DriverResponse::Read(Err(ReadFailed)),
            DriverRequest::Read { .. } => {
                let it = &self.resources[resource];
                DriverResponse::Read(Ok((!it.is_deleted).then(|| it.now().clone())))
            }
            DriverRequest::ReadNamespace => DriverResponse::Namespace {
                terminating: outcome != RequestOutcome::LostBefore && self.resources[resource].namespace_terminating,
            },
            DriverRequest::Prepare { .. } => self.prepare(resource, outcome),
            DriverRequest::WriteStatus { status, .. } => self.write_status_of(operator, resource, &machine, status, outcome)?,
            DriverRequest::AddFinalizer | DriverRequest::RemoveAnnotation(_) => {
                self.write_metadata(operator, resource, &machine, &request, outcome)
            }
            DriverRequest::RemoveFinalizer { events } => self.remove_finalizer(operator, resource, &machine, events, outcome)?,
            DriverRequest::Call { call, timeout } => self.call((operator, resource), &machine, call, *timeout, outcome)?,
            DriverRequest::RunCheck { model, .. } => DriverResponse::CheckCompleted(Box::new(self.check_report(resource, model, outcome))),
            DriverRequest::Observe
            | DriverRequest::Reserve { .. }
            | DriverRequest::AcquireTurn { .. }
            | DriverRequest::Publish { .. }
            | DriverRequest::Done(_) => {
                return Ok(());
            }
        };
        if is_committed && self.budget.abandonments == 0 {
            return self.drive(operator, resource, machine, response);
        }
        self.operators[operator].states[resource].task = Some(Arc::new(Task { machine, pending: Pending::Response(response) }));
        Ok(())
    }

    /// Responds to the request of a reconciliation without performing it.
    pub(crate) fn answer(&mut self, operator: usize, resource: usize, response: DriverResponse<Object>) -> Result<(), Violation> {
        let Some(task) = self.operators[operator].states[resource].task.take() else { return Ok(()) };
        self.drive(operator, resource, Arc::unwrap_or_clone(task).machine, response)
    }

    /// The response that will be delivered to a reconciliation, for a change.
    pub(crate) fn response(&mut self, operator: usize, resource: usize) -> Option<&mut DriverResponse<Object>> {
        match &mut Arc::make_mut(self.operators[operator].states[resource].task.as_mut()?).pending {
            Pending::Response(response) => Some(response),
            Pending::Request(_) => None,
        }
    }

    fn spend(&mut self, machine: &Reconciliation<Object>, request: &DriverRequest<Object>, outcome: RequestOutcome) {
        let budget = match outcome {
            RequestOutcome::Done => return,
            RequestOutcome::ShownAs(_) => &mut self.budget.appearances,
            RequestOutcome::NotPrepared => &mut self.budget.unprepared,
            RequestOutcome::Slow(_) => &mut self.budget.delays,
            _ if matches!(request, DriverRequest::Observe) && decision(machine).is_some_and(invariants::submits) => {
                &mut self.budget.submissions
            }
            _ => &mut self.budget.calls,
        };
        *budget -= 1;
    }

    fn prepare(&mut self, resource: usize, outcome: RequestOutcome) -> DriverResponse<Object> {
        let secret = || {
            let message = "Secret aas-sp is not in this namespace".to_owned();
            EffectResult::Blocked(Blocker { reason: Reason::SecretNotFound, message, remedy: Remedy::ClusterChange })
        };
        let service_error = |kind| EffectResult::CallFailed(ServiceError::new(kind, format!("{kind:?}")));
        let effect_result = match (self.impairment_of(resource), outcome) {
            (Some(Impairment::Throttled), _) => service_error(ServiceErrorKind::Throttled),
            (Some(Impairment::Refused), _) => service_error(ServiceErrorKind::CredentialsRefused),
            (Some(Impairment::SecretDeleted), _) | (_, RequestOutcome::NotPrepared) => secret(),
            (_, RequestOutcome::TimedOut) => return DriverResponse::TimedOut,
            (_, RequestOutcome::Slow(by)) => {
                self.advance(self.now + by);
                return DriverResponse::Prepared;
            }
            _ => return DriverResponse::Prepared,
        };
        DriverResponse::NotPrepared(Box::new(effect_result))
    }

    /// Applies the outcome of a reconciliation.
    fn apply_outcome(&mut self, operator: usize, resource: usize, outcome: Outcome<Object>) -> Result<(), Violation> {
        let Outcome { finish, view, in_memory, queue, tracking } = outcome;
        let now = self.now;
        let state = &mut self.operators[operator].states[resource];
        state.known = view.version.max(state.known);
        state.in_memory = in_memory;
        let is_detached = state.existence == Existence::Detached;
        match tracking {
            _ if is_detached => state.tracked = Some(view),
            Tracking::Track => state.tracked = Some(view),
            Tracking::Untrack => state.tracked = None,
            Tracking::Keep => {}
        }
        match finish {
            Finish::Settled { requeue } if is_detached => state.due = Some(now + requeue.map_or(DETACHED_DELAY, whole).max(1)),
            Finish::Settled { requeue } => state.due = requeue.map(|delay| now + whole(delay)),
            // After a conflict it is reconciled immediately, and after a failure soon.
            Finish::Conflict => state.dirty = true,
            Finish::Failed => state.due = Some(now + whole(state.in_memory.after_failure())),
            Finish::FinalizerRemoved | Finish::Gone | Finish::Unresolvable => state.in_memory = InMemoryState::default(),
        }
        if is_detached {
            if matches!(finish, Finish::FinalizerRemoved | Finish::Unresolvable) {
                (state.existence, state.tracked, state.due) = (Existence::Forgotten, None, None);
                self.resource(resource).reported |= finish == Finish::Unresolvable;
            }
            return Ok(());
        }
        self.update_queue(operator, resource, &queue);
        invariants::turn(self, operator, resource)
    }
}

/// The delay of a detached reconciliation that requests none.
const DETACHED_DELAY: Seconds = 5;

/// Whole seconds, rounded up.
pub(super) fn whole(delay: Duration) -> Seconds {
    // From nanoseconds, because a delay of less than a millisecond is still a delay.
    Seconds::try_from(delay.as_nanos().div_ceil(1_000_000_000)).unwrap_or(Seconds::MAX)
}
