//! The queue of each model over all namespaces: first come, first served, one operation at a time.
//!
//! In memory only. After a restart it is rebuilt from the records, which show the holder of each turn and since when the others wait.

use std::collections::{BTreeMap, BTreeSet};

use super::{QueueState, Turn};
use crate::api::{ResourceKey, Time};

/// The queues of all models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TurnQueue {
    /// By the key of the model.
    by_model: BTreeMap<String, ModelQueue>,
    /// The model whose queue contains a resource, by uid, and since when it has waited; `None` for a holder.
    model_of: BTreeMap<String, (String, Option<Time>)>,
    /// How many wait, on all models.
    waiting: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct ModelQueue {
    /// Those with an operation in progress, or about to submit one. More than one only if the records show it.
    holders: Vec<(String, ResourceKey)>,
    /// Those that wait, by the time since when, and then by uid.
    waiting: BTreeMap<(Time, String), ResourceKey>,
}

impl TurnQueue {
    /// Requests a turn on a model. It is granted if no resource holds it and none came before.
    #[must_use]
    pub fn acquire(&mut self, model: &str, uid: &str, name: &ResourceKey, since: Time) -> Turn {
        // A holder that requests it again has a stale view, so its write will be refused. Until a fresh read shows what its record means,
        // no other resource gets the turn; if another resource holds it too, neither does this one.
        if let Some(queue) = self.by_model.get(model).filter(|queue| queue.holders.iter().any(|(holder, _)| holder == uid)) {
            let other = queue.holders.iter().find(|(holder, _)| holder != uid);
            return other.map_or(Turn::Granted, |(_, ahead)| Turn::Behind(display_name(name, ahead)));
        }
        self.insert(model, uid, name, QueueState::Waiting(since));
        let Some(queue) = self.by_model.get_mut(model) else { return Turn::Granted };
        let ahead = queue.holders.first().map(|(_, name)| name).or_else(|| {
            let first = queue.waiting.iter().next();
            first.filter(|((_, first), _)| first != uid).map(|(_, name)| name)
        });
        if let Some(ahead) = ahead {
            return Turn::Behind(display_name(name, ahead));
        }
        // It holds the turn from now on, so that no other resource gets the turn before its intent is recorded.
        self.insert(model, uid, name, QueueState::Holding);
        Turn::Granted
    }

    /// Applies the position that a record shows, and returns the resources that may now be granted the turn.
    pub fn set(&mut self, model: &str, uid: &str, name: &ResourceKey, queue_state: QueueState) -> Vec<ResourceKey> {
        if self.is_at(model, uid, queue_state) {
            return Vec::new();
        }
        // The model that it was on and the one that it is on now: a resource that waits on either may be next.
        let models: BTreeSet<String> =
            self.model_of.get(uid).map(|(model, _)| model.clone()).into_iter().chain([model.to_owned()]).collect();
        let before = self.next(&models);
        self.insert(model, uid, name, queue_state);
        let after = self.next(&models);
        after.difference(&before).filter(|next| *next != name).cloned().collect()
    }

    /// Removes a resource that requests a turn on a model from its earlier position: in the queue of another model, or where it waited
    /// since another time, with an earlier run. Returns the resources that may now be granted the turn there.
    pub fn leave_earlier(&mut self, model: &str, uid: &str, since: Time) -> Vec<ResourceKey> {
        let is_earlier = |(on, waits): (&str, Option<Time>)| on != model || waits.is_some_and(|waits| waits != since);
        if self.position_of(uid).is_some_and(is_earlier) { self.remove(uid) } else { Vec::new() }
    }

    /// Removes a resource, and returns the resources that may now be granted the turn.
    pub fn remove(&mut self, uid: &str) -> Vec<ResourceKey> {
        let Some((model, _)) = self.model_of.get(uid).cloned() else { return Vec::new() };
        self.remove_entry(uid);
        self.by_model.get(&model).and_then(ModelQueue::next).cloned().into_iter().collect()
    }

