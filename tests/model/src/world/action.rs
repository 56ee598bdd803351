//! The actions that are possible next.

use std::time::Duration;

use tabular_operator::engine::DrainMode;
use tabular_operator::engine::reconcile::{DriverRequest, NextEffect, PlannedCall, Rejection};
use tabular_operator::operation::{OperationKind, Phase, ServiceErrorKind};

use super::object::Object;
use super::operator::Existence;
use super::{
    Appearance, ClientRequest, LEASE_DURATION, LEASE_HOLD, Leadership, Pending, Seconds, Task, Uninstall, UserAction, Visibility, World,
};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// It is performed, and its response arrives.
    Done,
    /// It is lost before it is performed.
    LostBefore,
    /// It is performed, and its response is lost.
    LostAfter,
    /// Its response is lost, and it is performed later, or never.
    Late,
    /// The service refuses it.
    Refused(ServiceErrorKind),
    /// The API server rejects the write.
    Rejected(Rejection),
    /// The call cannot be prepared: a Secret is missing.
    NotPrepared,
    /// The preparation takes this many seconds.
    Slow(Seconds),
    /// Its timeout passes first.
    TimedOut,
    /// The response shows the operator's own operations like this.
    ShownAs(Appearance),
}

/// An action. The fields are indices, and times in seconds.
#[allow(missing_docs)] // the names are self-explanatory
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator starts a reconciliation of a resource, on a view that is `age` versions old.
    Reconcile { operator: usize, resource: usize, age: usize },
    /// The request of a reconciliation is performed.
    Perform { operator: usize, resource: usize, outcome: RequestOutcome },
    /// The response is delivered to the reconciliation.
    Deliver { operator: usize, resource: usize },
    /// The driver of a reconciliation stops: after a timeout or a panic, or because its future is dropped.
    Abandon { operator: usize, resource: usize },
    /// A status write without a response is performed late.
    PerformLateWrite { write: usize },
    /// SIGKILL.
    Crash { operator: usize },
    /// An operator starts.
    Start { operator: usize },
    /// The holder renews the Lease. The response is lost if `confirmed` is false.
    Renew { operator: usize, confirmed: bool },
    /// A candidate acquires the Lease.
    AcquireLease { operator: usize },
    /// A process whose Lease has expired exits, and restarts as a candidate.
    Exit { operator: usize },
    /// An operation ends.
    EndOperation { op: usize, phase: Phase },
    /// The service starts to show an operation.
    ShowOperation { op: usize },
    /// The service loses an operation.
    LoseOperation { op: usize },
    /// A late submission arrives.
    DeliverSubmission { submission: usize },
    /// Another client starts a refresh.
    OtherClient { model: u8, request: ClientRequest, appearance: Appearance },
    /// A user acts.
    User { resource: usize, user_action: UserAction },
    /// The namespace is deleted, with all its resources.
    DeleteNamespace,
    /// The names of a model refer to another model from now on.
    RetargetNames,
    /// The first resource becomes impaired, or recovers.
    Impair { impaired: bool },
    /// The models are deleted, hidden, or visible again.
    SetVisibility { visibility: Visibility },
    /// An uninstall requests a drain.
    RequestDrain { mode: DrainMode },
    /// The drain is withdrawn.
    WithdrawDrain,
    /// An operator observes the drain, or its withdrawal.
    ObserveDrain { operator: usize },
    /// No operation is running: the drain completes.
    CompleteDrain,
    /// The uninstall removes the finalizer, unless the resource has changed since it was listed.
    RemoveFinalizer { resource: usize },
    /// The operator is removed.
    Uninstall,
    /// The operator is installed again.
    Install,
    /// Time passes until something is due.
    Tick,
    /// Time passes although something is due: the operators are late.
    Delay { by: Seconds },
    /// The wall clock of an operator steps.
    StepClock { operator: usize, by: Seconds },
}

