//! An index of `trigger.afterRefresh`. It finds the followers of a changed refresh without a search of all resources, and detects cycles.
//!
//! A reconciliation records the upstream of its resource before it reads the upstream from the cache. The watch finds the followers
//! after the cache shows a change. So either the reconciliation observes the change, or another reconciliation follows.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::api::{Kind, ResourceKey};

/// The maximum number of names of a cycle in a message.
const SAID: usize = 8;

/// A hash of everything in an upstream that is relevant to its followers. `None` if the upstream does not exist.
pub(crate) type Sight = Option<u64>;

/// The index of followers.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The upstream of each follower.
    follows: HashMap<ResourceKey, ResourceKey>,
    /// Each upstream, whether it exists or not.
    followed: HashMap<ResourceKey, Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    by: BTreeSet<ResourceKey>,
    /// The state that its followers were last notified of. `None` if they never were.
    told: Option<Sight>,
}

impl Followers {
    /// Records the upstream of a resource. If it has changed, returns all direct and indirect followers of the resource, because they may
    /// have become part of a cycle or left one.
    pub(crate) fn note(&self, name: &ResourceKey, follows: Option<&str>) -> Vec<ResourceKey> {
        let followed = follows.map(|follows| refresh(name, follows));
        let mut known = self.known.lock();
        if known.follows.get(name) == followed.as_ref() {
            return Vec::new();
        }
        known.drop_edge(name);
        if let Some(followed) = followed {
            known.followed.entry(followed.clone()).or_default().by.insert(name.clone());
            known.follows.insert(name.clone(), followed);
        }
        known.all_behind(name)
    }

    /// Records the state of a refresh, and returns its followers if it has changed.
    pub(crate) fn tell(&self, name: &ResourceKey, sight: impl FnOnce() -> Sight) -> Vec<ResourceKey> {
        if !self.known.lock().followed.contains_key(name) {
            return Vec::new();
        }
        let sight = Some(sight());
        let mut known = self.known.lock();
        match known.followed.get_mut(name) {
            Some(followed) if followed.told != sight => {
                followed.told = sight;
                followed.by.iter().cloned().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The upstreams in one namespace or in all.
    pub(crate) fn followed_in(&self, namespace: Option<&str>) -> Vec<ResourceKey> {
        let known = self.known.lock();
        known.followed.keys().filter(|name| namespace.is_none_or(|namespace| namespace == name.namespace)).cloned().collect()
    }

    /// The cycle that a resource is part of, as the names in it: `a → b → a`.
    pub(crate) fn circle(&self, name: &ResourceKey) -> Option<String> {
        let known = self.known.lock();
        let mut path = vec![name];
        let mut passed = BTreeSet::new();
        loop {
            let next = known.follows.get(*path.last()?)?;
            if next == name {
                break;
            }
            // The resource leads to this cycle but is not part of it.
            if !passed.insert(next) {
                return None;
            }
            path.push(next);
        }
        let mut said: Vec<&str> = path.iter().take(SAID).map(|name| name.name.as_str()).collect();
        let more = path.len().saturating_sub(SAID);
        let more = (more > 0).then(|| format!("{more} more"));
        said.extend(more.as_deref());
        said.push(&name.name);
        Some(said.join(" → "))
    }
}

impl Known {
    fn drop_edge(&mut self, name: &ResourceKey) {
        let Some(before) = self.follows.remove(name) else { return };
        if let Some(followed) = self.followed.get_mut(&before) {
            followed.by.remove(name);
            if followed.by.is_empty() {
                self.followed.remove(&before);
            }
        }
    }

    /// The direct and indirect followers of a resource.
    fn all_behind(&self, name: &ResourceKey) -> Vec<ResourceKey> {
        let mut behind = Vec::new();
        let mut met = BTreeSet::from([name]);
        let mut next = vec![name];
        while let Some(name) = next.pop() {
            for follower in self.followed.get(name).iter().flat_map(|followed| &followed.by) {
                if met.insert(follower) {
                    behind.push(follower.clone());
                    next.push(follower);
                }
            }
        }
        behind
    }
}

/// The key of the refresh with this name in the namespace of a follower.
pub(crate) fn refresh(follower: &ResourceKey, name: &str) -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: follower.namespace.clone(), name: name.to_owned() }
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
    fn followers_of_both_kinds_are_notified_of_changes() {
        let followers = Followers::default();
        assert_eq!(followers.tell(&name("a"), || panic!("nobody follows it")), []);
        followers.note(&name("b"), Some("a"));
        followers.note(&sync("a"), Some("a"));
        let both = [name("b"), sync("a")];
        // The state that new followers observed is unknown, so any state is a change, also a missing upstream.
        assert_eq!(followers.tell(&name("a"), || None), both);
        assert_eq!(followers.tell(&name("a"), || None), []);
        assert_eq!(followers.tell(&name("a"), || Some(1)), both);
        assert_eq!(followers.tell(&name("a"), || Some(1)), []);
        assert_eq!(followers.tell(&name("a"), || Some(2)), both);
        // The same name in another namespace or of another kind.
        assert_eq!(followers.tell(&ResourceKey { namespace: "x".to_owned(), ..name("a") }, || Some(3)), []);
        assert_eq!(followers.tell(&sync("a"), || Some(3)), []);
        followers.note(&name("b"), None);
        assert_eq!(followers.tell(&name("a"), || Some(3)), [sync("a")]);
        followers.note(&sync("a"), Some("c"));
        assert_eq!(followers.followed_in(None), [name("c")]);
        assert_eq!(followers.followed_in(Some("x")), []);
        assert_eq!(followers.followed_in(Some("bi")), [name("c")]);
    }

    #[test]
    fn cycle_is_reported_only_to_its_members() {
        let followers = Followers::default();
        assert_eq!(followers.note(&sync("s"), Some("a")), []);
        assert_eq!(followers.note(&name("a"), Some("b")), [sync("s")]);
        assert_eq!(followers.note(&name("b"), Some("c")), [name("a"), sync("s")]);
        assert_eq!(followers.circle(&name("a")), None);
        let mut behind = followers.note(&name("c"), Some("a"));
        behind.sort();
        assert_eq!(behind, [name("a"), name("b"), sync("s")]);
        assert_eq!(followers.circle(&name("a")).as_deref(), Some("a → b → c → a"));
        assert_eq!(followers.circle(&name("c")).as_deref(), Some("c → a → b → c"));
        assert_eq!(followers.circle(&sync("s")), None);
        // A repeated record of the same upstream returns no followers.
        assert_eq!(followers.note(&name("c"), Some("a")), []);
        let mut behind = followers.note(&name("c"), None);
        behind.sort();
        assert_eq!(behind, [name("a"), name("b"), sync("s")]);
        assert_eq!(followers.circle(&name("a")), None);
        followers.note(&name("d"), Some("d"));
        assert_eq!(followers.circle(&name("d")).as_deref(), Some("d → d"));
    }

    #[test]
    fn long_cycle_is_abbreviated() {
        let followers = Followers::default();
        for number in 0..1000 {
            followers.note(&name(&number.to_string()), Some(&((number + 1) % 1000).to_string()));
        }
        assert_eq!(followers.circle(&name("0")).as_deref(), Some("0 → 1 → 2 → 3 → 4 → 5 → 6 → 7 → 992 more → 0"));
    }
}