    /// How many wait, on all models.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.waiting
    }

    /// How many wait or hold a turn, on all models.
    #[must_use]
    pub fn count(&self) -> usize {
        self.model_of.len()
    }

    /// Whether a resource holds a turn.
    #[must_use]
    pub fn holds(&self, uid: &str) -> bool {
        matches!(self.position_of(uid), Some((_, None)))
    }

    /// The model whose queue contains a resource, by its key, and since when it has waited; `None` for a holder.
    #[must_use]
    pub fn position_of(&self, uid: &str) -> Option<(&str, Option<Time>)> {
        self.model_of.get(uid).map(|(model, since)| (model.as_str(), *since))
    }

    /// Whether a resource has this position: that of most, after each poll.
    fn is_at(&self, model: &str, uid: &str, queue_state: QueueState) -> bool {
        let position = match queue_state {
            QueueState::None => None,
            QueueState::Holding => Some((model, None)),
            QueueState::Waiting(since) => Some((model, Some(since))),
        };
        self.position_of(uid) == position
    }

    fn insert(&mut self, model: &str, uid: &str, name: &ResourceKey, queue_state: QueueState) {
        self.remove_entry(uid);
        let since = match queue_state {
            QueueState::None => return,
            QueueState::Holding => {
                let holders = &mut self.by_model.entry(model.to_owned()).or_default().holders;
                // Usually there is only one, and there may be thousands of models.
                holders.reserve_exact(1);
                holders.push((uid.to_owned(), name.clone()));
                None
            }
            QueueState::Waiting(since) => {
                self.by_model.entry(model.to_owned()).or_default().waiting.insert((since, uid.to_owned()), name.clone());
                self.waiting += 1;
                Some(since)
            }
        };
        self.model_of.insert(uid.to_owned(), (model.to_owned(), since));
    }

    fn remove_entry(&mut self, uid: &str) {
        let Some((model, since)) = self.model_of.remove(uid) else { return };
        let Some(queue) = self.by_model.get_mut(&model) else { return };
        match since {
            // Thousands may wait for one model, so it is removed by its key.
            Some(since) => {
                queue.waiting.remove(&(since, uid.to_owned()));
                self.waiting = self.waiting.saturating_sub(1);
            }
            None => queue.holders.retain(|(holder, _)| holder != uid),
        }
        if queue.holders.is_empty() && queue.waiting.is_empty() {
            self.by_model.remove(&model);
        }
    }

    /// The resources that may be granted the turn on these models.
    fn next(&self, models: &BTreeSet<String>) -> BTreeSet<ResourceKey> {
        models.iter().filter_map(|model| self.by_model.get(model).and_then(ModelQueue::next)).cloned().collect()
    }
}

impl ModelQueue {
    /// The first that waits, where no resource holds the turn.
    fn next(&self) -> Option<&ResourceKey> {
        self.holders.is_empty().then(|| self.waiting.values().next()).flatten()
    }
}

