//! The entry of a reconciliation: the check of the lease, the limits, and the isolation from other resources.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use super::action::Action;
use super::context::Context;
use super::driver;
use super::undecodable;
use crate::api::{Kind, ModelResource, ResourceKey};
use crate::controller::store::cached::CachedResource;
use crate::controller::store::resources::Store;
use crate::engine::reconcile::{Finish, Outcome, Reconciliation};
use crate::telemetry::labels::ReconcileResult;

/// Timeout for a reconciliation. Every request in it has its own timeout, so this is a last resort.
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(5);

/// Performs one reconciliation. A panic or an error of one resource does not affect the others.
pub(crate) async fn reconcile(kind: Kind, cached: Arc<CachedResource>, ctx: Arc<Context>) -> Action {
    if !ctx.lease.holds() {
        return Action::await_change();
    }
    let object = match cached.object(kind) {
        Ok(object) => object,
        Err(error) => return undecodable::handle(&ctx, kind, &cached, &error).await,
    };
    let (began, _in_flight) = (Instant::now(), ctx.metrics.reconciling());
    let (key, uid) = (object.key(), object.uid().unwrap_or_default());
    let ResourceKey { namespace, name, .. } = &key;
    let mut guard = ReconcileGuard::begin(&ctx.store, (&key, &uid), &cached, &object);
    let drive = driver::drive(&ctx, (&key, &uid), &mut guard.machine);
    let outcome = tokio::time::timeout(RECONCILE_TIMEOUT, AssertUnwindSafe(drive).catch_unwind()).await;
    let (result, action) = match outcome {
        Ok(Ok(outcome)) => {
            let result = match outcome.finish {
                Finish::Settled { .. } | Finish::FinalizerRemoved | Finish::Gone | Finish::Unresolvable => ReconcileResult::Success,
                Finish::Conflict => ReconcileResult::Conflict,
                Finish::Failed => ReconcileResult::Error,
            };
            (result, guard.finish(outcome))
        }
        Ok(Err(_)) => {
            tracing::error!(kind = kind.as_str(), namespace, name, uid, "reconciliation panicked; report this bug");
            (ReconcileResult::Panic, guard.abandon())
        }
        Err(_) => {
            tracing::error!(
                kind = kind.as_str(),
                namespace,
                name,
                uid,
                limit = ?RECONCILE_TIMEOUT,
                "reconciliation timed out; report this bug"
            );
            (ReconcileResult::Timeout, guard.abandon())
        }
    };
    ctx.metrics.reconciled(kind, result, began.elapsed());
    action_of(action)
}

fn action_of(requeue: Option<Duration>) -> Action {
    requeue.map_or_else(Action::await_change, Action::requeue)
}

/// A reconciliation in progress. Its outcome is applied exactly once, also after a panic, a timeout or a drop.
struct ReconcileGuard<'a> {
    store: &'a Store,
    cached: &'a Arc<CachedResource>,
    resource: (&'a ResourceKey, &'a str),
    machine: Reconciliation<Arc<ModelResource>>,
    /// Whether the outcome was applied.
    applied: bool,
}

impl<'a> ReconcileGuard<'a> {
    fn begin(store: &'a Store, resource: (&'a ResourceKey, &'a str), cached: &'a Arc<CachedResource>, object: &Arc<ModelResource>) -> Self {
        Self { store, cached, resource, machine: store.begin(resource, object), applied: false }
    }

    /// Applies the outcome. Returns the delay before the next reconciliation.
    fn finish(mut self, outcome: Outcome<Arc<ModelResource>>) -> Option<Duration> {
        self.apply(outcome)
    }

    /// Applies the outcome of a reconciliation that did not complete.
    fn abandon(mut self) -> Option<Duration> {
        let outcome = self.machine.abandon(Timestamp::now());
        self.apply(outcome)
    }

    fn apply(&mut self, outcome: Outcome<Arc<ModelResource>>) -> Option<Duration> {
        self.applied = true;
        self.store.apply(self.resource, self.cached, outcome)
    }
}

impl Drop for ReconcileGuard<'_> {
    fn drop(&mut self) {
        if !self.applied {
            let outcome = self.machine.abandon(Timestamp::now());
            let _ = self.apply(outcome);
        }
    }
}
