//! Effects: the only place where what is decided meets the services. Each brings back what was learnt, in the words of the
//! decision.

use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource as _, ResourceExt};

use super::context::Context;
use super::references::{Freshness, NoIdentity};
use super::target::Target;
use crate::api::{Credentials, Kind, Model, ModelResource, Reason};
use crate::engine::claims;
use crate::engine::{Cure, Desired, Effect, Fault, Seen};
use crate::operation::{CallKind, OperationKind, ServiceKind, Submission, Trouble, TroubleKind};
use crate::service::identity::{Fingerprint, Identity};
use crate::service::{Call, Window};

/// A call that needs nothing more: credentials, token and a place among the calls in flight are at hand.
pub(super) struct Prepared {
    call: Call,
    credentials: Option<Credentials>,
    identity: Fingerprint,
    model: String,
}

/// What kind of call to a service an effect is, if it is one.
fn call_kind(object: &ModelResource, effect: &Effect) -> Option<CallKind> {
    match effect {
        Effect::Submit => Some(CallKind::Submit(object.kind().into())),
        Effect::Resolve | Effect::FindModel => Some(CallKind::Resolve),
        Effect::Look(_) => Some(CallKind::Poll(object.kind().into())),
        Effect::List(kind, _) => Some(CallKind::List(*kind)),
        Effect::Cancel(_) => Some(CallKind::Cancel),
        Effect::Nothing | Effect::AddFinalizer | Effect::TakeTurn | Effect::RemoveAnnotation(_) | Effect::Release => None,
    }
}

/// The kind whose resources submit operations of this kind.
fn of_kind(kind: OperationKind) -> Kind {
    match kind {
        OperationKind::Refresh => Kind::ModelRefresh,
        OperationKind::Sync => Kind::ModelSync,
    }
}

/// The identity for a call, and the credentials that it is of. Where the credentials were removed from the spec since the operation began,
/// those that served last still serve to look at it and to cancel it, as those of a deleted Secret do.
async fn identity(
    ctx: &Context,
    object: &ModelResource,
    credentials: Option<Credentials>,
    freshness: Freshness,
) -> Result<(Identity, Option<Credentials>), NoIdentity> {
    let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid().unwrap_or_default());
    let found = ctx.identities.of(&namespace, credentials.as_ref(), freshness).await;
    match (&found, &credentials) {
        (Ok(_), Some(credentials)) => ctx.memory.used(&uid, credentials),
        (Err(NoIdentity::Fault(_)), None) if freshness != Freshness::Now => {
            if let Some(last) = ctx.memory.last_used(&uid)
                && let Ok(identity) = ctx.identities.of(&namespace, Some(&last), Freshness::Last).await
            {
                return Ok((identity, Some(last)));
            }
        }
        (Ok(_) | Err(_), _) => {}
    }
    Ok((found?, credentials))
}

