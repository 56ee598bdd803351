//! The calls to the services: their preparation, and what their responses show.

use jiff::Timestamp;
use kube::ResourceExt;

use super::context::Context;
use super::target::ModelTarget;
use crate::api::{Credentials, Model, ModelResource, Reason};
use crate::azure::identity::{Fingerprint, Identity};
use crate::azure::{self, ListWindow};
use crate::controller::credentials::CredentialError;
use crate::engine::reconcile::{Freshness, PlannedCall};
use crate::engine::{Blocker, EffectResult, Remedy, claims};
use crate::operation::{CallKind, OperationId, OperationKind, ServiceError, ServiceErrorKind, SubmitResult};

/// A prepared call, which has its credentials, its token and a permit for a call in flight.
pub(crate) struct PreparedCall {
    call: azure::Call,
    credentials: Option<Credentials>,
    identity: Fingerprint,
    model: String,
}

/// The kind of a call, by which its service limits calls.
fn call_kind(object: &ModelResource, call: &PlannedCall) -> CallKind {
    match call {
        PlannedCall::Submit(_) => CallKind::Submit(object.kind().into()),
        PlannedCall::ResolveModel | PlannedCall::FindModel => CallKind::Resolve,
        PlannedCall::Poll(kind, _) => CallKind::Poll(*kind),
        PlannedCall::List(kind, _) => CallKind::List(*kind),
        PlannedCall::Cancel(_) => CallKind::Cancel,
    }
}

/// The identity for a call and its credentials. If the credentials were removed from the spec after the operation started, the ones used
/// last still serve to poll and cancel it, as those of a deleted Secret do.
async fn identity(
    ctx: &Context,
    object: &ModelResource,
    credentials: Option<Credentials>,
    freshness: Freshness,
) -> Result<(Identity, Option<Credentials>), CredentialError> {
    let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid().unwrap_or_default());
    let found = ctx.credential_resolver.resolve(&namespace, credentials.as_ref(), freshness).await;
    match (&found, &credentials) {
        (Ok(_), Some(credentials)) => ctx.store.local_states.record_credentials(&uid, credentials),
        (Err(CredentialError::Blocker(_)), None) if freshness != Freshness::Fresh => {
            if let Some(last) = last_credentials(ctx, object)
                && let Ok(identity) = ctx.credential_resolver.resolve(&namespace, Some(&last), Freshness::LastKnown).await
            {
                return Ok((identity, Some(last)));
            }
        }
        (Ok(_) | Err(_), _) => {}
    }
    Ok((found?, credentials))
}

/// The credentials of the last call for a resource.
fn last_credentials(ctx: &Context, object: &ModelResource) -> Option<Credentials> {
    ctx.store.local_states.last_credentials(&object.uid().unwrap_or_default())
}

/// Prepares a call on `model` before anything is recorded about it: without credentials there is no intent. The error states what
/// prevents the call.
pub(crate) async fn prepare(
    ctx: &Context,
    object: &ModelResource,
    credentials: Result<Option<Credentials>, Blocker>,
    model: &Model,
    call: &PlannedCall,
    freshness: Freshness,
) -> Result<PreparedCall, Box<EffectResult>> {
    let ours = |reason, message| Box::new(EffectResult::Blocked(Blocker { reason, message, remedy: Remedy::SpecChange }));
    let target = ModelTarget::of(model, ctx.azure.cloud()).map_err(|(reason, message)| ours(reason, format!("the run's {message}")))?;
    let (credentials, freshness) = match credentials {
        Ok(credentials) => (credentials, freshness),
        // They are those of an upstream that was deleted. The last known ones still serve to poll the operation.
        Err(_)
            if freshness != Freshness::Fresh
                && let Some(last) = last_credentials(ctx, object) =>
        {
            (Some(last), Freshness::LastKnown)
        }
        Err(blocker) => return Err(Box::new(EffectResult::Blocked(blocker))),
    };
    let namespace = object.namespace().unwrap_or_default();
    let (identity, credentials) = match identity(ctx, object, credentials, freshness).await {
        Ok(found) => found,
        Err(CredentialError::Blocker(blocker)) => return Err(Box::new(EffectResult::Blocked(blocker))),
        Err(CredentialError::Unavailable(error)) => return Err(Box::new(EffectResult::CallFailed(error))),
    };
    let key = model.key();
    if let Some(error) = ctx.denials.get(&identity, &key) {
        ctx.credential_resolver.expire(&namespace, credentials.as_ref());
        return Err(Box::new(EffectResult::CallFailed(error)));
    }
    let fingerprint = identity.fingerprint();
    let client = target.client(&ctx.azure, identity, &namespace).map_err(|message| ours(Reason::ServerNotInCloud, message))?;
    match client.prepare_for(call_kind(object, call)).await {
        Ok(call) => Ok(PreparedCall { call, credentials, identity: fingerprint, model: key }),
        Err(error) => {
            if error.kind == ServiceErrorKind::Throttled {
                ctx.metrics.deferred(client.service());
            }
            if matches!(error.kind, ServiceErrorKind::CredentialsRefused | ServiceErrorKind::AssertionRefused) {
                ctx.credential_resolver.expire(&namespace, credentials.as_ref());
            }
            Err(Box::new(EffectResult::CallFailed(error)))
        }
    }
}

