//! What every pass has at hand.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource as _};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::Name;
use super::effects::Refusals;
use super::events::Events;
use super::lease::LeaseHandle;
use super::memory::Memory;
use super::queue::Queue;
use super::references::Identities;
use super::resource::Resource;
use super::watched::Watched;
use crate::engine::Settings;
use crate::service::Azure;
use crate::telemetry::labels::Kind;
use crate::telemetry::metrics::Metrics;

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
    pub(super) azure: Azure,
    pub(super) settings: Settings,
    pub(super) lease: LeaseHandle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: Events,
    pub(super) identities: Identities,
    pub(super) refusals: Refusals,
    pub(super) queue: Queue,
    pub(super) memory: Memory,
    /// The uid under each name: a name may come back as another resource.
    pub(super) uids: Mutex<HashMap<Name, String>>,
    pub(super) views: HashMap<Watching, View>,
    /// How many passes run at the same time, over all watches.
    pub(super) passes: Semaphore,
}

impl Context {
    /// Shows every resource, as it is known now.
    pub(super) fn each_resource(&self, mut show: impl FnMut(&Resource)) {
        for (watching, view) in &self.views {
            for watched in view.store.state() {
                if let Some(resource) = self.memory.newer_than(watched.meta()).or_else(|| watched.object(watching.kind).ok()) {
                    show(&resource);
                }
            }
        }
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
        let uid = self.uids.lock().remove(name);
        if let Some(uid) = uid {
            self.forget_uid(&uid);
        }
    }

    /// Forgets a resource that the watch saw go. Its name stays on record, for a pass that is still under way to be forgotten by.
    pub(super) fn gone(&self, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.forget_uid(uid);
        }
    }

    fn forget_uid(&self, uid: &str) {
        self.memory.forget(uid);
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
