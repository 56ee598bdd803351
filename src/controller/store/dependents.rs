//! An index of `trigger.afterRefresh`. It finds the dependents of a changed refresh without a search of all resources, and detects cycles.
//!
//! A reconciliation records the upstream of its resource before it reads the upstream from the cache. The watch finds the dependents
//! after the cache shows a change. So either the reconciliation observes the change, or another reconciliation starts.

use std::collections::{BTreeSet, HashMap, btree_set};
use std::iter;

use parking_lot::Mutex;

use crate::api::{Kind, ResourceKey};

/// The maximum number of names of a cycle in a message.
const MAX_NAMES: usize = 8;

/// A hash of everything in an upstream that is relevant to its dependents. `None` if the upstream does not exist.
pub(crate) type UpstreamFingerprint = Option<u64>;

#[cfg(test)]
thread_local! {
    /// How many times this thread has read the upstream of a resource.
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The index of dependents.
#[derive(Debug, Default)]
pub(crate) struct DependencyIndex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The upstream of each dependent.
    upstream_of: HashMap<ResourceKey, ResourceKey>,
    /// Each upstream, whether it exists or not.
    upstreams: HashMap<ResourceKey, UpstreamEntry>,
    /// The number of members of the cycle of each resource that is part of one.
    cycles: HashMap<ResourceKey, usize>,
}

#[derive(Debug, Default)]
struct UpstreamEntry {
    dependents: BTreeSet<ResourceKey>,
    /// The state that its dependents were last notified of. `None` if they never were.
    reported: Option<UpstreamFingerprint>,
}

impl DependencyIndex {
    /// Records the upstream of a resource. If it has changed, returns the other members of the cycle that the resource has left, and of the
    /// one that it has become part of. The other resources that depend on it, directly or not, are not affected.
    pub(crate) fn set_upstream(&self, name: &ResourceKey, upstream: Option<&str>) -> BTreeSet<ResourceKey> {
        let upstream = upstream.map(|name_of_upstream| refresh_key(name, name_of_upstream));
        let mut state = self.state.lock();
        if state.upstream_of.get(name) == upstream.as_ref() {
            return BTreeSet::new();
        }
        let mut members = state.open_cycle(name);
        state.remove_edge(name);
        if let Some(upstream) = upstream {
            members.append(&mut state.add_edge(name, upstream));
        }
        members
    }

