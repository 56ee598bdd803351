//! What a reconciliation takes from the store when it begins, and what it leaves there when it ends.

use std::sync::Arc;
use std::time::Duration;

use super::cached::CachedResource;
use super::resources::Store;
use crate::api::{ModelResource, ResourceKey};
use crate::engine::reconcile::{Finish, Outcome, QueueUpdate, Reconciliation, Tracking};

impl Store {
    /// A reconciliation of the newest known state of a resource, with the state that the previous reconciliation kept.
    pub(crate) fn begin(&self, (key, uid): (&ResourceKey, &str), object: &Arc<ModelResource>) -> Reconciliation<Arc<ModelResource>> {
        self.bind_uid(key, uid);
        let view = self.local_states.newest(object);
        self.set_upstream(key, view.upstream_name());
        Reconciliation::new(view, self.local_states.in_memory(uid), Arc::clone(&self.settings))
    }

    /// Applies the outcome of a reconciliation that began with `cached`. Returns the delay before the next reconciliation.
    pub(crate) fn apply(
        &self,
        (key, uid): (&ResourceKey, &str),
        cached: &Arc<CachedResource>,
        outcome: Outcome<Arc<ModelResource>>,
    ) -> Option<Duration> {
        let requeue = outcome.requeue();
        let Outcome { finish, view, in_memory, queue, tracking } = outcome;
        match tracking {
            Tracking::Track => self.detached_index.track(&view, cached),
            Tracking::Untrack => self.detached_index.untrack(uid),
            Tracking::Keep => {}
        }
        self.local_states.set_in_memory(uid, in_memory);
        if matches!(finish, Finish::Settled { .. }) {
            self.local_states.record_success(uid);
        }
        let next = match queue {
            QueueUpdate::Set { model, state } => self.queue.lock().set(&model, uid, key, state),
            QueueUpdate::Remove => self.queue.lock().remove(uid),
            QueueUpdate::Keep => Vec::new(),
        };
        self.requeue(next);
        if matches!(finish, Finish::FinalizerRemoved | Finish::Gone) {
            self.remove(key);
        }
        requeue
    }
}