/// Prepares the call on `model` that an effect is, before anything is recorded about it: without credentials there is no intent. `None` where it
/// is no call; an error is what the decision has to know of what hinders it.
pub(super) async fn prepare(
    ctx: &Context,
    object: &ModelResource,
    credentials: Result<Option<Credentials>, Fault>,
    model: &Model,
    effect: &Effect,
) -> Result<Option<Prepared>, Box<Seen>> {
    let Some(kind) = call_kind(object, effect) else {
        return Ok(None);
    };
    let ours = |reason, message| Box::new(Seen::Fault(Fault { reason, message, cure: Cure::Spec }));
    let target = Target::of(model, ctx.azure.cloud()).map_err(|(reason, message)| ours(reason, format!("the run's {message}")))?;
    let freshness = match kind {
        CallKind::Submit(_) => Freshness::Now,
        CallKind::Resolve | CallKind::Poll(_) | CallKind::List(_) | CallKind::Cancel if object.meta().deletion_timestamp.is_some() => {
            Freshness::Last
        }
        CallKind::Resolve | CallKind::Poll(_) | CallKind::List(_) | CallKind::Cancel => Freshness::Lately,
    };
    let credentials = credentials.map_err(|fault| Box::new(Seen::Fault(fault)))?;
    let namespace = object.namespace().unwrap_or_default();
    let (identity, credentials) = match identity(ctx, object, credentials, freshness).await {
        Ok(found) => found,
        Err(NoIdentity::Fault(fault)) => return Err(Box::new(Seen::Fault(fault))),
        Err(NoIdentity::Unread(trouble)) => return Err(Box::new(Seen::Trouble(trouble))),
    };
    let key = model.key();
    if let Some(trouble) = ctx.refusals.of(&identity, &key) {
        ctx.identities.refused(&namespace, credentials.as_ref());
        return Err(Box::new(Seen::Trouble(trouble)));
    }
    let fingerprint = identity.fingerprint();
    let at_service = target.at(&ctx.azure, identity).map_err(|message| ours(Reason::ServerNotInCloud, message))?;
    match at_service.prepare_for(kind).await {
        Ok(call) => Ok(Some(Prepared { call, credentials, identity: fingerprint, model: key })),
        Err(trouble) => {
            if trouble.kind == TroubleKind::Throttled {
                ctx.metrics.held_back(if model.power_bi.is_some() { ServiceKind::PowerBi } else { ServiceKind::AnalysisServices });
            }
            if matches!(trouble.kind, TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused) {
                ctx.identities.refused(&namespace, credentials.as_ref());
            }
            Err(Box::new(Seen::Trouble(trouble)))
        }
    }
}

/// Makes a call that was prepared.
pub(super) async fn call(ctx: &Context, object: &ModelResource, desired: &Desired, effect: &Effect, prepared: Prepared) -> Seen {
    let Prepared { call, credentials, identity, model } = prepared;
    let seen = match effect {
        // Between the write of the intent and this moment the lease may have run out, or nearly: then another operator has the say
        // soon. Nothing is sent, and where this one still has the say it records so.
        Effect::Submit if !ctx.lease.holds_for_a_submission() => {
            Seen::Submission(Submission::Deferred { message: "nothing was submitted: the operator's lease is about to run out".to_owned() })
        }
        // Said since the intent was decided on.
        Effect::Submit if ctx.lease.leaving().is_some() => {
            Seen::Submission(Submission::Deferred { message: "nothing was submitted: the operator is about to be uninstalled".to_owned() })
        }
        Effect::Submit => Seen::Submission(submit(ctx, object, desired, call).await),
        Effect::Resolve => Seen::Resolved(call.resolve().await),
        Effect::Look(handle) => Seen::Look(call.look(desired.work.request.kind(), handle).await),
        Effect::List(kind, intent) => {
            let result = call.list(*kind, Window { intent: *intent, now: Timestamp::now() }).await;
            let listed = result.iter().flat_map(|listing| &listing.operations).map(|operation| &operation.id);
            let mut taken = ctx.claimed_by_others(object, (*kind, &model), listed);
            let unseen = ctx.unseen(of_kind(*kind));
            let run = object.status().and_then(|status| status.run.as_ref());
            match unseen.zip(result.as_ref().ok()).and_then(|(unseen, listing)| claims::spare(run, listing, &mut taken, &unseen)) {
                Some(fault) => Seen::Fault(fault),
                None => Seen::Listing { kind: *kind, result, taken },
            }
        }
        Effect::FindModel => Seen::Presence(call.find_model().await),
        Effect::Cancel(id) => Seen::Cancellation(call.cancel(id).await),
        Effect::Nothing | Effect::AddFinalizer | Effect::TakeTurn | Effect::RemoveAnnotation(_) | Effect::Release => Seen::Nothing,
    };
    if let Some(trouble) = refusal_in(&seen) {
        ctx.refusals.remember(identity, &model, trouble);
        ctx.identities.refused(&object.namespace().unwrap_or_default(), credentials.as_ref());
    }
    seen
}

