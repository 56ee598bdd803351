//! What stands around a pass: the lease, the limits, and that nothing in it hinders another resource.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use tokio::time::Instant;

use super::agenda::Action;
use super::context::Context;
use super::reconcile::{self, PassError};
use super::undecodable;
use super::watched::Watched;
use crate::api::Kind;
use crate::telemetry::labels::ReconcileResult;

/// How long one pass may take; every call in it has a deadline of its own, so this is a last resort.
const PASS: Duration = Duration::from_mins(5);

/// One pass, whatever happens in it: a panic or an error of one resource is no other resource's business.
pub(super) async fn reconcile(kind: Kind, cached: Arc<Watched>, ctx: Arc<Context>) -> Action {
    if !ctx.lease.holds() {
        return Action::await_change();
    }
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let uid = cached.uid().unwrap_or_default();
    let object = match cached.object(kind) {
        Ok(object) => object,
        Err(error) => return undecodable::handle(&ctx, kind, &cached, &error).await,
    };
    let (began, _in_flight) = (Instant::now(), ctx.metrics.reconciling());
    let outcome = tokio::time::timeout(PASS, AssertUnwindSafe(reconcile::pass(&ctx, &cached, object)).catch_unwind()).await;
    let (result, action) = match outcome {
        Ok(Ok(Ok(action))) => {
            ctx.memory.succeeded(&uid);
            (ReconcileResult::Success, action)
        }
        Ok(Ok(Err(PassError::Stale))) => (ReconcileResult::Conflict, Action::requeue(ctx.memory.stale(&uid))),
        Ok(Ok(Err(PassError::Conflict(_, error) | PassError::Call(error)))) => {
            let pause = ctx.memory.failed(&uid);
            tracing::warn!(kind = kind.as_str(), namespace, name, uid, %error, retry_in = ?pause, "failed to go on with a resource");
            (ReconcileResult::Error, Action::requeue(pause))
        }
        Ok(Err(_)) => {
            tracing::error!(kind = kind.as_str(), namespace, name, uid, "a pass over a resource panicked; please report this");
            (ReconcileResult::Panic, Action::requeue(ctx.memory.failed(&uid)))
        }
        Err(_) => {
            tracing::error!(
                kind = kind.as_str(),
                namespace,
                name,
                uid,
                "a pass over a resource took longer than {} s and was given up",
                PASS.as_secs()
            );
            (ReconcileResult::Timeout, Action::requeue(ctx.memory.failed(&uid)))
        }
    };
    ctx.metrics.reconciled(kind, result, began.elapsed());
    action
}