/// How a message on one resource names another that is ahead. Its readers may not be allowed to read the names of another namespace.
fn display_name(name: &ResourceKey, ahead: &ResourceKey) -> String {
    match name.namespace == ahead.namespace {
        true if name.kind == ahead.kind => ahead.name.clone(),
        true => format!("the {} {}", ahead.kind.as_str(), ahead.name),
        false => "a resource of another namespace".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    fn name(name: &str) -> ResourceKey {
        ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: name.to_owned() }
    }

    fn at(second: i64) -> Time {
        Time::from(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn first_waiter_is_granted_the_turn_and_woken() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "c", &name("c"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.depth(), 2);
        assert_eq!(queue.set("m", "a", &name("a"), QueueState::None), vec![name("b")]);
        assert_eq!(queue.acquire("m", "c", &name("c"), at(3)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Granted);
    }

    #[test]
    fn holder_with_a_stale_view_keeps_the_turn() {
        let mut queue = TurnQueue::default();
        let _ = queue.set("m", "a", &name("a"), QueueState::Holding);
        let _ = queue.set("m", "b", &name("b"), QueueState::Waiting(at(1)));
        assert_eq!(queue.acquire("m", "a", &name("a"), at(2)), Turn::Granted);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(1)), Turn::Behind("a".to_owned()));
    }

    #[test]
    fn two_holders_neither_gain_nor_lose_the_turn() {
        let mut queue = TurnQueue::default();
        let _ = queue.set("m", "a", &name("a"), QueueState::Holding);
        let _ = queue.set("m", "b", &name("b"), QueueState::Holding);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.acquire("m", "c", &name("c"), at(0)), Turn::Behind("a".to_owned()));
        // Until the records are seen as they are.
        let _ = queue.set("m", "a", &name("a"), QueueState::Waiting(at(1)));
        let _ = queue.set("m", "b", &name("b"), QueueState::None);
        assert_eq!(queue.acquire("m", "c", &name("c"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
    }

    #[test]
    fn depth_follows_each_change() {
        let mut queue = TurnQueue::default();
        let turns =
            [QueueState::Waiting(at(1)), QueueState::Waiting(at(2)), QueueState::Holding, QueueState::Waiting(at(3)), QueueState::None];
        for (turn, counts) in turns.into_iter().zip([(1, 1), (1, 1), (0, 1), (1, 1), (0, 0)]) {
            let _ = queue.set("m", "a", &name("a"), turn);
            assert_eq!((queue.depth(), queue.count()), counts);
        }
        let _ = queue.set("m", "a", &name("a"), QueueState::Waiting(at(1)));
        let _ = queue.set("n", "a", &name("a"), QueueState::Waiting(at(1)));
        assert_eq!((queue.depth(), queue.count()), (1, 1));
        let _ = queue.remove("a");
        assert_eq!((queue.depth(), queue.count()), (0, 0));
    }

    #[test]
    fn models_do_not_wait_for_each_other() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("n", "b", &name("b"), at(2)), Turn::Granted);
    }

    #[test]
    fn resource_that_needs_a_user_blocks_no_other() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.set("m", "a", &name("a"), QueueState::None), vec![name("b")]);
        // It comes back with its old position, but does not push aside who holds.
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Granted);
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.remove("b"), vec![name("a")]);
    }

    #[test]
    fn model_change_wakes_waiters_of_the_old_model() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.set("n", "a", &name("a"), QueueState::Waiting(at(1))), vec![name("b")]);
    }

    #[test]
    fn request_on_another_model_wakes_waiters_of_the_old_model() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!((queue.leave_earlier("m", "a", at(3)), queue.holds("a")), (vec![], true));
        assert_eq!((queue.leave_earlier("n", "a", at(3)), queue.holds("a")), (vec![name("b")], false));
        assert_eq!(queue.leave_earlier("n", "a", at(3)), []);
    }

    #[test]
    fn request_for_a_later_run_wakes_those_that_it_was_ahead_of() {
        let mut queue = TurnQueue::default();
        let _ = queue.set("m", "a", &name("a"), QueueState::Waiting(at(1)));
        let _ = queue.set("m", "b", &name("b"), QueueState::Waiting(at(2)));
        assert_eq!((queue.leave_earlier("m", "a", at(1)), queue.depth()), (vec![], 2));
        assert_eq!((queue.leave_earlier("m", "a", at(3)), queue.depth()), (vec![name("b")], 1));
        assert_eq!(queue.acquire("m", "a", &name("a"), at(3)), Turn::Behind("b".to_owned()));
    }

    #[test]
    fn both_kinds_share_one_queue() {
        let mut queue = TurnQueue::default();
        let sync = ResourceKey { kind: Kind::ModelSync, ..name("a") };
        assert_eq!(queue.acquire("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "s", &sync, at(2)), Turn::Behind("the ModelRefresh a".to_owned()));
        assert_eq!(queue.acquire("m", "b", &name("b"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.set("m", "a", &name("a"), QueueState::None), vec![sync.clone()]);
        assert_eq!(queue.acquire("m", "s", &sync, at(2)), Turn::Granted);
        assert_eq!(queue.acquire("m", "b", &name("b"), at(3)), Turn::Behind("the ModelSync a".to_owned()));
    }

    #[test]
    fn another_namespace_is_not_named() {
        let mut queue = TurnQueue::default();
        let other = ResourceKey { namespace: "secret-project".to_owned(), ..name("x") };
        assert_eq!(queue.acquire("m", "x", &other, at(1)), Turn::Granted);
        assert_eq!(queue.acquire("m", "a", &name("a"), at(2)), Turn::Behind("a resource of another namespace".to_owned()));
    }
}
