//! Permits that namespaces share fairly: for reconciliations, for requests to the Kubernetes API, and for calls to a server.
//!
//! Waiting namespaces take turns, one permit each. One namespace never holds all permits: its permits stay in proportion to the free
//! ones, so that another namespace rarely waits behind slow requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many permits a namespace may hold for each free one. Of 64, a single namespace gets 48, and each of four gets 15.
const MAX_HELD_PER_FREE: usize = 3;

/// A number of permits. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct FairSemaphore(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// The number of held permits by namespace, without zeros.
    held: HashMap<String, usize>,
    /// The waiting callers by namespace, in order of arrival.
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Permit>>>,
    /// The namespace that had the last turn.
    last: String,
}

/// A permit. Dropping it returns it.
#[derive(Debug)]
pub(crate) struct Permit {
    semaphore: Option<FairSemaphore>,
    namespace: String,
}

impl FairSemaphore {
    pub(crate) fn new(count: usize) -> Self {
        let state = State { free: count, held: HashMap::new(), waiting: BTreeMap::new(), last: String::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Number of callers that hold a permit or wait for one.
    pub(crate) fn callers(&self) -> usize {
        let state = self.0.lock();
        state.held.values().sum::<usize>() + state.waiting.values().map(VecDeque::len).sum::<usize>()
    }

    /// Waits for a permit. Cancel-safe: a dropped call takes none.
    pub(crate) async fn acquire(&self, namespace: &str) -> Option<Permit> {
        let (turn, granted) = oneshot::channel();
        {
            let mut state = self.0.lock();
            let queue = state.waiting.entry(namespace.to_owned()).or_default();
            // Those who gave up do not accumulate while no permit becomes free.
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
            queue.push_back(turn);
            self.grant(&mut state);
        }
        // The sender waits in the queue until it is served, so this is always a permit.
        granted.await.ok()
    }

    /// Whether a permit is held or awaited, or another clone exists.
    pub(crate) fn is_in_use(&self) -> bool {
        // A permit has a clone, and a waiting caller a reference to one.
        Arc::strong_count(&self.0) > 1
    }

    /// Grants permits to waiting callers while any are free.
    fn grant(&self, state: &mut State) {
        while let Some(namespace) = state.next() {
            let Some(queue) = state.waiting.get_mut(&namespace) else { return };
            let turn = queue.pop_front();
            if queue.is_empty() {
                state.waiting.remove(&namespace);
            }
            let permit = Permit { semaphore: Some(self.clone()), namespace: namespace.clone() };
            match turn.map(|turn| turn.send(permit)) {
                Some(Ok(())) => {
                    state.free -= 1;
                    *state.held.entry(namespace.clone()).or_default() += 1;
                    state.last = namespace;
                }
                // The caller no longer waits. The permit was not counted, and its `Drop` would take the held lock.
                Some(Err(mut permit)) => permit.semaphore = None,
                None => {}
            }
        }
    }
}

impl State {
    /// The next namespace that may take a permit.
    fn next(&self) -> Option<String> {
        let left = self.free.checked_sub(1)?;
        let may_have_more = |namespace: &&String| self.held.get(*namespace).is_none_or(|held| *held <= MAX_HELD_PER_FREE * left);
        let after = self.waiting.range::<str, _>((Bound::Excluded(self.last.as_str()), Bound::Unbounded));
        let before = self.waiting.range::<str, _>((Bound::Unbounded, Bound::Included(self.last.as_str())));
        after.chain(before).map(|(namespace, _)| namespace).find(may_have_more).cloned()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(semaphore) = self.semaphore.take() else { return };
        let mut state = semaphore.0.lock();
        state.free += 1;
        let namespace = mem::take(&mut self.namespace);
        let held = state.held.get(&namespace).map_or(0, |held| held.saturating_sub(1));
        if held == 0 {
            state.held.remove(&namespace);
        } else {
            state.held.insert(namespace, held);
        }
        semaphore.grant(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    type Waiting = BoxFuture<'static, Option<Permit>>;

    /// Starts to wait for a permit.
    fn wait(semaphore: &FairSemaphore, namespace: &str) -> Waiting {
        let (semaphore, namespace) = (semaphore.clone(), namespace.to_owned());
        let mut waiting = async move { semaphore.acquire(&namespace).await }.boxed();
        match (&mut waiting).now_or_never() {
            Some(permit) => std::future::ready(permit).boxed(),
            None => waiting,
        }
    }

    /// Removes the granted permits from the waiting calls.
    fn granted(waiting: &mut Vec<Waiting>) -> Vec<Permit> {
        let mut permits = Vec::new();
        waiting.retain_mut(|waiting| match waiting.now_or_never() {
            Some(permit) => {
                permits.extend(permit);
                false
            }
            None => true,
        });
        permits
    }

    #[test]
    fn namespaces_take_turns_regardless_of_arrival() {
        let semaphore = FairSemaphore::new(1);
        let first = semaphore.acquire("a").now_or_never();
        let mut waiting: Vec<Waiting> = ["a", "a", "a", "c", "b", "b"].iter().map(|namespace| wait(&semaphore, namespace)).collect();
        drop(first);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let served = granted(&mut waiting);
            order.extend(served.iter().map(|permit| permit.namespace.clone()));
        }
        assert_eq!(order, ["b", "c", "a", "b", "a", "a"]);
    }

    #[test]
    fn one_namespace_leaves_permits_for_another() {
        for (total, most) in [(1, 1), (2, 1), (16, 12), (64, 48)] {
            let semaphore = FairSemaphore::new(total);
            let mut waiting: Vec<Waiting> = (0..2 * total).map(|_| wait(&semaphore, "greedy")).collect();
            let held = granted(&mut waiting);
            assert_eq!(held.len(), most, "of {total}");
            if total > 1 {
                assert!(wait(&semaphore, "other").now_or_never().is_some(), "of {total}");
            }
        }
    }

    #[test]
    fn waiting_namespace_gets_next_permit_before_greedy_ones() {
        let semaphore = FairSemaphore::new(64);
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        for namespace in ["a", "b", "c", "d"] {
            waiting.extend((0..64).map(|_| wait(&semaphore, namespace)));
            held.extend(granted(&mut waiting));
        }
        assert_eq!(held.len(), 64);
        let other = wait(&semaphore, "e");
        held.pop();
        assert!(other.now_or_never().is_some());
    }

    #[test]
    fn greedy_namespaces_get_equal_shares() {
        let semaphore = FairSemaphore::new(64);
        let (mut held, mut waiting) = (VecDeque::new(), Vec::new());
        for namespace in ["a", "b", "c", "d"] {
            waiting.extend((0..1_000).map(|_| wait(&semaphore, namespace)));
            held.extend(granted(&mut waiting));
        }
        for _ in 0..200 {
            held.pop_front();
            held.extend(granted(&mut waiting));
        }
        for namespace in ["a", "b", "c", "d"] {
            let count = held.iter().filter(|permit| permit.namespace == namespace).count();
            assert!((12..=16).contains(&count), "{namespace} has {count}");
        }
        assert!(wait(&semaphore, "e").now_or_never().is_some(), "there is a permit for another");
    }

    #[test]
    fn cancelled_waiters_lose_no_permits() {
        let semaphore = FairSemaphore::new(1);
        let first = semaphore.acquire("a").now_or_never();
        let given_up = wait(&semaphore, "a");
        let granted_and_given_up = wait(&semaphore, "b");
        let mut waits = wait(&semaphore, "c");
        drop(given_up);
        drop(first);
        assert!((&mut waits).now_or_never().is_none(), "it is b's turn");
        drop(granted_and_given_up);
        assert!(waits.now_or_never().is_some());
        let state = semaphore.0.lock();
        assert!(state.waiting.is_empty());
    }

    #[test]
    fn held_permit_is_a_use() {
        let semaphore = FairSemaphore::new(2);
        assert!(!semaphore.is_in_use());
        let permit = semaphore.acquire("a").now_or_never();
        assert!(semaphore.is_in_use());
        drop(permit);
        assert!(!semaphore.is_in_use());
    }

    #[test]
    fn cancelled_waiters_do_not_accumulate() {
        let semaphore = FairSemaphore::new(1);
        let held = semaphore.acquire("a").now_or_never();
        for _ in 0..100 {
            drop(wait(&semaphore, "a"));
        }
        assert_eq!(semaphore.0.lock().waiting["a"].len(), 1);
        drop(held);
    }

    #[test]
    fn all_permits_are_returned() {
        let semaphore = FairSemaphore::new(3);
        for round in 0..50 {
            let mut waiting: Vec<Waiting> = (0..10).map(|n| wait(&semaphore, ["a", "b", "c"][(n + round) % 3])).collect();
            while !waiting.is_empty() {
                drop(granted(&mut waiting));
            }
        }
        let state = semaphore.0.lock();
        assert_eq!((state.free, state.held.len(), state.waiting.len()), (3, 0, 0));
    }
}