impl World {
    /// All actions that are possible next.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::with_capacity(16);
        if let Some((operator, resource)) = self.committed() {
            self.steps_of(operator, resource, &mut actions);
            return actions;
        }
        for operator in 0..self.operators.len() {
            self.of_operator(operator, &mut actions);
        }
        self.of_service(&mut actions);
        if self.budget.user_actions > 0 {
            for (resource, object) in self.resources.iter().enumerate() {
                let may = self.scenario.user_actions.iter().filter(|user_action| object.allows(**user_action));
                actions.extend(may.map(|user_action| Action::User { resource, user_action: *user_action }));
            }
            if self.scenario.deletes_namespace && self.resources.iter().any(|object| !object.is_deleted && object.deleted.is_none()) {
                actions.push(Action::DeleteNamespace);
            }
            if self.scenario.retargets_names {
                actions.push(Action::RetargetNames);
            }
        }
        if self.budget.impairments > 0 && self.scenario.impairment.is_some() && !self.impaired {
            actions.push(Action::Impair { impaired: true });
        }
        if self.budget.visibility_changes > 0 {
            let others = self.scenario.visibility_changes.iter().filter(|visibility| **visibility != self.service.visibility);
            actions.extend(others.map(|visibility| Action::SetVisibility { visibility: *visibility }));
        }
        self.of_uninstall(&mut actions);
        self.of_time(&mut actions);
        actions
    }

    /// The reconciliation that has just decided. Its requests before the effect are performed before anything else happens.
    fn committed(&self) -> Option<(usize, usize)> {
        let committed = |(_, state): &(usize, &super::ResourceState)| state.task.as_ref().is_some_and(|task| task.is_committed());
        let of = |(index, operator): (usize, &super::Operator)| {
            operator.states.iter().enumerate().find(committed).map(|(state, _)| (index, state))
        };
        self.operators.iter().enumerate().find_map(of)
    }

    /// The possible steps of the reconciliation in progress.
    fn steps_of(&self, operator: usize, resource: usize, actions: &mut Vec<Action>) {
        let Some(task) = &self.operators[operator].states[resource].task else { return };
        if self.budget.abandonments > 0 {
            actions.push(Action::Abandon { operator, resource });
        }
        match &task.pending {
            Pending::Response(_) => actions.push(Action::Deliver { operator, resource }),
            Pending::Request(request) => {
                actions.extend(self.request_outcomes(operator, resource, task, request).into_iter().map(|outcome| Action::Perform {
                    operator,
                    resource,
                    outcome,
                }));
            }
        }
    }

    /// The possible outcomes of a request.
    fn request_outcomes(&self, operator: usize, resource: usize, task: &Task, request: &DriverRequest<Object>) -> Vec<RequestOutcome> {
        let (mut outcomes, calls) = (vec![RequestOutcome::Done], self.budget.calls > 0);
        if self.impairment_of(resource).is_some() {
            return outcomes;
        }
        let times_out = |timeout: Option<Duration>| timeout.filter(|_| calls).map(|_| RequestOutcome::TimedOut);
        match request {
            DriverRequest::Prepare { timeout, .. } => {
                outcomes.extend((self.budget.unprepared > 0).then_some(RequestOutcome::NotPrepared));
                outcomes.extend(self.scenario.delay_lengths.iter().filter(|_| self.budget.delays > 0).map(|by| RequestOutcome::Slow(*by)));
                outcomes.extend(times_out(*timeout));
            }
            DriverRequest::WriteStatus { .. } if !calls || !self.leads(operator) || !self.is_current(resource, task.machine.view()) => {}
            DriverRequest::WriteStatus { .. } => {
                outcomes.extend([RequestOutcome::LostBefore, RequestOutcome::LostAfter]);
                outcomes.extend(self.scenario.late_writes.then_some(RequestOutcome::Late));
                outcomes.extend(self.scenario.rejections.iter().map(|rejection| RequestOutcome::Rejected(*rejection)));
            }
            // A call, after the observation immediately before it.
            DriverRequest::Observe => {
                let decision = task.decision();
                if let Some(NextEffect::Call(call)) = decision.map(|decision| &decision.effect) {
                    self.call_outcomes(call, &mut outcomes);
                    if !matches!(call, PlannedCall::Submit(_)) {
                        outcomes.extend(times_out(decision.and_then(|decision| decision.deadline).map(|_| Duration::ZERO)));
                    }
                }
            }
            DriverRequest::Call { call, .. } => self.call_outcomes(call, &mut outcomes),
            DriverRequest::RunCheck { .. } => {
                outcomes.extend(calls.then_some([RequestOutcome::LostBefore, RequestOutcome::TimedOut]).into_iter().flatten());
                outcomes.extend((self.budget.unprepared > 0).then_some(RequestOutcome::NotPrepared));
            }
            DriverRequest::Read { .. } | DriverRequest::ReadNamespace => outcomes.extend(calls.then_some(RequestOutcome::LostBefore)),
            DriverRequest::AddFinalizer | DriverRequest::RemoveAnnotation(_) | DriverRequest::RemoveFinalizer { .. } if calls => {
                outcomes.extend([RequestOutcome::LostBefore, RequestOutcome::LostAfter]);
                outcomes.extend(self.scenario.rejections.iter().map(|rejection| RequestOutcome::Rejected(*rejection)));
            }
            DriverRequest::AddFinalizer | DriverRequest::RemoveAnnotation(_) | DriverRequest::RemoveFinalizer { .. } => {}
            DriverRequest::Reserve { .. } | DriverRequest::AcquireTurn { .. } | DriverRequest::Publish { .. } | DriverRequest::Done(_) => {}
        }
        outcomes
    }

    /// The possible outcomes of a call.
    fn call_outcomes(&self, call: &PlannedCall, outcomes: &mut Vec<RequestOutcome>) {
        let calls = self.budget.calls > 0;
        match call {
            PlannedCall::Submit(_) if self.budget.submissions > 0 => outcomes.extend(&self.scenario.submission_outcomes),
            PlannedCall::Submit(_) => {}
            PlannedCall::Cancel(_) if calls => outcomes.extend([RequestOutcome::LostBefore, RequestOutcome::LostAfter]),
            PlannedCall::Cancel(_) => {}
            PlannedCall::Poll(..) | PlannedCall::List(..) | PlannedCall::FindModel | PlannedCall::ResolveModel => {
                outcomes.extend(calls.then_some(RequestOutcome::LostBefore));
                if self.budget.appearances > 0 && matches!(call, PlannedCall::Poll(..) | PlannedCall::List(..)) {
                    outcomes.extend(self.scenario.appearances.iter().copied().map(RequestOutcome::ShownAs));
                }
            }
        }
    }

    fn of_operator(&self, operator: usize, actions: &mut Vec<Action>) {
        let it = &self.operators[operator];
        if !it.up {
            if self.uninstall != Uninstall::Removed {
                actions.push(Action::Start { operator });
            }
            return;
        }
        for (resource, state) in it.states.iter().enumerate() {
            if state.task.is_some() {
                self.steps_of(operator, resource, actions);
            } else if self.leads(operator) && state.existence != Existence::Forgotten {
                let due = state.is_due(self.now);
                if due || self.budget.spurious > 0 {
                    actions.push(Action::Reconcile { operator, resource, age: 0 });
                }
                if due && self.budget.stale > 0 && state.existence == Existence::Present {
                    let of = &self.resources[resource];
                    let shown = (1..of.versions.len()).filter(|age| of.aged(*age).version >= state.known);
                    actions.extend(shown.map(|age| Action::Reconcile { operator, resource, age }));
                }
            }
        }
        if self.budget.crashes > 0 && it.has_memory() {
            actions.push(Action::Crash { operator });
        }
        match it.leadership {
            Leadership::NoElection => {}
            Leadership::Leader { until } => {
                let ours = self.lease.holder == operator && self.now < until;
                if self.now >= until {
                    actions.push(Action::Exit { operator });
                }
                if ours && until < self.now + LEASE_HOLD {
                    actions.push(Action::Renew { operator, confirmed: true });
                    if self.budget.calls > 0 {
                        actions.push(Action::Renew { operator, confirmed: false });
                    }
                }
            }
            Leadership::Standby => {
                if self.now >= self.lease.renewed + LEASE_DURATION {
                    actions.push(Action::AcquireLease { operator });
                }
            }
        }
        if self.budget.clock_steps > 0 {
            actions.extend(self.scenario.clock_steps.iter().map(|by| Action::StepClock { operator, by: *by }));
        }
    }

    fn of_service(&self, actions: &mut Vec<Action>) {
        for (op, it) in self.service.ops.iter().enumerate() {
            if it.live() {
                actions.push(Action::EndOperation { op, phase: Phase::Succeeded });
                if it.cancelling {
                    actions.push(Action::EndOperation { op, phase: Phase::Cancelled });
                }
                let ours = it.owner != super::Owner::OtherClient;
                if self.budget.failures > 0 && ours {
                    actions.extend(self.scenario.outcomes.iter().map(|phase| Action::EndOperation { op, phase: *phase }));
                }
            }
            if !it.visible {
                actions.push(Action::ShowOperation { op });
            }
            if self.budget.lost_operations > 0 && !it.lost {
                actions.push(Action::LoseOperation { op });
            }
        }
        actions.extend((0..self.service.pending_submissions.len()).map(|submission| Action::DeliverSubmission { submission }));
        actions.extend((0..self.late.len()).map(|write| Action::PerformLateWrite { write }));
        if self.budget.other_operations > 0 {
            let mut models: Vec<u8> = (0..self.resources.len()).map(|resource| self.model_of(resource)).collect();
            models.sort_unstable();
            models.dedup();
            models.retain(|model| *model != u8::MAX);
            for model in models.into_iter().filter(|model| self.service.running(*model, OperationKind::Refresh).is_none()) {
                actions.extend(self.scenario.other_requests.iter().map(|(request, appearance)| Action::OtherClient {
                    model,
                    request: *request,
                    appearance: *appearance,
                }));
            }
        }
    }

    fn of_time(&self, actions: &mut Vec<Action>) {
        if self.is_urgent() {
            if self.budget.delays > 0 {
                actions.extend(self.scenario.delay_lengths.iter().map(|by| Action::Delay { by: *by }));
            }
        } else if self.next_event_time().is_some() {
            actions.push(Action::Tick);
        }
    }

    /// Whether an operator has something to do now.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        (0..self.operators.len()).any(|index| {
            let operator = &self.operators[index];
            let busy = |state: &super::ResourceState| state.task.is_some();
            let due = |state: &super::ResourceState| state.is_due(self.now) && state.existence != Existence::Forgotten;
            (!operator.up && self.uninstall != Uninstall::Removed)
                || operator.states.iter().any(busy)
                || (self.leads(index) && operator.states.iter().any(due))
                || match operator.leadership {
                    Leadership::NoElection => false,
                    Leadership::Leader { until } => self.now >= until,
                    Leadership::Standby => self.now >= self.lease.renewed + LEASE_DURATION,
                }
        })
    }

    /// When something is due next.
    #[must_use]
    pub fn next_event_time(&self) -> Option<Seconds> {
        let mut times: Vec<Seconds> = Vec::new();
        for (index, operator) in self.operators.iter().enumerate() {
            if self.leads(index) {
                times.extend(operator.states.iter().filter(|state| state.existence != Existence::Forgotten).filter_map(|state| state.due));
            }
            match operator.leadership {
                Leadership::NoElection => {}
                // When it should be renewed, and when it has expired.
                Leadership::Leader { until } => times.extend([until - LEASE_HOLD + LEASE_DURATION / 3, until]),
                Leadership::Standby => times.push(self.lease.renewed + LEASE_DURATION),
            }
        }
        times.extend(self.service.ops.iter().filter(|op| !op.visible).map(|op| op.started_at + self.service.lag));
        times.extend(self.service.pending_submissions.iter().map(|submission| submission.by + 1));
        times.into_iter().filter(|time| *time > self.now).min()
    }
}
