//! Visits every state of a small world, breadth first, so that a violation is found with a shortest trace.
//!
//! A known state is not visited again. Of each state only a 64-bit hash is stored ([`World::fingerprint`]). With 10 million states, the
//! probability that two states share a hash, so that one is missed, is 3 in a million.
//!
//! Why not an existing model checker: stateright, the one for Rust, checks states and not steps, does not detect missing progress in a
//! world with cycles (its documentation says so), and depends on a web server.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::quiesce::{self, KnownStates};
use crate::scenario::Scenario;
use crate::world::{Action, ResourceState, Violation, World};

/// How many states of a level one thread takes at once.
const CHUNK: usize = 256;
const SHARDS: usize = 64;

/// The result of an exploration.
#[derive(Debug)]
pub struct Exploration {
    /// The number of distinct states.
    pub states: usize,
    /// The number of steps between states.
    pub steps: usize,
    /// The longest of the shortest traces.
    pub depth: usize,
    /// The number of states of continuations without faults.
    pub quiescent_states: usize,
    /// Whether every state was visited.
    pub exhausted: bool,
    /// The violation, and the actions that lead to it.
    pub violation: Option<(Vec<Action>, Violation)>,
}

/// The actions that lead to a state.
#[derive(Debug)]
struct Trace {
    action: Action,
    before: Option<Arc<Trace>>,
}

#[derive(Clone, Debug)]
struct Node {
    world: World,
    trace: Option<Arc<Trace>>,
}

/// The data that all threads share.
struct Search {
    visited: Vec<Mutex<HashSet<u64>>>,
    known: KnownStates,
    steps: AtomicUsize,
    stop: AtomicBool,
    violation: Mutex<Option<(Vec<Action>, Violation)>>,
}

/// Explores a scenario until every state is visited, its bound is reached, or an invariant is violated.
#[must_use]
pub fn explore(scenario: &Arc<Scenario>, threads: usize) -> Exploration {
    let max_states = scenario.max_states.unwrap_or(usize::MAX);
    let search = Search {
        visited: (0..SHARDS).map(|_| Mutex::default()).collect(),
        known: KnownStates::default(),
        steps: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        violation: Mutex::new(None),
    };
    let first = Node { world: World::new(scenario), trace: None };
    search.is_new(&first.world);
    let (mut frontier, mut states, mut depth) = (vec![first], 1, 0);
    while !frontier.is_empty() && states < max_states && !search.stop.load(Ordering::Relaxed) {
        frontier = search.level(&frontier, threads);
        states += frontier.len();
        depth += usize::from(!frontier.is_empty());
    }
    let violation = search.violation.lock().ok().and_then(|mut violation| violation.take());
    Exploration {
        states,
        steps: search.steps.load(Ordering::Relaxed),
        depth,
        quiescent_states: search.known.len(),
        exhausted: frontier.is_empty() && violation.is_none(),
        violation,
    }
}

impl Search {
    fn is_new(&self, world: &World) -> bool {
        let fingerprint = world.fingerprint(true);
        // A thread that panicked while it held the lock has ended the search anyway.
        self.visited[(fingerprint % SHARDS as u64) as usize].lock().is_ok_and(|mut shard| shard.insert(fingerprint))
    }

    /// The new states that are one step away.
    fn level(&self, frontier: &[Node], threads: usize) -> Vec<Node> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Vec::new();
            loop {
                let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                if from >= frontier.len() || self.stop.load(Ordering::Relaxed) {
                    return found;
                }
                for node in &frontier[from..frontier.len().min(from + CHUNK)] {
                    self.expand(node, &mut found);
                }
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }

    fn expand(&self, node: &Node, found: &mut Vec<Node>) {
        for action in node.world.actions() {
            let mut next = Node { world: node.world.clone(), trace: Some(Arc::new(Trace { action, before: node.trace.clone() })) };
            self.steps.fetch_add(1, Ordering::Relaxed);
            if let Err(violation) = next.world.apply(action) {
                self.record_violation(&next, violation);
                return;
            }
            if is_between(&next.world) {
                self.expand(&next, found);
            } else if self.is_new(&next.world) {
                if let Err(violation) = quiesce::run(&next.world, &self.known, |_, _| {}) {
                    self.record_violation(&next, violation);
                    return;
                }
                found.push(next);
            }
        }
    }

    fn record_violation(&self, node: &Node, violation: Violation) {
        self.stop.store(true, Ordering::Relaxed);
        let mut actions = Vec::new();
        let mut trace = node.trace.as_ref();
        while let Some(step) = trace {
            actions.push(step.action);
            trace = step.before.as_ref();
        }
        actions.reverse();
        if let Ok(mut first) = self.violation.lock() {
            // Of several violations the one with the shortest trace is kept, so that the result is deterministic.
            if first.as_ref().is_none_or(|(other, _)| actions.len() < other.len()) {
                *first = Some((actions, violation));
            }
        }
    }
}

/// Whether a reconciliation is between its decision and the effect. Nothing else happens there, so it is no separate state.
fn is_between(world: &World) -> bool {
    let committed = |state: &ResourceState| state.task.as_ref().is_some_and(|task| task.is_committed());
    world.operators.iter().any(|operator| operator.states.iter().any(committed))
}
