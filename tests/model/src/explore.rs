//! Every state of a small world, breadth first, so that what is found is found by a shortest way.
//!
//! A state that was met before is not looked into again. Only a number of 64 bits is kept of it ([`World::print`]): with 10
//! million states the chance that two of them share one, and that one is missed, is 3 in a million.
//!
//! Why not a model checker from the shelf: stateright, the one for Rust, judges states and not steps, does not find what never
//! ends in a world with cycles (its own documentation says so), and brings a web server along.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::calm::{self, Known};
use crate::scenario::Scenario;
use crate::world::{Action, Broken, Mind, World};

/// How many states of a level one thread takes at once.
const CHUNK: usize = 256;
const SHARDS: usize = 64;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Distinct states.
    pub states: usize,
    /// Steps from one state to another.
    pub steps: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Moments of quiet stories.
    pub calm: usize,
    /// Whether every state was looked into.
    pub exhausted: bool,
    /// The law that is broken, and the way there.
    pub broken: Option<(Vec<Action>, Broken)>,
}

/// The way to a state.
#[derive(Debug)]
struct Trail {
    action: Action,
    before: Option<Arc<Trail>>,
}

#[derive(Clone, Debug)]
struct Node {
    world: World,
    trail: Option<Arc<Trail>>,
}

/// What all threads share.
struct Search {
    visited: Vec<Mutex<HashSet<u64>>>,
    known: Known,
    steps: AtomicUsize,
    stop: AtomicBool,
    broken: Mutex<Option<(Vec<Action>, Broken)>>,
}

/// Explores a scenario until nothing is new, or its bound is reached, or a law is broken.
#[must_use]
pub fn explore(scenario: &Arc<Scenario>, threads: usize) -> Found {
    let most = scenario.bound.unwrap_or(usize::MAX);
    let search = Search {
        visited: (0..SHARDS).map(|_| Mutex::default()).collect(),
        known: Known::default(),
        steps: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        broken: Mutex::new(None),
    };
    let first = Node { world: World::new(scenario), trail: None };
    search.is_new(&first.world);
    let (mut frontier, mut states, mut depth) = (vec![first], 1, 0);
    while !frontier.is_empty() && states < most && !search.stop.load(Ordering::Relaxed) {
        frontier = search.level(&frontier, threads);
        states += frontier.len();
        depth += usize::from(!frontier.is_empty());
    }
    let broken = search.broken.lock().ok().and_then(|mut broken| broken.take());
    Found {
        states,
        steps: search.steps.load(Ordering::Relaxed),
        depth,
        calm: search.known.len(),
        exhausted: frontier.is_empty() && broken.is_none(),
        broken,
    }
}

impl Search {
    fn is_new(&self, world: &World) -> bool {
        let print = world.print(true);
        // Whoever held the lock and panicked has ended the search anyway.
        self.visited[(print % SHARDS as u64) as usize].lock().is_ok_and(|mut shard| shard.insert(print))
    }

    /// The states that are one step further and new.
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
            let mut next = Node { world: node.world.clone(), trail: Some(Arc::new(Trail { action, before: node.trail.clone() })) };
            self.steps.fetch_add(1, Ordering::Relaxed);
            if let Err(broken) = next.world.play(action) {
                self.breaks(&next, broken);
                return;
            }
            if is_between(&next.world) {
                self.expand(&next, found);
            } else if self.is_new(&next.world) {
                if let Err(broken) = calm::down(&next.world, &self.known, |_, _| {}) {
                    self.breaks(&next, broken);
                    return;
                }
                found.push(next);
            }
        }
    }

    fn breaks(&self, node: &Node, broken: Broken) {
        self.stop.store(true, Ordering::Relaxed);
        let mut actions = Vec::new();
        let mut trail = node.trail.as_ref();
        while let Some(step) = trail {
            actions.push(step.action);
            trail = step.before.as_ref();
        }
        actions.reverse();
        if let Ok(mut first) = self.broken.lock() {
            // Of two that are found at once the shorter one, and always the same.
            if first.as_ref().is_none_or(|(other, _)| actions.len() < other.len()) {
                *first = Some((actions, broken));
            }
        }
    }
}

/// Whether a reconciliation waits between its decision and the effect: nothing else happens meanwhile, so it is no state of its own.
fn is_between(world: &World) -> bool {
    let committed = |mind: &Mind| mind.task.as_ref().is_some_and(|task| task.is_committed());
    world.operators.iter().any(|operator| operator.minds.iter().any(committed))
}
