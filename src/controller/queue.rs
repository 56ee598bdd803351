//! The queue of each model, over all namespaces: first come, first served, and one operation at a time.
//!
//! In memory only. After a restart it is made anew from the records, which say who holds and since when the others wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::api::{ResourceKey, Time};
use crate::engine::{Turn, TurnUse};

/// The queues of all models.
#[derive(Debug, Default)]
pub struct Queue {
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    /// By the key of the model.
    by_model: HashMap<String, Lane>,
    /// Which model a resource is in the queue of, and since when it waits, by its uid.
    model_of: HashMap<String, (String, Option<Time>)>,
    /// How many wait, on all models.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    /// Those with an operation under way, or about to submit one. More than one only where a record says so.
    holders: Vec<(String, ResourceKey)>,
    /// Those that wait, by the time since when, and then by uid.
    waiting: BTreeMap<(Time, String), ResourceKey>,
}

impl Queue {
    /// Asks for a turn on a model: granted where nobody holds it and nobody came before.
    #[must_use]
    pub fn take(&self, model: &str, uid: &str, name: &ResourceKey, since: Time) -> Turn {
        let mut lanes = self.lanes.lock();
        // Whoever holds it and asks again does so on an old view. Its write will be refused, and until a fresh look says what its record
        // means nobody else may have the turn; where another holds it too, neither may this one.
        if let Some(lane) = lanes.by_model.get(model).filter(|lane| lane.holders.iter().any(|(holder, _)| holder == uid)) {
            let other = lane.holders.iter().find(|(holder, _)| holder != uid);
            return other.map_or(Turn::Granted, |(_, ahead)| Turn::Behind(seen_from(name, ahead)));
        }
        lanes.place(model, uid, name, TurnUse::Waits(since));
        let Some(lane) = lanes.by_model.get_mut(model) else { return Turn::Granted };
        let ahead = lane.holders.first().map(|(_, name)| name).or_else(|| {
            let first = lane.waiting.iter().next();
            first.filter(|((_, first), _)| first != uid).map(|(_, name)| name)
        });
        if let Some(ahead) = ahead {
            return Turn::Behind(seen_from(name, ahead));
        }
        // From now on it holds, so that nobody else is granted the same turn before its intent is on record.
        lanes.place(model, uid, name, TurnUse::Holds);
        Turn::Granted
    }

    /// Takes over what a resource's record means, and gives the names of those whose turn it may be now.
    pub fn update(&self, model: &str, uid: &str, name: &ResourceKey, turn_use: TurnUse) -> Vec<ResourceKey> {
        let mut lanes = self.lanes.lock();
        // The model that it was on and the one that it is on now: who waits on either may be next.
        let models: BTreeSet<String> =
            lanes.model_of.get(uid).map(|(model, _)| model.clone()).into_iter().chain([model.to_owned()]).collect();
        let before = lanes.next(&models);
        lanes.place(model, uid, name, turn_use);
        let after = lanes.next(&models);
        after.difference(&before).filter(|next| *next != name).cloned().collect()
    }

    /// Forgets a resource, and gives the names of those whose turn it may be now.
    pub fn forget(&self, uid: &str) -> Vec<ResourceKey> {
        let mut lanes = self.lanes.lock();
        let Some((model, _)) = lanes.model_of.get(uid).cloned() else { return Vec::new() };
        lanes.remove(uid);
        lanes.by_model.get(&model).and_then(Lane::next).cloned().into_iter().collect()
    }

    /// How many wait, on all models.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.lanes.lock().waiting
    }
}

impl Lanes {
    fn place(&mut self, model: &str, uid: &str, name: &ResourceKey, turn_use: TurnUse) {
        self.remove(uid);
        let since = match turn_use {
            TurnUse::Free => return,
            TurnUse::Holds => {
                let holders = &mut self.by_model.entry(model.to_owned()).or_default().holders;
                // There is nearly always one alone, and there may be thousands of models.
                holders.reserve_exact(1);
                holders.push((uid.to_owned(), name.clone()));
                None
            }
            TurnUse::Waits(since) => {
                self.by_model.entry(model.to_owned()).or_default().waiting.insert((since, uid.to_owned()), name.clone());
                self.waiting += 1;
                Some(since)
            }
        };
        self.model_of.insert(uid.to_owned(), (model.to_owned(), since));
    }

    fn remove(&mut self, uid: &str) {
        let Some((model, since)) = self.model_of.remove(uid) else { return };
        let Some(lane) = self.by_model.get_mut(&model) else { return };
        match since {
            // By its key: there may be thousands that wait for one model.
            Some(since) => {
                lane.waiting.remove(&(since, uid.to_owned()));
                self.waiting = self.waiting.saturating_sub(1);
            }
            None => lane.holders.retain(|(holder, _)| holder != uid),
        }
        if lane.holders.is_empty() && lane.waiting.is_empty() {
            self.by_model.remove(&model);
        }
    }

