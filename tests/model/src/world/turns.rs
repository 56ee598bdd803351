//! The memory of an operator across resources: the real queue of each model, and the real index of claims. A single resource needs neither.

use std::sync::Arc;

use tabular_operator::api::{Kind, ResourceKey, Run, RunState, Time};
use tabular_operator::engine::claims::ClaimSource;
use tabular_operator::engine::reconcile::{InMemoryState, QueueUpdate, View};
use tabular_operator::engine::{ClaimedOperations, QueueState, Turn, queue_state};
use tabular_operator::operation::{OperationId, OperationKind};

use super::apply::index_of;
use super::object::Object;
use super::operator::Existence;
use super::{Operator, World};

impl World {
    /// The model of a resource's run, or of its next run.
    #[must_use]
    pub fn model_of(&self, resource: usize) -> u8 {
        let object = self.resources[resource].now();
        let in_progress = |run: &&Run| !run.state.ended();
        index_of(object.status.run.as_ref().filter(in_progress).map_or(&object.revision.desired.operation.model, |run| &run.model))
    }

    /// Rebuilds the queues and the claims from the records when an operator starts to lead.
    pub(super) fn rebuild(&mut self, operator: usize) {
        if self.resources.len() == 1 {
            return;
        }
        let wall = self.wall(operator);
        for index in 0..self.resources.len() {
            if self.resources[index].is_deleted {
                continue;
            }
            self.update_claims(operator, index);
            let object = self.resources[index].now();
            let turn = if object.is_released() { QueueState::None } else { queue_state(&object.status, wall, &self.settings) };
            let model = object.status.run.as_ref().map(|run| run.model.key()).unwrap_or_default();
            let _ = Arc::make_mut(&mut self.operators[operator].queue).set(&model, &uid(index), &name(index), turn);
        }
    }

    /// Updates the claims of all running operators after a resource has changed or was deleted.
    pub(super) fn update_all_claims(&mut self, resource: usize) {
        if self.resources.len() == 1 {
            return;
        }
        for operator in 0..self.operators.len() {
            if self.operators[operator].up {
                self.update_claims(operator, resource);
            }
        }
    }

    fn update_claims(&mut self, operator: usize, resource: usize) {
        let (it, claims) = (&self.resources[resource], Arc::make_mut(&mut self.operators[operator].claims));
        if it.is_deleted {
            claims.on_deleted(&uid(resource).into());
        } else {
            claims.update(&uid(resource).into(), record(it.now()), it.now().is_released());
        }
    }

