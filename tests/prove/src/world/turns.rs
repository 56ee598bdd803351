//! The queue of each model: the real one, made anew whenever it is asked from the places that an operator has in mind.

use tabular_operator::api::{Kind, ResourceKey, Run, RunState, Time};
use tabular_operator::engine::{Turn, TurnQueue, TurnUse, turn_use, turn_use_unrecorded};

use super::World;
use super::cluster::Object;
use super::pass::Ended;
use super::play::index_of;

impl World {
    /// The watch shows that a resource is gone: nobody waits behind it any more.
    pub(super) fn forget_the_gone(&mut self) {
        if self.resources.len() == 1 {
            return;
        }
        let count = self.resources.len();
        for (operator, resource) in (0..self.operators.len()).flat_map(|operator| (0..count).map(move |it| (operator, it))) {
            let (model, turn) = self.operators[operator].minds[resource].turn;
            if self.resources[resource].gone && turn != TurnUse::Free {
                let next = self.queue(operator).remove(&format!("uid-{resource}"));
                self.operators[operator].minds[resource].turn = (model, TurnUse::Free);
                self.wake(operator, &next);
            }
        }
    }

    /// The turn of these may have come.
    fn wake(&mut self, operator: usize, next: &[ResourceKey]) {
        for index in (0..self.resources.len()).filter(|index| next.contains(&name(*index))) {
            self.operators[operator].minds[index].dirty = true;
        }
    }

    /// The model that a resource's run is on, or is to be on.
    #[must_use]
    pub fn model_of(&self, resource: usize) -> u8 {
        model_of(self.resources[resource].now())
    }

    /// The queue made anew from the records.
    pub(super) fn remember_turns(&mut self, operator: usize) {
        for (index, resource) in self.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
            let object = resource.now();
            self.operators[operator].minds[index].turn =
                (model_of(object), turn_use(&object.status, self.wall(operator), &self.settings()));
        }
    }

    /// The real queue, as this operator has it.
    fn queue(&self, operator: usize) -> TurnQueue {
        let mut queue = TurnQueue::default();
        for (index, mind) in self.operators[operator].minds.iter().enumerate() {
            let (model, turn) = mind.turn;
            let _ = queue.set(&format!("model {model}"), &format!("uid-{index}"), &name(index), turn);
        }
        queue
    }

    pub(super) fn take_turn(&mut self, operator: usize, resource: usize, view: &Object, model: u8) -> Turn {
        if self.resources.len() == 1 {
            return Turn::Granted;
        }
        let waiting = view.status.run.as_ref().filter(|run| run.state == RunState::Waiting);
        let since = waiting.map_or_else(|| Time::from(self.wall(operator)), |run| run.requested_time);
        let turn = self.queue(operator).acquire(&format!("model {model}"), &format!("uid-{resource}"), &name(resource), since);
        // Whoever holds it does not lose it by asking.
        let holds = turn == Turn::Granted || self.operators[operator].minds[resource].turn == (model, TurnUse::Holds);
        let place = if holds { TurnUse::Holds } else { TurnUse::Waits(since) };
        self.operators[operator].minds[resource].turn = (model, place);
        turn
    }

    /// A failed pass returns the turn that it has in memory alone, as `engine::reconcile` does; a `stuck` resource any. Of an `intent`
    /// that was not heard of nothing was sent.
    pub(super) fn leave_turn(&mut self, operator: usize, resource: usize, view: &Object, (stuck, intent): (bool, bool)) {
        let (wall, settings) = (self.wall(operator), self.settings());
        let turn = match (stuck, intent) {
            (true, true) => TurnUse::Free,
            (false, true) => TurnUse::Holds,
            (true, false) => turn_use_unrecorded(&view.status, wall, &settings),
            (false, false) => turn_use(&view.status, wall, &settings),
        };
        if turn == TurnUse::Holds {
            return;
        }
        let next = self.queue(operator).remove(&format!("uid-{resource}"));
        self.operators[operator].minds[resource].turn = (model_of(view), TurnUse::Free);
        self.wake(operator, &next);
    }

    /// Tells the queue what the record means now, and wakes whoever is next.
    pub(super) fn update_turn(&mut self, operator: usize, resource: usize, view: &Object, ended: Ended) {
        let turn = if ended == Ended::Released { TurnUse::Free } else { turn_use(&view.status, self.wall(operator), &self.settings()) };
        let failed = matches!(ended, Ended::Stale | Ended::Failed);
        if failed && view.edition.desired.deletion.is_none() {
            return;
        }
        let mut queue = self.queue(operator);
        let model = model_of(view);
        let next = queue.set(&format!("model {model}"), &format!("uid-{resource}"), &name(resource), turn);
        self.operators[operator].minds[resource].turn = (model, turn);
        self.wake(operator, &next);
    }
}

/// The model of the run that is under way, or else of the spec.
fn model_of(object: &Object) -> u8 {
    let under_way = |run: &&Run| !run.state.ended();
    index_of(object.status.run.as_ref().filter(under_way).map_or(&object.edition.desired.work.model, |run| &run.model))
}

fn name(resource: usize) -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: format!("resource-{resource}") }
}