    /// Whose turn it may be on these models.
    fn next(&self, models: &BTreeSet<String>) -> BTreeSet<ResourceKey> {
        models.iter().filter_map(|model| self.by_model.get(model).and_then(Lane::next)).cloned().collect()
    }
}

impl Lane {
    /// The first that waits, where nobody holds.
    fn next(&self) -> Option<&ResourceKey> {
        self.holders.is_empty().then(|| self.waiting.values().next()).flatten()
    }
}

/// How one resource is told of another that is ahead. The names of another namespace are not everybody's to read.
fn seen_from(name: &ResourceKey, ahead: &ResourceKey) -> String {
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
    fn first_come_first_served_and_the_next_is_woken() {
        let queue = Queue::default();
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.take("m", "c", &name("c"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.depth(), 2);
        assert_eq!(queue.update("m", "a", &name("a"), TurnUse::Free), vec![name("b")]);
        assert_eq!(queue.take("m", "c", &name("c"), at(3)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Granted);
    }

    #[test]
    fn whoever_holds_it_and_asks_again_on_an_old_view_keeps_it() {
        let queue = Queue::default();
        let _ = queue.update("m", "a", &name("a"), TurnUse::Holds);
        let _ = queue.update("m", "b", &name("b"), TurnUse::Waits(at(1)));
        assert_eq!(queue.take("m", "a", &name("a"), at(2)), Turn::Granted);
        assert_eq!(queue.take("m", "b", &name("b"), at(1)), Turn::Behind("a".to_owned()));
    }

    #[test]
    fn of_two_that_hold_it_neither_gets_it_and_neither_loses_it_by_asking() {
        let queue = Queue::default();
        let _ = queue.update("m", "a", &name("a"), TurnUse::Holds);
        let _ = queue.update("m", "b", &name("b"), TurnUse::Holds);
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.take("m", "c", &name("c"), at(0)), Turn::Behind("a".to_owned()));
        // Until the records are seen as they are.
        let _ = queue.update("m", "a", &name("a"), TurnUse::Waits(at(1)));
        let _ = queue.update("m", "b", &name("b"), TurnUse::Free);
        assert_eq!(queue.take("m", "c", &name("c"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
    }

    #[test]
    fn depth_follows_each_change() {
        let queue = Queue::default();
        let turns = [TurnUse::Waits(at(1)), TurnUse::Waits(at(2)), TurnUse::Holds, TurnUse::Waits(at(3)), TurnUse::Free];
        for (turn, depth) in turns.into_iter().zip([1, 1, 0, 1, 0]) {
            let _ = queue.update("m", "a", &name("a"), turn);
            assert_eq!(queue.depth(), depth);
        }
        let _ = queue.update("m", "a", &name("a"), TurnUse::Waits(at(1)));
        let _ = queue.update("n", "a", &name("a"), TurnUse::Waits(at(1)));
        assert_eq!(queue.depth(), 1);
        let _ = queue.forget("a");
        assert_eq!(queue.depth(), 0);
    }

    #[test]
    fn models_do_not_wait_for_each_other() {
        let queue = Queue::default();
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.take("n", "b", &name("b"), at(2)), Turn::Granted);
    }

    #[test]
    fn whoever_waits_for_a_human_holds_up_nobody() {
        let queue = Queue::default();
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.update("m", "a", &name("a"), TurnUse::Free), vec![name("b")]);
        // It comes back with its old place, but does not push aside who holds.
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Granted);
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Behind("b".to_owned()));
        assert_eq!(queue.forget("b"), vec![name("a")]);
    }

    #[test]
    fn a_change_of_model_wakes_those_of_the_old_one() {
        let queue = Queue::default();
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.take("m", "b", &name("b"), at(2)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.update("n", "a", &name("a"), TurnUse::Waits(at(1))), vec![name("b")]);
    }

    #[test]
    fn both_kinds_stand_in_one_queue() {
        let queue = Queue::default();
        let sync = ResourceKey { kind: Kind::ModelSync, ..name("a") };
        assert_eq!(queue.take("m", "a", &name("a"), at(1)), Turn::Granted);
        assert_eq!(queue.take("m", "s", &sync, at(2)), Turn::Behind("the ModelRefresh a".to_owned()));
        assert_eq!(queue.take("m", "b", &name("b"), at(3)), Turn::Behind("a".to_owned()));
        assert_eq!(queue.update("m", "a", &name("a"), TurnUse::Free), vec![sync.clone()]);
        assert_eq!(queue.take("m", "s", &sync, at(2)), Turn::Granted);
        assert_eq!(queue.take("m", "b", &name("b"), at(3)), Turn::Behind("the ModelSync a".to_owned()));
    }

    #[test]
    fn another_namespace_is_not_named() {
        let queue = Queue::default();
        let other = ResourceKey { namespace: "secret-project".to_owned(), ..name("x") };
        assert_eq!(queue.take("m", "x", &other, at(1)), Turn::Granted);
        assert_eq!(queue.take("m", "a", &name("a"), at(2)), Turn::Behind("a resource of another namespace".to_owned()));
    }
}