/// Submits, and is done with it by the time that the decision counts on: the call's deadline after the intent, however long
/// its write took.
async fn submit(ctx: &Context, object: &ModelResource, desired: &Desired, call: Call) -> Submission {
    let intent = object.status().and_then(|status| status.run.as_ref()).and_then(|run| run.submitted_time);
    let spent =
        intent.map_or(Duration::ZERO, |intent| Duration::try_from(Timestamp::now().duration_since(intent.timestamp())).unwrap_or_default());
    // The intent is on record in whole seconds, cut off.
    let left = (ctx.settings.call_timeout + Duration::from_secs(1)).saturating_sub(spent);
    if left < ctx.settings.call_timeout / 4 {
        let message = "nothing was submitted: the Kubernetes API took too long to record that it was about to be".to_owned();
        return Submission::Deferred { message };
    }
    let lost = || Submission::Unanswered { message: "the service has not answered in time".to_owned() };
    tokio::time::timeout(left, call.submit(&desired.work.request)).await.unwrap_or_else(|_| lost())
}

/// The refusal of the identity that an answer is, if it is one.
fn refusal_in(seen: &Seen) -> Option<&Trouble> {
    use crate::operation::{Cancellation, Look, Presence, Resolution};
    let trouble = match seen {
        Seen::Submission(Submission::Refused(trouble))
        | Seen::Look(Look::Trouble(trouble))
        | Seen::Listing { result: Err(trouble), .. }
        | Seen::Cancellation(Cancellation::Trouble(trouble))
        | Seen::Resolved(Resolution::Trouble(trouble))
        | Seen::Presence(Presence::Trouble(trouble)) => trouble,
        Seen::Submission(_)
        | Seen::Look(_)
        | Seen::Listing { .. }
        | Seen::Cancellation(_)
        | Seen::Nothing
        | Seen::Resolved(_)
        | Seen::Presence(_)
        | Seen::Turn(_)
        | Seen::Trouble(_)
        | Seen::Fault(_) => return None,
    };
    (trouble.kind == TroubleKind::AccessDenied).then_some(trouble)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::controller::fixture::context;
    use crate::controller::records::places;
    use crate::controller::references::{Identities, OwnIdentity};
    use crate::service::identity::Environment;

    const GUID: &str = "11111111-1111-1111-1111-111111111111";

    fn encoded(value: &str) -> serde_json::Value {
        json!(k8s_openapi::ByteString(value.into()))
    }

    /// A context whose API server has one Secret, and a resource in it.
    fn world() -> (Context, ModelResource) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aas-sp"},
            "data": {"tenantId": encoded(GUID), "clientId": encoded(GUID), "clientSecret": encoded("planted~secret")},
        });
        let shown = serde_json::to_vec(&secret).unwrap();
        let service = tower::service_fn(move |_: Request<Body>| {
            let shown = shown.clone();
            async move { Ok::<_, Infallible>(Response::new(Body::from(shown))) }
        });
        let mut ctx = context(0);
        let own = OwnIdentity { environment: Environment::read(|_| None), namespaces: Vec::new() };
        ctx.identities = Identities::new(Client::new(service, "ops"), places(), own);
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {"name": "sales", "namespace": "bi", "uid": "u-1"},
            "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}},
        });
        (ctx, serde_json::from_value(object).unwrap())
    }

    #[tokio::test]
    async fn credentials_that_were_removed_still_serve_to_look_and_to_cancel() {
        let (ctx, object) = world();
        let credentials: Credentials = serde_json::from_value(json!({"servicePrincipalRef": {"name": "aas-sp"}})).unwrap();
        // Nothing is known yet.
        assert!(matches!(identity(&ctx, &object, None, Freshness::Lately).await, Err(NoIdentity::Fault(_))));
        assert!(identity(&ctx, &object, Some(credentials.clone()), Freshness::Now).await.is_ok());
        for freshness in [Freshness::Lately, Freshness::Last] {
            let found = identity(&ctx, &object, None, freshness).await;
            assert_eq!(found.map(|(_, used)| used).ok(), Some(Some(credentials.clone())), "{freshness:?}");
        }
        // A new operation needs what the spec has.
        assert!(matches!(identity(&ctx, &object, None, Freshness::Now).await, Err(NoIdentity::Fault(_))));
    }
}
