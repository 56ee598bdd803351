//! An index of `trigger.afterRefresh`. It finds the dependents of a changed refresh without a search of all resources, and detects cycles.
//!
//! A reconciliation records the upstream of its resource before it reads the upstream from the cache. The watch finds the dependents
//! after the cache shows a change. So either the reconciliation observes the change, or another reconciliation starts.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::api::{Kind, ResourceKey};

/// The maximum number of names of a cycle in a message.
const MAX_NAMES: usize = 8;

/// A hash of everything in an upstream that is relevant to its dependents. `None` if the upstream does not exist.
pub(crate) type UpstreamFingerprint = Option<u64>;

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
}

#[derive(Debug, Default)]
struct UpstreamEntry {
    dependents: BTreeSet<ResourceKey>,
    /// The state that its dependents were last notified of. `None` if they never were.
    reported: Option<UpstreamFingerprint>,
}

impl DependencyIndex {
    /// Records the upstream of a resource. If it has changed, returns all direct and indirect dependents of the resource, because they may
    /// have become part of a cycle or left one.
    pub(crate) fn set_upstream(&self, name: &ResourceKey, upstream: Option<&str>) -> Vec<ResourceKey> {
        let upstream = upstream.map(|name_of_upstream| refresh_key(name, name_of_upstream));
        let mut state = self.state.lock();
        if state.upstream_of.get(name) == upstream.as_ref() {
            return Vec::new();
        }
        state.remove_edge(name);
        if let Some(upstream) = upstream {
            state.upstreams.entry(upstream.clone()).or_default().dependents.insert(name.clone());
            state.upstream_of.insert(name.clone(), upstream);
        }
        state.all_dependents(name)
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

    /// The cycle that a resource is part of, as the names in it: `a → b → a`.
    pub(crate) fn cycle(&self, name: &ResourceKey) -> Option<String> {
        let state = self.state.lock();
        let mut path = vec![name];
        let mut visited = BTreeSet::new();
        loop {
            let next = state.upstream_of.get(*path.last()?)?;
            if next == name {
                break;
            }
            // The resource leads to this cycle but is not part of it.
            if !visited.insert(next) {
                return None;
            }
            path.push(next);
        }
        let mut names: Vec<&str> = path.iter().take(MAX_NAMES).map(|name| name.name.as_str()).collect();
        let more = path.len().saturating_sub(MAX_NAMES);
        let more = (more > 0).then(|| format!("{more} more"));
        names.extend(more.as_deref());
        names.push(&name.name);
        Some(names.join(" → "))
    }
}

impl State {
    fn remove_edge(&mut self, name: &ResourceKey) {
        let Some(before) = self.upstream_of.remove(name) else { return };
        if let Some(upstream) = self.upstreams.get_mut(&before) {
            upstream.dependents.remove(name);
            if upstream.dependents.is_empty() {
                self.upstreams.remove(&before);
            }
        }
    }

    /// The direct and indirect dependents of a resource.
    fn all_dependents(&self, name: &ResourceKey) -> Vec<ResourceKey> {
        let mut dependents = Vec::new();
        let mut visited = BTreeSet::from([name]);
        let mut next = vec![name];
        while let Some(name) = next.pop() {
            for dependent in self.upstreams.get(name).iter().flat_map(|upstream| &upstream.dependents) {
                if visited.insert(dependent) {
                    dependents.push(dependent.clone());
                    next.push(dependent);
                }
            }
        }
        dependents
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

    #[test]
    fn cycle_is_reported_only_to_its_members() {
        let index = DependencyIndex::default();
        assert_eq!(index.set_upstream(&sync("s"), Some("a")), []);
        assert_eq!(index.set_upstream(&name("a"), Some("b")), [sync("s")]);
        assert_eq!(index.set_upstream(&name("b"), Some("c")), [name("a"), sync("s")]);
        assert_eq!(index.cycle(&name("a")), None);
        let mut dependents = index.set_upstream(&name("c"), Some("a"));
        dependents.sort();
        assert_eq!(dependents, [name("a"), name("b"), sync("s")]);
        assert_eq!(index.cycle(&name("a")).as_deref(), Some("a → b → c → a"));
        assert_eq!(index.cycle(&name("c")).as_deref(), Some("c → a → b → c"));
        assert_eq!(index.cycle(&sync("s")), None);
        // A repeated record of the same upstream returns no dependents.
        assert_eq!(index.set_upstream(&name("c"), Some("a")), []);
        let mut dependents = index.set_upstream(&name("c"), None);
        dependents.sort();
        assert_eq!(dependents, [name("a"), name("b"), sync("s")]);
        assert_eq!(index.cycle(&name("a")), None);
        index.set_upstream(&name("d"), Some("d"));
        assert_eq!(index.cycle(&name("d")).as_deref(), Some("d → d"));
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
