//! The queue of each model: one operation at a time, first come, first served, in all namespaces.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tabular_operator::api::estimate::{Remaining, until_turn};
use tabular_operator::api::{Reason, Run, RunState};
use tabular_operator::engine::is_stuck;

use super::{running_seconds, typical};
use crate::objects::Object;

/// The resources that a user can list.
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a> {
    /// The resources.
    pub objects: &'a [Object],
    /// Whether they are those of all namespaces. If not, others can be in the queues.
    pub is_complete: bool,
}

/// The queue of a model.
#[derive(Clone, Debug)]
pub struct ModelQueue<'a> {
    /// The short name of the model.
    pub model: String,
    /// The resources with an operation, or about to submit one, without those whose run is stuck: the operator gives their turn to others.
    pub running: Vec<&'a Object>,
    /// The resources that wait, the next one first.
    pub waiting: Vec<&'a Object>,
    /// Whether no other resource can be in it.
    pub is_complete: bool,
}

impl ModelQueue<'_> {
    /// The position of the resource at an index of `waiting`, from 1; `None` if others can be ahead of it.
    #[must_use]
    pub fn position(&self, index: usize) -> Option<usize> {
        self.is_complete.then_some(index.saturating_add(1))
    }

    /// In how many seconds the resource at an index of `waiting` probably starts. `None` if that may be now, if something ahead of it is not
    /// known or has no estimate, or if it or a resource ahead of it waits for something other than its turn.
    #[must_use]
    pub fn starts_in(&self, index: usize, now: Timestamp) -> Option<i64> {
        let running = self.running.iter().map(|object| typical(object, now)?.remaining());
        let before = self.waiting.iter().take(index).map(|object| Some(Remaining::About(typical(object, now)?.estimate.usual())));
        let wait_for_turn = self.waiting.iter().take(index.saturating_add(1)).all(|object| object.run().is_some_and(waits_for_turn));
        until_turn(running.chain(before)).filter(|seconds| *seconds > 0 && self.is_complete && wait_for_turn)
    }
}

/// The queues of all models with a run, by the name of the model.
#[must_use]
pub fn queues(visible: Visible<'_>) -> Vec<ModelQueue<'_>> {
    let mut by_key: BTreeMap<String, ModelQueue<'_>> = BTreeMap::new();
    for object in visible.objects {
        let Some(run) = object.run() else { continue };
        if is_stuck(run) {
            continue;
        }
        let (key, model) = (object.model_key(), object.model());
        let queue = || ModelQueue { model, running: Vec::new(), waiting: Vec::new(), is_complete: visible.is_complete };
        match run.state {
            RunState::Submitting | RunState::Running | RunState::Cancelling => by_key.entry(key).or_insert_with(queue).running.push(object),
            RunState::Waiting if !is_suspended(run) => by_key.entry(key).or_insert_with(queue).waiting.push(object),
            RunState::Waiting
            | RunState::Succeeded
            | RunState::Failed
            | RunState::TimedOut
            | RunState::Cancelled
            | RunState::Unrecognized(_) => {}
        }
    }
    let mut queues: Vec<ModelQueue<'_>> = by_key.into_values().collect();
    for queue in &mut queues {
        // As the operator grants the turns.
        queue.waiting.sort_by_key(|&object| (object.run().map(|run| run.requested_time), object.uid()));
        queue.running.sort_by_key(|object| (object.run().and_then(|run| run.submitted_time), object.resource.key()));
    }
    queues.sort_by(|one, other| one.model.cmp(&other.model));
    queues
}

/// Whether a resource waits in a queue.
#[must_use]
pub fn is_queued(object: &Object) -> bool {
    object.run().is_some_and(|run| run.state == RunState::Waiting && !is_stuck(run) && !is_suspended(run))
}

/// Whether a waiting run has no place in the queue, because its resource is suspended.
fn is_suspended(run: &Run) -> bool {
    run.reason == Reason::Suspended.as_str()
}

/// Whether a waiting run waits only for its turn: not for another client, an attempt or a capacity.
fn waits_for_turn(run: &Run) -> bool {
    matches!(Reason::parse(&run.reason), Some(Reason::WaitingForTurn | Reason::Submitting))
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1; `None` if others can be ahead.
    pub position: Option<usize>,
    /// In how many seconds the turn probably comes.
    pub starts_in: Option<i64>,
}

/// The place of a waiting resource in the queue of its model.
#[must_use]
pub fn place(object: &Object, queues: &[ModelQueue<'_>], now: Timestamp) -> Option<Place> {
    let key = object.key();
    queues.iter().find_map(|queue| {
        let index = queue.waiting.iter().position(|waiting| waiting.key() == key)?;
        Some(Place { position: queue.position(index), starts_in: queue.starts_in(index, now) })
    })
}

/// What a resource in the queue waits behind: the one that runs, or else the one ahead of it.
#[must_use]
pub(super) fn ahead<'a>(object: &Object, queues: &[ModelQueue<'a>]) -> Option<&'a Object> {
    let key = object.key();
    queues.iter().find_map(|queue| {
        let index = queue.waiting.iter().position(|waiting| waiting.key() == key)?;
        queue.running.first().or_else(|| queue.waiting.get(index.checked_sub(1)?)).copied()
    })
}

