//! What a reconciliation takes from the store when it begins, and what it leaves there when it ends.

use std::sync::Arc;
use std::time::Duration;

use kube::{Resource as _, ResourceExt as _};

use super::cached::CachedResource;
use super::index::VersionChange;
use super::resources::Store;
use crate::api::{ModelResource, ResourceKey, Time};
use crate::engine::Turn;
use crate::engine::reconcile::{Finish, Outcome, QueueUpdate, Reconciliation, Tracking};

/// After this time, a resource is reconciled again that the API server does not know while the watch still shows it: a proxy may have
/// responded, and then nothing else would poll its operation. The watch usually shows a deletion at once.
const DELETION_RECHECK: Duration = Duration::from_secs(45);

impl Store {
    /// A reconciliation of the newest known state of a resource, with the state that the previous reconciliation kept.
    pub(crate) fn begin(&self, (key, uid): (&ResourceKey, &str), object: &Arc<ModelResource>) -> Reconciliation<Arc<ModelResource>> {
        self.bind_uid(key, uid);
        // A reconciliation that received a false 404 has removed it. If it has no operation, nothing else would add it again.
        if self.index.compare(object.meta()) == VersionChange::New {
            self.observe_again(key);
        }
        let view = self.local_states.newest(object);
        self.set_upstream(key, view.upstream_name());
        Reconciliation::new(view, self.local_states.in_memory(uid), Arc::clone(&self.settings))
    }

    /// Requests a turn on a model. The first of the resources that waited for this one on another model is reconciled.
    pub(crate) fn acquire_turn(&self, model: &str, (key, uid): (&ResourceKey, &str), since: Time) -> Turn {
        let (next, turn) = {
            let mut queue = self.queue.lock();
            (queue.leave_earlier(model, uid, since), queue.acquire(model, uid, key, since))
        };
        self.requeue(next);
        turn
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
            return self.cached(key).filter(|cached| cached.uid().as_deref() == Some(uid)).map(|_| DELETION_RECHECK);
        }
        requeue
    }

    /// Handles a resource that exists although a reconciliation found it deleted: as one that the watch shows for the first time.
    pub(crate) fn still_exists(&self, key: &ResourceKey) {
        self.observe_again(key);
        self.requeue(vec![key.clone()]);
    }

    /// Records the state of a resource that the watch shows, as if it showed it for the first time.
    fn observe_again(&self, key: &ResourceKey) {
        if let (Some((scope, _)), Some(cached)) = (self.watch_of(key), self.cached(key)) {
            self.observed(&Arc::new(scope.clone()), key, &cached);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::mpsc;

    use super::*;
    use crate::api::Status;
    use crate::controller::fixture;
    use crate::engine::reconcile::InMemoryState;

    #[tokio::test]
    async fn request_on_another_model_reconciles_the_next_on_the_old() {
        let (mut ctx, first, next) = (fixture::context(0), fixture::running(0).key(), fixture::running(1).key());
        let (trigger, mut triggered) = mpsc::unbounded_channel();
        ctx.store.trigger = trigger;
        let request = |model, of| ctx.store.acquire_turn(model, of, Timestamp::now().into());
        assert_eq!(request("m", (&first, "u-0")), Turn::Granted);
        assert_eq!(request("m", (&next, "u-1")), Turn::Behind("r-0".to_owned()));
        assert!(triggered.try_recv().is_err());
        assert_eq!(request("n", (&first, "u-0")), Turn::Granted);
        assert_eq!(triggered.try_recv(), Ok(next));
    }

    #[tokio::test]
    async fn existing_resource_is_indexed_again_after_false_404() {
        let mut ctx = fixture::context(0);
        let shown = Arc::new(fixture::running(0).with_status(&Status::default()));
        fixture::show(&mut ctx, &shown);
        let (store, key, cached) = (&ctx.store, shown.key(), ctx.store.cached(&shown.key()).unwrap());
        store.observed(&fixture::all_refreshes(), &key, &cached);
        let outcome = Outcome {
            finish: Finish::Gone,
            view: Arc::clone(&shown),
            in_memory: InMemoryState::default(),
            queue: QueueUpdate::Remove,
            tracking: Tracking::Untrack,
        };
        drop(store.begin((&key, "u-0"), &shown));
        assert_eq!(store.apply((&key, "u-0"), &cached, outcome), Some(DELETION_RECHECK));
        assert_eq!(store.index.count(), 0);
        drop(store.begin((&key, "u-0"), &shown));
        assert_eq!((store.index.count(), store.index.compare(shown.meta())), (1, VersionChange::Unchanged));
    }

    #[tokio::test]
    async fn resource_that_the_watch_no_longer_shows_is_not_indexed() {
        let (mut ctx, resource) = (fixture::context(0), Arc::new(fixture::running(0)));
        fixture::show(&mut ctx, &fixture::running(1));
        drop(ctx.store.begin((&resource.key(), "u-0"), &resource));
        assert_eq!(ctx.store.index.count(), 0);
    }
}
