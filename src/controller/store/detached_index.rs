//! Resources whose operations may be running, and those among them that were deleted: a user removed the finalizer, or replaced the
//! resource with another one of the same name. [`crate::controller::reconcile::detached`] tracks the operations of the latter.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::{Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::cached::CachedResource;
use crate::api::{Kind, ModelResource};
use crate::engine::reconcile::AcceptedSubmission;

/// A resource as the cache holds it.
pub(crate) type Tracked = (Kind, Arc<CachedResource>);

/// A deleted resource whose operation may be running.
pub(crate) struct DetachedResource {
    pub(crate) kind: Kind,
    pub(crate) cached_resource: Arc<CachedResource>,
    /// The accepted submission whose id is not recorded.
    pub(crate) accepted: Option<AcceptedSubmission>,
}

/// The resources with an operation that may be running, and those among them that were deleted.
pub(crate) struct DetachedIndex {
    /// The last reconciled state of each resource by uid. It nearly always shares its memory with the cache.
    tracked: Mutex<HashMap<String, Tracked>>,
    /// The uids of deleted resources whose operations are tracked.
    detached: Mutex<HashSet<String>>,
    sender: mpsc::UnboundedSender<DetachedResource>,
}

impl DetachedIndex {
    /// Returns the tracker, and the receiver of the deleted resources.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<DetachedResource>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { tracked: Mutex::default(), detached: Mutex::default(), sender }, receiver)
    }

    /// Keeps a resource whose operation may be running. `cached` is the state with which the reconciliation started.
    pub(crate) fn track(&self, object: &ModelResource, cached: &Arc<CachedResource>) {
        let Some(uid) = object.uid() else { return };
        let is_cached = object.meta().resource_version == cached.meta().resource_version;
        let newer = (!is_cached).then(|| CachedResource::of(object).ok()).flatten();
        self.tracked.lock().insert(uid, (object.kind(), newer.map_or_else(|| Arc::clone(cached), Arc::new)));
    }

    /// Stops tracking a resource that has no running operation or was released.
    pub(crate) fn untrack(&self, uid: &str) {
        self.tracked.lock().remove(uid);
    }

    /// Stops tracking a resource that cannot be decoded and that a user released. Returns its last state that could be decoded.
    pub(crate) fn release(&self, uid: &str) -> Option<Tracked> {
        self.tracked.lock().remove(uid)
    }

    /// Continues to track a resource that could not be released.
    pub(crate) fn restore(&self, uid: &str, resource: Tracked) {
        self.tracked.lock().entry(uid.to_owned()).or_insert(resource);
    }

    /// Number of resources whose operation may be running.
    pub(crate) fn tracked(&self) -> usize {
        self.tracked.lock().len()
    }

    /// Number of deleted resources whose operations are tracked.
    pub(crate) fn detached(&self) -> usize {
        self.detached.lock().len()
    }

    /// Whether the operation of a deleted resource is tracked.
    pub(crate) fn is_detached(&self, uid: &str) -> bool {
        self.detached.lock().contains(uid)
    }

    /// Handles a resource that appears to be deleted. If its operation may be running, starts to track it and returns the last state of
    /// the resource. `accepted` returns the accepted submission whose id is not recorded.
    pub(crate) fn detach(&self, uid: &str, accepted: impl FnOnce(&ModelResource) -> Option<AcceptedSubmission>) -> Option<ModelResource> {
        let (kind, cached_resource) = self.tracked.lock().remove(uid)?;
        let object = cached_resource.object(kind).ok().map(Arc::unwrap_or_clone);
        let accepted = object.as_ref().and_then(accepted);
        // A reconciliation in progress may report the deletion again.
        if self.detached.lock().insert(uid.to_owned()) {
            // Fails only while the process is shutting down.
            let _ = self.sender.send(DetachedResource { kind, cached_resource, accepted });
        }
        object
    }

    /// Records that the operation of a deleted resource needs no more tracking.
    pub(crate) fn finish(&self, uid: &str) {
        self.detached.lock().remove(uid);
    }
}
