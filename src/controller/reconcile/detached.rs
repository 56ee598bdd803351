//! Tracks operations whose resource was deleted without the finalizer.
//!
//! Operations are tracked as during a normal deletion, for at most 24 hours and until the process exits: by the same state machine, on the
//! last known record, which is kept in memory. No object remains to store them.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource as _, ResourceExt};
use tokio::sync::mpsc;

use super::context::Context;
use super::driver::drive;
use crate::api::{self, ModelResource, Reason};
use crate::controller::cluster::resource_api::ResourceApi;
use crate::controller::store::detached_index::DetachedResource;
use crate::engine::Event;
use crate::engine::reconcile::{AcceptedSubmission, Finish, InMemoryState, Reconciliation};

/// The delay before a retry for which the state machine sets none, and before an existing resource is reconciled again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// In how many reads, [`RETRY_INTERVAL`] apart, the API server must not know a resource: a proxy may have responded to one.
const ABSENT_READS: usize = 2;
/// The same while the watch shows the resource: for two minutes. An API server or a proxy may respond in this way for some time, and the
/// watch usually shows a deletion at once. The bound is for a watch that is dead.
const ABSENT_READS_IF_SHOWN: usize = 24;
/// The minimum delay between two reconciliations.
const MIN_DELAY: Duration = Duration::from_millis(100);
/// The time after which tracking stops, for example without credentials. The limits of the service have ended most operations by then.
const MAX_TRACKING: Duration = Duration::from_hours(24);

/// Tracks the operations of all received resources. Never returns.
pub(crate) async fn run(ctx: &Context, mut deleted_resources: mpsc::UnboundedReceiver<DetachedResource>) {
    let mut tracked = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(DetachedResource { kind, cached_resource, accepted }) = deleted_resources.recv() => tracked.push(async move {
                let existing = match cached_resource.object(kind) {
                    Ok(object) => {
                        let exists = Box::pin(track_to_completion(ctx, &object, accepted.clone())).await;
                        exists.then_some(object)
                    }
                    // Unreachable: a reconciliation has decoded it before.
                    Err(error) => {
                        tracing::error!(error, name = cached_resource.name_any(), "failed to decode a deleted resource");
                        None
                    }
                };
                if existing.is_some() {
                    // Of several API servers behind one address, one may not know the resource. It would otherwise be reconciled and found
                    // in turns, without a delay.
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                ctx.store.detached_index.finish(&cached_resource.uid().unwrap_or_default());
                if let Some(object) = existing {
                    // Otherwise the next reconciliation does not know the operation that was started.
                    if let Some(accepted) = accepted {
                        ctx.store.restore_accepted(&object, accepted);
                    }
                    ctx.store.still_exists(&object.key());
                }
            }),
            Some(()) = tracked.next(), if !tracked.is_empty() => {}
            // The channel is closed.
            else => std::future::pending().await,
        }
    }
}

/// Tracks the operation of a deleted resource until it ends. Returns true if the resource exists, or if the watch still shows it.
async fn track_to_completion(ctx: &Context, object: &ModelResource, accepted: Option<AcceptedSubmission>) -> bool {
    // A watch may miss an existing resource, so the deletion is confirmed with the API server.
    let resources = ResourceApi::new(&ctx.client, &ctx.request_limiter, object.kind(), &object.namespace().unwrap_or_default());
    let mut absent = 0;
    loop {
        match resources.read(&object.name_any()).await {
            Ok(Some(found)) if found.uid() == object.uid() => return true,
            // Another resource has its name.
            Ok(Some(_)) => break,
            Ok(None) => absent += 1,
            Err(error) => tracing::debug!(%error, "failed to read a resource that appears to be deleted"),
        }
        let sufficient = if is_shown(ctx, object) { ABSENT_READS_IF_SHOWN } else { ABSENT_READS };
        if absent >= sufficient {
            break;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    let operation = object.status().and_then(|status| status.run.as_ref()).and_then(|run| run.operation_id.clone());
    tracing::warn!(
        kind = object.kind().as_str(),
        namespace = object.namespace(),
        name = object.name_any(),
        uid = object.uid(),
        operation,
        "resource deleted without its finalizer; tracking its operation until it ends"
    );
    let tracked = tokio::time::timeout(MAX_TRACKING, Box::pin(reconcile_until_end(ctx, deleted(object), accepted))).await;
    // What the store keeps of an existing resource, such as its turn, is that of its own reconciliations.
    if is_shown(ctx, object) {
        return true;
    }
    // The calls of the tracking kept a state for the uid, such as its credentials.
    ctx.store.remove_uid(&object.uid().unwrap_or_default());
    let reason = match tracked {
        Ok(Completion::Ended) => return false,
        Ok(Completion::Unresolvable) => "the operation can no longer be identified",
        Err(_) => "its end was not observed",
    };
    let message = format!("an operation may still be running: the resource's finalizer was removed, and {reason}");
    ctx.events.publish(object.kind(), object.meta(), &Event { reason: Reason::Released, message });
    false
}

/// Whether the watch shows the resource.
fn is_shown(ctx: &Context, object: &ModelResource) -> bool {
    ctx.store.cached(&object.key()).is_some_and(|cached| cached.uid() == object.uid())
}

/// The resource as it would be if the finalizer still delayed its deletion.
fn deleted(object: &ModelResource) -> ModelResource {
    let mut object = object.clone();
    let metadata = object.meta_mut();
    metadata.deletion_timestamp.get_or_insert(Time(Timestamp::now()));
    if !api::has_finalizer(metadata) {
        metadata.finalizers.get_or_insert_default().push(api::FINALIZER.to_owned());
    }
    object
}

/// How the tracking ended.
enum Completion {
    /// The operation ended, or the lease was lost.
    Ended,
    /// Only a user could identify the operation, and the resource to annotate no longer exists.
    Unresolvable,
}

/// Reconciles in memory until the operation has ended. An accepted submission is polled by its id.
async fn reconcile_until_end(ctx: &Context, object: ModelResource, accepted: Option<AcceptedSubmission>) -> Completion {
    let (key, uid) = (object.key(), object.uid().unwrap_or_default());
    let (mut view, mut in_memory) = (Arc::new(object), InMemoryState { accepted, ..InMemoryState::default() });
    loop {
        let mut machine = Reconciliation::detached(view, in_memory, Arc::clone(&ctx.store.settings));
        let outcome = drive(ctx, (&key, &uid), &mut machine).await;
        ctx.store.index.retain_claims(&outcome.view);
        let delay = match outcome.finish {
            Finish::Settled { requeue } => requeue.unwrap_or(RETRY_INTERVAL),
            // Unreachable: a detached reconciliation neither reads nor writes.
            Finish::Failed => RETRY_INTERVAL,
            Finish::FinalizerRemoved | Finish::Gone | Finish::Conflict => return Completion::Ended,
            Finish::Unresolvable => return Completion::Unresolvable,
        };
        (view, in_memory) = (outcome.view, outcome.in_memory);
        tokio::time::sleep(delay.max(MIN_DELAY)).await;
    }
}
