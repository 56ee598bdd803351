//! Follows operations whose resource went without waiting for them.
//!
//! Nothing that was started is left running unwatched, so they are followed as a deletion would have followed them: by the
//! same decision, on the record as it was last known, which is kept in memory from then on. A process that ends forgets
//! them, as there is no place left to write them to.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource as _, ResourceExt};
use tokio::sync::mpsc;

use super::super::context::Context;
use super::super::orphans::Gone;
use super::super::records::Records;
use super::driver::drive;
use crate::api::{self, ModelResource, Reason};
use crate::engine::Notice;
use crate::engine::reconcile::{AcceptedSubmission, Finish, Reconciliation, Transient};

/// The pause before something is tried again that the decision did not set one for.
const PAUSE: Duration = Duration::from_secs(5);
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);
/// When it is given up, for want of credentials, say: by then the service's own limits have ended most operations.
const LONGEST: Duration = Duration::from_hours(24);

/// Sees to all that come, for ever.
pub(in super::super) async fn attend(ctx: &Context, mut coming: mpsc::UnboundedReceiver<Gone>) {
    let mut followed = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(Gone { kind, watched, accepted }) = coming.recv() => followed.push(async move {
                match watched.object(kind) {
                    Ok(object) => Box::pin(see_to(ctx, &object, accepted)).await,
                    // A pass has read it, so this is never said.
                    Err(error) => tracing::error!(error, name = watched.name_any(), "failed to decode a deleted resource"),
                }
                ctx.orphans.seen_to(&watched.uid().unwrap_or_default());
            }),
            Some(()) = followed.next(), if !followed.is_empty() => {}
            // Nobody can hand in one any more.
            else => std::future::pending().await,
        }
    }
}

/// Follows the operation of a resource that is gone to its end.
async fn see_to(ctx: &Context, object: &ModelResource, accepted: Option<AcceptedSubmission>) {
    // A watch may miss what is there: only the API server itself says that it is gone.
    let records = Records::new(&ctx.client, &ctx.places, object.kind(), &object.namespace().unwrap_or_default());
    loop {
        match records.read(&object.name_any()).await {
            Ok(Some(found)) if found.uid() == object.uid() => return,
            Ok(_) => break,
            Err(error) => tracing::debug!(%error, "failed to read a resource that appears to be deleted"),
        }
        tokio::time::sleep(PAUSE).await;
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
    let given_up = match tokio::time::timeout(LONGEST, Box::pin(follow(ctx, deleted(object), accepted))).await {
        Ok(Followed::ToTheEnd) => return,
        Ok(Followed::InDoubt) => "the operation cannot be identified any more",
        Err(_) => "its end was not observed",
    };
    let message = format!("an operation may still be running: the resource's finalizer was removed, and {given_up}");
    ctx.events.publish(object.kind(), object.meta(), &Notice { reason: Reason::Released, message });
}

/// The resource as it would be if its deletion had waited.
fn deleted(object: &ModelResource) -> ModelResource {
    let mut object = object.clone();
    let metadata = object.meta_mut();
    metadata.deletion_timestamp.get_or_insert(Time(Timestamp::now()));
    if !api::has_finalizer(metadata) {
        metadata.finalizers.get_or_insert_default().push(api::FINALIZER.to_owned());
    }
    object
}

/// How following ended.
enum Followed {
    /// As a deletion ends, or with the lease.
    ToTheEnd,
    /// Only a person could have said which operation is the resource's, and there is no resource to say it at.
    InDoubt,
}

/// Reconciles in memory until the operation has ended. What the service accepted is followed by its id.
async fn follow(ctx: &Context, object: ModelResource, accepted: Option<AcceptedSubmission>) -> Followed {
    let (key, uid) = (object.key(), object.uid().unwrap_or_default());
    let (mut view, mut transient) = (Arc::new(object), Transient { accepted, ..Transient::default() });
    loop {
        let mut machine = Reconciliation::detached(view, transient, Arc::clone(&ctx.settings));
        let (outcome, _) = drive(ctx, (&key, &uid), &mut machine).await;
        ctx.index.departs(&outcome.view);
        let pause = match outcome.finish {
            Finish::Settled { requeue } => requeue.unwrap_or(PAUSE),
            // Nothing is written or read, so nothing of that can fail.
            Finish::Failed => PAUSE,
            Finish::Released | Finish::Gone | Finish::Conflict => return Followed::ToTheEnd,
            Finish::Unresolvable => return Followed::InDoubt,
        };
        (view, transient) = (outcome.view, outcome.transient);
        tokio::time::sleep(pause.max(SHORTEST)).await;
    }
}
