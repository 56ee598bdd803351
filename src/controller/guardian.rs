//! Follows operations whose resource went without waiting for them.
//!
//! Nothing that was started is left running unwatched, so they are followed as a deletion would have followed them: by the
//! same decision, on the record as it was last known, which is kept in memory from then on. A process that ends forgets
//! them, as there is no place left to write them to.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource as _, ResourceExt};
use tokio::sync::mpsc;

use super::context::Context;
use super::effects;
use super::orphans::Gone;
use super::records::Records;
use super::surroundings::{self, Around};
use crate::api::{self, ModelResource, Reason, Run, Status};
use crate::engine::{Desired, Effect, Notice, Scratch, Seen, Situation, Surroundings, decide};
use crate::operation::Submission;

/// The pause before something is tried again that the decision did not set one for.
const PAUSE: Duration = Duration::from_secs(5);
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);
/// When it is given up, for want of credentials, say: by then the service's own limits have ended most operations.
const LONGEST: Duration = Duration::from_hours(24);

/// Sees to all that come, for ever.
pub(super) async fn attend(ctx: &Context, mut coming: mpsc::UnboundedReceiver<Gone>) {
    let mut followed = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(Gone { kind, watched, accepted }) = coming.recv() => followed.push(async move {
                match watched.object(kind) {
                    Ok(object) => Box::pin(see_to(ctx, &object, accepted)).await,
                    // A pass has read it, so this is never said.
                    Err(error) => tracing::error!(error, name = watched.name_any(), "failed to decode a resource that is gone"),
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
async fn see_to(ctx: &Context, object: &ModelResource, accepted: Option<Submission>) {
    // A watch may miss what is there: only the API server itself says that it is gone.
    let records = Records::new(&ctx.client, &ctx.places, object.kind(), &object.namespace().unwrap_or_default());
    loop {
        match records.read(&object.name_any()).await {
            Ok(Some(found)) if found.uid() == object.uid() => return,
            Ok(_) => break,
            Err(error) => tracing::debug!(%error, "failed to read a resource that seems to be gone"),
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
        "a resource is gone while its operation may be running: its finalizer was removed; the operation is seen to all the same"
    );
    let given_up = match tokio::time::timeout(LONGEST, Box::pin(follow(ctx, deleted(object), accepted))).await {
        Ok(Followed::ToTheEnd) => return,
        Ok(Followed::InDoubt) => "nobody can say any more which operation it was",
        Err(_) => "its end could not be seen",
    };
    let message = format!("an operation may still be running: the resource's finalizer was removed, and {given_up}");
    publish(ctx, object, &[Notice { reason: Reason::Released, message }]);
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

/// A pass without a place to write to: what is decided is remembered here. What the service accepted is followed by its id.
async fn follow(ctx: &Context, mut object: ModelResource, accepted: Option<Submission>) -> Followed {
    let name = object.key();
    let (mut scratch, mut seen) = (Scratch::default(), accepted.map_or(Seen::Nothing, Seen::Submission));
    while ctx.lease.holds() {
        let Around { fault, followed, credentials } = surroundings::around(ctx, &name, &object);
        let surroundings =
            Surroundings { fault, namespace_ending: false, followed, leaving: None, adopt_taken: false, metadata_refused: false };
        let desired = Desired::of(&object, surroundings);
        let blank = Status::default();
        let recorded = object.status().unwrap_or(&blank);
        let (now, settings) = (Timestamp::now(), &ctx.settings);
        let step = decide(&Situation { desired: &desired, recorded, scratch: &scratch, seen, now, settings });
        let call = match effects::prepare(ctx, &object, credentials, &step.model, &step.effect).await {
            Ok(call) => call,
            Err(hindrance) => {
                seen = *hindrance;
                tokio::time::sleep(SHORTEST).await;
                continue;
            }
        };
        object = object.with_status(&step.recorded);
        // An operation that is adopted now is claimed like one that was known before.
        ctx.index.departs(&object);
        scratch = step.scratch;
        publish(ctx, &object, &step.notices);
        seen = match (&step.effect, call) {
            (Effect::Release, _) => return Followed::ToTheEnd,
            (effect, Some(prepared)) => effects::call(ctx, &object, &desired, effect, prepared).await,
            // What is left belongs to a resource that is there.
            (_, None) => {
                if object.status().and_then(|status| status.run.as_ref()).is_some_and(is_in_doubt) {
                    return Followed::InDoubt;
                }
                tokio::time::sleep(step.look_again.unwrap_or(PAUSE).max(SHORTEST)).await;
                Seen::Nothing
            }
        };
    }
    Followed::ToTheEnd
}

fn is_in_doubt(run: &Run) -> bool {
    run.reason == Reason::SubmissionUnknown.as_str()
}

fn publish(ctx: &Context, object: &ModelResource, notices: &[Notice]) {
    for notice in notices {
        ctx.events.publish(object.kind(), object.meta(), notice);
    }
}
