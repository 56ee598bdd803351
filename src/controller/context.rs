//! What every pass has at hand.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource as _};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::Name;
use super::departed::Departed;
use super::events::Events;
use super::followers::{Followers, Sight};
use super::lease::LeaseHandle;
use super::memory::Memory;
use super::orphans::Orphans;
use super::queue::Queue;
use super::records::Places;
use super::references::Identities;
use super::refusals::Refusals;
use super::resource::Resource;
use super::watched::Watched;
use crate::engine::Settings;
use crate::service::Azure;
use crate::telemetry::labels::Kind;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// What one watch is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watching {
    pub(super) kind: Kind,
    /// `None` is all namespaces.
    pub(super) namespace: Option<String>,
}

/// What one watch shows.
pub(super) struct View {
    pub(super) store: Store<Watched>,
    /// Where a resource is asked to be looked at again.
    pub(super) waker: mpsc::UnboundedSender<ObjectRef<Watched>>,
}

/// What every pass has at hand.
pub(super) struct Context {
    pub(super) client: Client,
    /// For the calls about resources.
    pub(super) places: Places,
    pub(super) azure: Azure,
    pub(super) settings: Settings,
    pub(super) lease: LeaseHandle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traces: Traces,
    pub(super) events: Events,
    pub(super) identities: Identities,
    pub(super) refusals: Refusals,
    pub(super) queue: Queue,
    pub(super) memory: Memory,
    pub(super) orphans: Orphans,
    pub(super) departed: Departed,
    pub(super) followers: Followers,
    /// The uid under each name: a name may come back as another resource.
    pub(super) uids: Mutex<HashMap<Name, String>>,
    pub(super) views: HashMap<Watching, View>,
    /// How many passes run at the same time, over all watches.
    pub(super) passes: Semaphore,
}

impl Context {
    /// Shows every resource that can be decoded, as it is known now.
    pub(super) fn each_resource(&self, mut show: impl FnMut(&Resource)) {
        self.each_known(|_, resource| {
            if let Some(resource) = resource {
                show(resource);
            }
        });
    }

    /// Shows every resource, as it is known now; `None` is one that cannot be decoded.
    pub(super) fn each_known(&self, mut show: impl FnMut(Kind, Option<&Resource>)) {
        for (watching, view) in &self.views {
            for watched in view.store.state() {
                let resource = self.memory.newer_than(watched.meta()).or_else(|| watched.object(watching.kind).ok());
                show(watching.kind, resource.as_deref());
            }
        }
    }

    /// A resource as it is known now, or why it cannot be decoded; `None` where it is not there.
    pub(super) fn find(&self, name: &Name) -> Option<Result<Arc<Resource>, String>> {
        let watched = self.view_of(name)?.store.get(&ObjectRef::new_with(&name.name, name.kind).within(&name.namespace))?;
        Some(self.memory.newer_than(watched.meta()).map_or_else(|| watched.object(name.kind), Ok))
    }

    /// The view that a resource is in.
    fn view_of(&self, name: &Name) -> Option<&View> {
        let watching = |namespace| Watching { kind: name.kind, namespace };
        self.views.get(&watching(None)).or_else(|| self.views.get(&watching(Some(name.namespace.clone()))))
    }

    /// Notes which resource has this name now, and forgets the one that had it before.
    pub(super) fn meet(&self, name: &Name, uid: &str) {
        let before = self.uids.lock().insert(name.clone(), uid.to_owned());
        if let Some(before) = before.filter(|before| before != uid) {
            self.forget_uid(&before);
        }
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&self, name: &Name) {
        self.follow(name, None);
        let uid = self.uids.lock().remove(name);
        if let Some(uid) = uid {
            self.forget_uid(&uid);
        }
    }

    /// Forgets a resource that the watch saw go. Its name stays on record, for a pass that is still under way to be forgotten by.
    pub(super) fn gone(&self, name: &Name, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.forget_uid(uid);
        }
        self.tell_followers(name);
    }

    /// Takes note of whom a resource follows.
    pub(super) fn follow(&self, name: &Name, follows: Option<&str>) {
        self.wake(self.followers.note(name, follows));
    }

    /// Wakes the followers of a refresh, where the cache shows something that matters to them.
    pub(super) fn tell_followers(&self, name: &Name) {
        self.wake(self.followers.tell(name, || self.sight(name)));
    }

    /// All of a refresh that matters to its followers.
    fn sight(&self, name: &Name) -> Sight {
        let mut hasher = DefaultHasher::new();
        match self.find(name)? {
            Ok(resource) => (resource.as_followed(), resource.credentials()).hash(&mut hasher),
            Err(error) => error.hash(&mut hasher),
        }
        Some(hasher.finish())
    }

    /// Wakes the followers in one namespace, or in all, whose refreshes the cache shows otherwise than before. A cache that was
    /// filled anew does not say what has changed in it.
    pub(super) fn tell_all_followers(&self, namespace: Option<&str>) {
        for name in self.followers.followed_in(namespace) {
            self.tell_followers(&name);
        }
    }

    fn forget_uid(&self, uid: &str) {
        self.memory.forget(uid);
        if let Some(object) = self.orphans.gone(uid) {
            self.departed.note(&object);
        }
        self.wake(self.queue.forget(uid));
    }

    /// Has the resources looked at soon.
    pub(super) fn wake(&self, names: Vec<Name>) {
        for name in names {
            if let Some(view) = self.view_of(&name) {
                // Fails only where the watch has ended, and then nobody is woken any more.
                let _ = view.waker.send(ObjectRef::new_with(&name.name, name.kind).within(&name.namespace));
            }
        }
    }
}
