//! Which operations may be running, by their resources, and which of those resources are gone: somebody has removed its finalizer by
//! hand, or replaced it by another of the same name. [`super::reconcile::detached`] follows them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::{Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::watched::Watched;
use crate::api::{Kind, ModelResource};
use crate::engine::reconcile::AcceptedSubmission;

/// A resource as the cache keeps it.
type Kept = (Kind, Arc<Watched>);

/// A resource that is gone while its operation may be running.
pub(super) struct Gone {
    pub(super) kind: Kind,
    pub(super) watched: Arc<Watched>,
    /// What the service accepted for it, where its id is not on record.
    pub(super) accepted: Option<AcceptedSubmission>,
}

/// The resources with an operation that may be running, and those of them that are gone.
pub(super) struct Orphans {
    /// As it was when it was last looked at, by uid. Kept as the cache keeps it, and nearly always the very same.
    under_way: Mutex<HashMap<String, Kept>>,
    /// Those that are gone and are being seen to.
    followed: Mutex<HashSet<String>>,
    gone: mpsc::UnboundedSender<Gone>,
}

impl Orphans {
    /// And where those that are gone come out.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Gone>) {
        let (gone, coming) = mpsc::unbounded_channel();
        (Self { under_way: Mutex::default(), followed: Mutex::default(), gone }, coming)
    }

    /// Keeps a resource whose operation may be running, where `cached` is what the reconciliation started with.
    pub(super) fn track(&self, object: &ModelResource, cached: &Arc<Watched>) {
        let Some(uid) = object.uid() else { return };
        let is_cached = object.meta().resource_version == cached.meta().resource_version;
        let newer = (!is_cached).then(|| Watched::of(object).ok()).flatten();
        self.under_way.lock().insert(uid, (object.kind(), newer.map_or_else(|| Arc::clone(cached), Arc::new)));
    }

    /// Nothing of the resource runs any more, or it was let go.
    pub(super) fn let_go(&self, uid: &str) {
        self.under_way.lock().remove(uid);
    }

    /// Whether the operation of a resource that is gone is being seen to.
    pub(super) fn follows(&self, uid: &str) -> bool {
        self.followed.lock().contains(uid)
    }

    /// The resource seems to be gone. Where its operation may be running, that is seen to, and the resource as it was is given back.
    /// `accepted` knows what the service accepted for it, where that is not on record.
    pub(super) fn gone(&self, uid: &str, accepted: impl FnOnce(&ModelResource) -> Option<AcceptedSubmission>) -> Option<ModelResource> {
        let (kind, watched) = self.under_way.lock().remove(uid)?;
        let object = watched.object(kind).ok().map(Arc::unwrap_or_clone);
        let accepted = object.as_ref().and_then(accepted);
        // A pass that was under way may notice it once more.
        if self.followed.lock().insert(uid.to_owned()) {
            // Fails only where the process is about to end.
            let _ = self.gone.send(Gone { kind, watched, accepted });
        }
        object
    }

    /// One that was gone has been seen to.
    pub(super) fn seen_to(&self, uid: &str) {
        self.followed.lock().remove(uid);
    }
}