/// For how many seconds a resource has been running or waiting.
#[must_use]
pub fn elapsed(object: &Object, now: Timestamp) -> Option<i64> {
    let run = object.run()?;
    let waited = || (run.state == RunState::Waiting).then(|| run.waiting_since_time.unwrap_or(run.requested_time).timestamp());
    running_seconds(run, now).or_else(|| Some(now.duration_since(waited()?).as_secs().max(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tabular_operator::api::Kind;

    use super::*;
    use crate::facts::order;
    use crate::fixture::{NOW, at, ended, object_with, run, visible};

    /// A refresh on the model `M` with this uid, whose run has these fields, and whose runs take 10 minutes.
    fn object(name: &str, uid: &str, fields: Value) -> Object {
        let run = run("M", fields);
        let metadata = json!({"name": name, "namespace": "bi", "uid": uid, "creationTimestamp": "2026-11-01T00:00:00Z"});
        let history = vec![ended(1, "2026-11-28T21:12:00Z", "Succeeded", 600, ""); 3];
        let (spec, status) = (json!({"model": run["model"]}), json!({"observedGeneration": 1, "run": run, "history": history}));
        object_with(Kind::ModelRefresh, &metadata, &spec, &status)
    }

    fn names(objects: &[&Object]) -> Vec<String> {
        objects.iter().map(|object| object.name()).collect()
    }

    #[test]
    fn stuck_run_has_no_turn() {
        for (state, reason) in [("Submitting", "SubmissionUnknown"), ("Running", "Retrying"), ("Cancelling", "AccessDenied")] {
            let objects = [
                object("stuck", "1", json!({"state": state, "reason": reason})),
                object("first", "2", json!({"state": "Waiting", "reason": "WaitingForTurn"})),
                object("second", "3", json!({"state": "Waiting", "reason": "WaitingForTurn"})),
            ];
            let queues = queues(visible(&objects));
            assert_eq!(names(&queues[0].running), Vec::<String>::new(), "{state} {reason}");
            assert_eq!(queues[0].starts_in(1, at(NOW)), Some(600), "{state} {reason}");
            assert_eq!(ahead(&objects[1], &queues).map(Object::name), None, "{state} {reason}");
            assert_eq!(ahead(&objects[2], &queues).map(Object::name), Some("first".to_owned()), "{state} {reason}");
        }
    }

    #[test]
    fn start_is_estimated_only_for_runs_that_wait_for_their_turn() {
        let starts = |first: &str, second: &str| {
            let waits = |uid: &str, reason: &str| object(uid, uid, json!({"state": "Waiting", "reason": reason}));
            let objects = [waits("1", first), waits("2", second)];
            let queue = queues(visible(&objects)).remove(0);
            [queue.starts_in(0, at(NOW)), queue.starts_in(1, at(NOW))]
        };
        assert_eq!(starts("Submitting", "WaitingForTurn"), [None, Some(600)], "the first may start now");
        assert_eq!(starts("WaitingForTurn", "ModelBusy"), [None, None]);
        for reason in ["ModelBusy", "BackingOff", "CapacityExceeded", "ReasonOfANewerVersion"] {
            assert_eq!(starts(reason, "WaitingForTurn"), [None, None], "{reason}");
        }
    }

    #[test]
    fn uid_orders_runs_that_were_requested_at_the_same_time() {
        let waits = |name: &str, uid: &str| object(name, uid, json!({"state": "Waiting", "reason": "WaitingForTurn"}));
        let mut objects = [waits("a", "3"), waits("b", "2"), waits("c", "1")];
        assert_eq!(names(&queues(visible(&objects))[0].waiting), ["c", "b", "a"]);
        order(&mut objects, at(NOW));
        assert_eq!(names(&objects.iter().collect::<Vec<_>>()), ["c", "b", "a"]);
    }
}