    /// Handles deleted resources: an operator tracks the operation of one, or keeps nothing of it. No other resource waits behind it.
    pub(super) fn detach_deleted(&mut self) {
        for (operator, resource) in self.pairs() {
            let now = self.now;
            let state = &mut self.operators[operator].states[resource];
            if !self.resources[resource].is_deleted || state.existence != Existence::Present || state.task.is_some() {
                continue;
            }
            state.existence = if state.tracked.is_some() { Existence::Detached } else { Existence::Forgotten };
            state.tracked = state.tracked.take().map(|object| object.deleted(now));
            let accepted = state.tracked.as_ref().and_then(|object| state.in_memory.accepted_for(&object.status)).cloned();
            state.in_memory = InMemoryState { accepted, ..InMemoryState::default() };
            (state.dirty, state.due) = (false, state.tracked.as_ref().map(|_| now));
            self.leave_queue(operator, resource);
            self.keep_claims(operator, resource);
            self.update_all_claims(resource);
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let resources = self.resources.len();
        (0..self.operators.len()).flat_map(move |operator| (0..resources).map(move |resource| (operator, resource)))
    }

    /// Keeps the operations of a resource claimed that was released or deleted.
    pub(super) fn keep_claims(&mut self, operator: usize, resource: usize) {
        let operator = &mut self.operators[operator];
        if let Some(tracked) = operator.states[resource].tracked.as_ref().filter(|_| self.resources.len() > 1) {
            Arc::make_mut(&mut operator.claims).keep_removed(&uid(resource).into(), record(tracked));
        }
    }

    pub(super) fn acquire_turn(&mut self, operator: usize, resource: usize, model: &str, since: Time) -> Turn {
        if self.resources.len() == 1 {
            return Turn::Granted;
        }
        let queue = Arc::make_mut(&mut self.operators[operator].queue);
        let next = queue.leave_earlier(model, &uid(resource), since);
        let turn = queue.acquire(model, &uid(resource), &name(resource), since);
        self.trigger(operator, &next);
        turn
    }

    pub(super) fn update_queue(&mut self, operator: usize, resource: usize, update: &QueueUpdate) {
        match update {
            QueueUpdate::Keep => {}
            QueueUpdate::Remove => self.leave_queue(operator, resource),
            QueueUpdate::Set { .. } if self.resources.len() == 1 => {}
            QueueUpdate::Set { model, state } => {
                let next = Arc::make_mut(&mut self.operators[operator].queue).set(model, &uid(resource), &name(resource), *state);
                self.trigger(operator, &next);
            }
        }
    }

    fn leave_queue(&mut self, operator: usize, resource: usize) {
        if self.resources.len() > 1 {
            let next = Arc::make_mut(&mut self.operators[operator].queue).remove(&uid(resource));
            self.trigger(operator, &next);
        }
    }

    /// Triggers the resources whose turn it may be now.
    fn trigger(&mut self, operator: usize, next: &[ResourceKey]) {
        for index in (0..self.resources.len()).filter(|index| next.contains(&name(*index))) {
            self.operators[operator].states[index].dirty = true;
        }
    }

    /// Whether another resource has the operation that a user names for this one.
    pub(super) fn adopt_claimed(&mut self, operator: usize, resource: usize, view: &Object) -> bool {
        let run = view.status.run.as_ref().filter(|run| run.state == RunState::Submitting);
        let named = view.revision.desired.requests.adopt.as_deref().and_then(OperationId::parse);
        let model = run.map(|run| run.model.key());
        !self.try_reserve(operator, resource, model.as_deref().zip(named.as_ref()))
    }

    /// Reserves an operation for this resource; false if another one has it.
    pub(super) fn try_reserve(&mut self, operator: usize, resource: usize, named: Option<(&str, &OperationId)>) -> bool {
        if self.resources.len() == 1 {
            return true;
        }
        let kind = self.kind_of(resource);
        let named = named.map(|(model, id)| (kind, model, id));
        let operator = &mut self.operators[operator];
        let is_tracked = |uid: &str| is_detached(&operator.states, uid);
        Arc::make_mut(&mut operator.claims).try_reserve(&uid(resource), named, is_tracked)
    }

    /// Claims the operation that the service returned for the submission of a resource.
    pub(super) fn claim_accepted(&mut self, operator: usize, resource: usize, (model, id): (&str, &OperationId)) {
        if self.resources.len() > 1 {
            let kind = self.kind_of(resource);
            Arc::make_mut(&mut self.operators[operator].claims).accept(&uid(resource), (kind, model, id));
        }
    }

    /// Which of these operations of a kind on a model belong to other resources.
    #[must_use]
    pub fn claimed_by_others<'a>(
        &self,
        (operator, resource): (usize, usize),
        (kind, model): (OperationKind, &str),
        ids: impl IntoIterator<Item = &'a OperationId>,
    ) -> ClaimedOperations {
        if self.resources.len() == 1 || self.scenario.broken_rules.claims {
            return ClaimedOperations::default();
        }
        let operator = &self.operators[operator];
        operator.claims.of_others(Some(&uid(resource)), (kind, model), ids, |uid| is_detached(&operator.states, uid))
    }

    pub(super) fn kind_of(&self, resource: usize) -> OperationKind {
        kind_of(self.resources[resource].now())
    }
}

impl Operator {
    /// Whether a resource holds the turn of its model.
    #[must_use]
    pub fn holds_turn(&self, resource: usize) -> bool {
        self.queue.holds(&uid(resource))
    }

    /// Its position in the queue of a model.
    #[must_use]
    pub fn queue_position(&self, resource: usize) -> Option<(&str, Option<Time>)> {
        self.queue.position_of(&uid(resource))
    }
}

fn is_detached(states: &[super::ResourceState], of: &str) -> bool {
    states.iter().enumerate().any(|(index, state)| state.existence == Existence::Detached && uid(index) == of)
}

fn record(object: &Object) -> ClaimSource<'_> {
    ClaimSource { kind: kind_of(object), model: object.revision.manifest.model(), status: Some(&object.status) }
}

fn kind_of(object: &Object) -> OperationKind {
    object.revision.desired.operation.request.kind()
}

fn uid(resource: usize) -> String {
    format!("uid-{resource}")
}

fn name(resource: usize) -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: format!("resource-{resource}") }
}