    /// Records the state of a refresh, and returns its dependents if it has changed.
    pub(crate) fn changed(&self, name: &ResourceKey, fingerprint: impl FnOnce() -> UpstreamFingerprint) -> Vec<ResourceKey> {
        if !self.state.lock().upstreams.contains_key(name) {
            return Vec::new();
        }
        let fingerprint = Some(fingerprint());
        let mut state = self.state.lock();
        match state.upstreams.get_mut(name) {
            Some(upstream) if upstream.reported != fingerprint => {
                upstream.reported = fingerprint;
                upstream.dependents.iter().cloned().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The upstreams in one namespace or in all.
    pub(crate) fn upstreams_in(&self, namespace: Option<&str>) -> Vec<ResourceKey> {
        let state = self.state.lock();
        state.upstreams.keys().filter(|name| namespace.is_none_or(|namespace| namespace == name.namespace)).cloned().collect()
    }

    /// Number of resources with an upstream.
    pub(crate) fn dependents(&self) -> usize {
        self.state.lock().upstream_of.len()
    }

    /// Number of upstreams.
    pub(crate) fn upstreams(&self) -> usize {
        self.state.lock().upstreams.len()
    }

    /// The cycle that a resource is part of, as the names in it: `a → b → a`.
    pub(crate) fn cycle(&self, name: &ResourceKey) -> Option<String> {
        let state = self.state.lock();
        let count = *state.cycles.get(name)?;
        let path = iter::successors(Some(name), |member| state.upstream(member));
        let mut names: Vec<&str> = path.take(count.min(MAX_NAMES)).map(|member| member.name.as_str()).collect();
        let more = count.saturating_sub(MAX_NAMES);
        let more = (more > 0).then(|| format!("{more} more"));
        names.extend(more.as_deref());
        names.push(&name.name);
        Some(names.join(" → "))
    }
}

impl State {
    /// The upstream of a resource.
    fn upstream(&self, name: &ResourceKey) -> Option<&ResourceKey> {
        #[cfg(test)]
        STEPS.with(|count| count.set(count.get() + 1));
        self.upstream_of.get(name)
    }

    /// The direct dependents of a resource, if it has any.
    fn dependents(&self, name: &ResourceKey) -> Option<btree_set::Iter<'_, ResourceKey>> {
        self.upstreams.get(name).map(|upstream| upstream.dependents.iter())
    }

    /// The other members of the cycle that a resource is part of.
    fn other_members(&self, name: &ResourceKey) -> BTreeSet<ResourceKey> {
        iter::successors(self.upstream(name), |member| self.upstream(member)).take_while(|member| *member != name).cloned().collect()
    }

    /// Forgets the cycle of a resource whose upstream is about to change, and returns its other members.
    fn open_cycle(&mut self, name: &ResourceKey) -> BTreeSet<ResourceKey> {
        if self.cycles.remove(name).is_none() {
            return BTreeSet::new();
        }
        let others = self.other_members(name);
        for member in &others {
            self.cycles.remove(member);
        }
        others
    }

    fn remove_edge(&mut self, name: &ResourceKey) {
        let Some(before) = self.upstream_of.remove(name) else { return };
        if let Some(upstream) = self.upstreams.get_mut(&before) {
            upstream.dependents.remove(name);
            if upstream.dependents.is_empty() {
                self.upstreams.remove(&before);
            }
        }
    }

    /// Adds the upstream of a resource that has none. If this forms a cycle, returns its other members.
    fn add_edge(&mut self, name: &ResourceKey, upstream: ResourceKey) -> BTreeSet<ResourceKey> {
        let forms_cycle = self.leads_to(&upstream, name);
        self.upstreams.entry(upstream.clone()).or_default().dependents.insert(name.clone());
        self.upstream_of.insert(name.clone(), upstream);
        if !forms_cycle {
            return BTreeSet::new();
        }
        let others = self.other_members(name);
        let count = others.len().saturating_add(1);
        for member in others.iter().chain([name]) {
            self.cycles.insert(member.clone(), count);
        }
        others
    }

    /// Whether the upstreams from `start` on lead to `end`, which has no upstream itself. The search goes up from `start` and down from
    /// `end` in turn, so that it takes no longer than twice the smaller part. From one side alone, the registration of a chain of resources
    /// would take time in proportion to the square of its length.
    fn leads_to(&self, start: &ResourceKey, end: &ResourceKey) -> bool {
        let mut above = start;
        let mut below: Vec<btree_set::Iter<'_, ResourceKey>> = self.dependents(end).into_iter().collect();
        while above != end {
            match self.upstream(above) {
                // A cycle leads nowhere else, and `end` is not part of one.
                Some(next) if !self.cycles.contains_key(next) => above = next,
                Some(_) | None => return false,
            }
            let Some(level) = below.last_mut() else { return false };
            match level.next() {
                Some(dependent) if dependent == start => return true,
                Some(dependent) => below.extend(self.dependents(dependent)),
                None => {
                    below.pop();
                }
            }
        }
        true
    }
}

/// The key of the refresh with this name in the namespace of a dependent.
pub(crate) fn refresh_key(dependent: &ResourceKey, name: &str) -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: dependent.namespace.clone(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ResourceKey {
        ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: name.to_owned() }
    }

    fn sync(name: &str) -> ResourceKey {
        ResourceKey { kind: Kind::ModelSync, ..self::name(name) }
    }

    #[test]
    fn dependents_of_both_kinds_are_notified_of_changes() {
        let index = DependencyIndex::default();
        assert_eq!(index.changed(&name("a"), || panic!("it has no dependents")), []);
        index.set_upstream(&name("b"), Some("a"));
        index.set_upstream(&sync("a"), Some("a"));
        let both = [name("b"), sync("a")];
        // The state that new dependents observed is unknown, so any state is a change, also a missing upstream.
        assert_eq!(index.changed(&name("a"), || None), both);
        assert_eq!(index.changed(&name("a"), || None), []);
        assert_eq!(index.changed(&name("a"), || Some(1)), both);
        assert_eq!(index.changed(&name("a"), || Some(1)), []);
        assert_eq!(index.changed(&name("a"), || Some(2)), both);
        // The same name in another namespace or of another kind.
        assert_eq!(index.changed(&ResourceKey { namespace: "x".to_owned(), ..name("a") }, || Some(3)), []);
        assert_eq!(index.changed(&sync("a"), || Some(3)), []);
        index.set_upstream(&name("b"), None);
        assert_eq!(index.changed(&name("a"), || Some(3)), [sync("a")]);
        index.set_upstream(&sync("a"), Some("c"));
        assert_eq!(index.upstreams_in(None), [name("c")]);
        assert_eq!(index.upstreams_in(Some("x")), []);
        assert_eq!(index.upstreams_in(Some("bi")), [name("c")]);
    }

    /// The names of the resources to which a change of an upstream is reported, in order.
    fn reported(index: &DependencyIndex, of: &ResourceKey, upstream: Option<&str>) -> Vec<ResourceKey> {
        index.set_upstream(of, upstream).into_iter().collect()
    }

    #[test]
    fn cycle_is_reported_only_to_its_members() {
        let index = DependencyIndex::default();
        assert_eq!(reported(&index, &sync("s"), Some("a")), []);
        assert_eq!(reported(&index, &name("a"), Some("b")), []);
        assert_eq!(reported(&index, &name("b"), Some("c")), []);
        assert_eq!(index.cycle(&name("a")), None);
        assert_eq!(reported(&index, &name("c"), Some("a")), [name("a"), name("b")], "not the sync after it");
        assert_eq!(index.cycle(&name("a")).as_deref(), Some("a → b → c → a"));
        assert_eq!(index.cycle(&name("c")).as_deref(), Some("c → a → b → c"));
        assert_eq!(index.cycle(&sync("s")), None);
        // A repeated record of the same upstream affects no other resource, and neither does one that follows the cycle.
        assert_eq!(reported(&index, &name("c"), Some("a")), []);
        assert_eq!(reported(&index, &name("e"), Some("b")), []);
        assert_eq!(index.cycle(&name("e")), None);
        assert_eq!(reported(&index, &name("c"), None), [name("a"), name("b")]);
        assert_eq!(index.cycle(&name("a")), None);
        assert_eq!(reported(&index, &name("d"), Some("d")), []);
        assert_eq!(index.cycle(&name("d")).as_deref(), Some("d → d"));
    }

    #[test]
    fn members_of_both_cycles_are_notified() {
        let index = DependencyIndex::default();
        for (of, upstream) in [("a", "b"), ("b", "a"), ("c", "d"), ("d", "b")] {
            index.set_upstream(&name(of), Some(upstream));
        }
        assert_eq!(index.cycle(&name("b")).as_deref(), Some("b → a → b"));
        assert_eq!(index.cycle(&name("c")), None, "it follows the cycle");
        assert_eq!(reported(&index, &name("b"), Some("c")), [name("a"), name("c"), name("d")]);
        assert_eq!((index.cycle(&name("a")), index.cycle(&name("d")).as_deref()), (None, Some("d → b → c → d")));
        assert_eq!(reported(&index, &name("d"), None), [name("b"), name("c")]);
        assert!(index.state.lock().cycles.is_empty());
    }

    /// How many steps an action takes.
    fn steps(action: impl FnOnce()) -> usize {
        let before = STEPS.get();
        action();
        STEPS.get() - before
    }

    #[test]
    fn registration_of_a_chain_takes_linear_work() {
        const COUNT: usize = 5_000;
        let key = |number: usize| name(&format!("r{number:04}"));
        let in_order: Vec<usize> = (0..COUNT).collect();
        let reversed: Vec<usize> = (0..COUNT).rev().collect();
        // The factor and the number of resources have no common divisor.
        let mixed: Vec<usize> = (0..COUNT).map(|number| number * 2_879 % COUNT).collect();
        for order in [in_order, reversed, mixed] {
            let index = DependencyIndex::default();
            let mut notified = 0;
            let taken = steps(|| {
                for number in &order {
                    notified += index.set_upstream(&key(*number), Some(&key(number + 1).name)).len();
                }
            });
            assert_eq!(notified, 0, "no edge of a chain affects another resource");
            // The smaller part of a chain is searched, so each resource at most log2(5000) times.
            assert!(taken <= 20 * COUNT, "{taken} steps");
            assert_eq!(steps(|| assert!((0..COUNT).all(|number| index.cycle(&key(number)).is_none()))), 0);
            // The last one closes the chain.
            assert_eq!(index.set_upstream(&key(COUNT), Some(&key(0).name)).len(), COUNT);
            assert_eq!(steps(|| assert!(index.cycle(&key(7)).is_some())), MAX_NAMES);
            assert_eq!(index.set_upstream(&key(COUNT), None).len(), COUNT);
        }
    }

    #[test]
    fn cycle_is_found_in_every_order() {
        const COUNT: usize = 64;
        let key = |number: usize| name(&format!("r{:02}", number % COUNT));
        for factor in (1..COUNT).step_by(2) {
            let index = DependencyIndex::default();
            for number in (0..COUNT).map(|number| number * factor % COUNT) {
                // Each has dependents beside the cycle.
                index.set_upstream(&sync(&number.to_string()), Some(&key(number).name));
                index.set_upstream(&name(&format!("beside-{number}")), Some(&key(number).name));
                assert_eq!(index.cycle(&key(0)), None);
                index.set_upstream(&key(number), Some(&key(number + 1).name));
            }
            assert!((0..COUNT).all(|number| index.cycle(&key(number)).is_some()), "{factor}");
            assert_eq!(index.state.lock().cycles.len(), COUNT);
        }
    }

    #[test]
    fn long_cycle_is_abbreviated() {
        let index = DependencyIndex::default();
        for number in 0..1000 {
            index.set_upstream(&name(&number.to_string()), Some(&((number + 1) % 1000).to_string()));
        }
        assert_eq!(index.cycle(&name("0")).as_deref(), Some("0 → 1 → 2 → 3 → 4 → 5 → 6 → 7 → 992 more → 0"));
    }
}