/// Performs a prepared call.
pub(crate) async fn call(ctx: &Context, object: &ModelResource, call: &PlannedCall, prepared: PreparedCall) -> EffectResult {
    let PreparedCall { call: service, credentials, identity, model } = prepared;
    let effect_result = match call {
        PlannedCall::Submit(request) => EffectResult::Submitted(service.submit(request).await),
        PlannedCall::ResolveModel => EffectResult::ModelResolved(service.resolve().await),
        PlannedCall::Poll(kind, operation) => EffectResult::Polled(service.poll(*kind, operation).await),
        PlannedCall::List(kind, intent) => {
            let window = ListWindow { intent: *intent, now: Timestamp::now() };
            let result = service.search(*kind, window, recorded_id(object, *kind)).await;
            let listed = result.iter().flat_map(|listing| &listing.operations).map(|operation| &operation.id);
            let mut claimed = ctx.store.claimed_by_others(object, (*kind, &model), listed);
            let unseen = ctx.store.unsynced_watches((*kind).into());
            let run = object.status().and_then(|status| status.run.as_ref());
            match unseen
                .zip(result.as_ref().ok())
                .and_then(|(unseen, listing)| claims::exclude_unknown_owners(run, listing, &mut claimed, &unseen))
            {
                Some(blocker) => EffectResult::Blocked(blocker),
                None => EffectResult::Listed { kind: *kind, result, claimed },
            }
        }
        PlannedCall::FindModel => EffectResult::ModelChecked(service.find_model().await),
        PlannedCall::Cancel(id) => EffectResult::CancelRequested(service.cancel(id).await),
    };
    if let Some(error) = denial_in(&effect_result) {
        ctx.denials.record(identity, &model, error);
        ctx.credential_resolver.expire(&object.namespace().unwrap_or_default(), credentials.as_ref());
    }
    effect_result
}

/// The id of the operation of the run, if it has one of this kind.
fn recorded_id(object: &ModelResource, kind: OperationKind) -> Option<OperationId> {
    let run = object.status().and_then(|status| status.run.as_ref()).filter(|_| OperationKind::from(object.kind()) == kind);
    run.and_then(|run| run.operation_id.as_deref()).and_then(OperationId::parse)
}

/// The error by which the service refused the identity, if it did.
fn denial_in(effect_result: &EffectResult) -> Option<&ServiceError> {
    use crate::operation::{CancelResult, ModelExistence, ModelLookup, PollResult};
    let error = match effect_result {
        EffectResult::Submitted(SubmitResult::NotStarted(error))
        | EffectResult::Polled(PollResult::Failed(error))
        | EffectResult::Listed { result: Err(error), .. }
        | EffectResult::CancelRequested(CancelResult::Failed(error))
        | EffectResult::ModelResolved(ModelLookup::Failed(error))
        | EffectResult::ModelChecked(ModelExistence::Failed(error)) => error,
        EffectResult::Submitted(_)
        | EffectResult::Polled(_)
        | EffectResult::Listed { .. }
        | EffectResult::CancelRequested(_)
        | EffectResult::None
        | EffectResult::ModelResolved(_)
        | EffectResult::ModelChecked(_)
        | EffectResult::Turn(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => return None,
    };
    (error.kind == ServiceErrorKind::AccessDenied).then_some(error)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::azure::identity::Environment;
    use crate::controller::cluster::resource_api::request_limiter;
    use crate::controller::credentials::{CredentialResolver, OperatorIdentity};
    use crate::controller::fixture::context;

    const GUID: &str = "11111111-1111-1111-1111-111111111111";

    fn encoded(value: &str) -> serde_json::Value {
        json!(k8s_openapi::ByteString(value.into()))
    }

    /// A context whose API server has one Secret, and a resource in it.
    fn test_context() -> (Context, ModelResource) {
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
        let own = OperatorIdentity { environment: Environment::read(|_| None), namespaces: Vec::new() };
        ctx.credential_resolver = CredentialResolver::new(Client::new(service, "ops"), request_limiter(), own);
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {"name": "sales", "namespace": "bi", "uid": "u-1"},
            "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}},
        });
        (ctx, serde_json::from_value(object).unwrap())
    }

    #[test]
    fn list_searches_for_the_operation_of_the_run() {
        let object = |status: serde_json::Value| -> ModelResource {
            let object = json!({
                "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh", "metadata": {"name": "sales", "namespace": "bi"},
                "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}}, "status": status,
            });
            serde_json::from_value(object).unwrap()
        };
        let run = |id: serde_json::Value| {
            object(json!({"run": {
                "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": "Running", "requestDigest": "x",
                "model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}},
                "requestedTime": "2026-01-01T12:00:00Z", "reason": "Running", "message": "", "operationId": id,
            }}))
        };
        let running = run(json!("1a"));
        assert_eq!(recorded_id(&running, OperationKind::Refresh), OperationId::parse("1a"));
        assert_eq!(recorded_id(&running, OperationKind::Sync), None);
        assert_eq!(recorded_id(&run(json!(null)), OperationKind::Refresh), None);
        assert_eq!(recorded_id(&object(json!({})), OperationKind::Refresh), None);
    }

    #[tokio::test]
    async fn removed_credentials_still_poll_and_cancel() {
        let (ctx, object) = test_context();
        let credentials: Credentials = serde_json::from_value(json!({"servicePrincipalRef": {"name": "aas-sp"}})).unwrap();
        // No credentials are known yet.
        assert!(matches!(identity(&ctx, &object, None, Freshness::Cached).await, Err(CredentialError::Blocker(_))));
        assert!(identity(&ctx, &object, Some(credentials.clone()), Freshness::Fresh).await.is_ok());
        for freshness in [Freshness::Cached, Freshness::LastKnown] {
            let found = identity(&ctx, &object, None, freshness).await;
            assert_eq!(found.map(|(_, used)| used).ok(), Some(Some(credentials.clone())), "{freshness:?}");
        }
        // A new operation needs the credentials of the spec.
        assert!(matches!(identity(&ctx, &object, None, Freshness::Fresh).await, Err(CredentialError::Blocker(_))));
    }
}
