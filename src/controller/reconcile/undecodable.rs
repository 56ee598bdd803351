//! A resource that cannot be decoded because another version wrote it. The operator ignores it, but a user can release it.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use super::action::Action;
use super::context::Context;
use super::{denied_writes, namespaces};
use crate::api::{self, Kind, Reason, ResourceKey};
use crate::controller::cluster::resource_api::{REQUEST_TIMEOUT, finalizers_of};
use crate::controller::cluster::timeout::{ApiError, with_timeout};
use crate::controller::store::cached::CachedResource;
use crate::engine::{Event, namespace_time_left};
use crate::telemetry::labels::{Write, WriteResult};

/// How often the namespace of a resource that is being deleted is polled: the deletion of the namespace does not change the resource.
const NAMESPACE_RECHECK: Duration = Duration::from_mins(1);

/// Reports why the resource cannot be decoded. Removes its finalizer if the resource is being deleted and a user requests the release, or
/// if its namespace is being deleted and the wait has reached its limit.
pub(crate) async fn handle(ctx: &Context, kind: Kind, cached: &CachedResource, error: &str) -> Action {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let uid = cached.uid().unwrap_or_default();
    // What is kept for it is removed with its name.
    let key = ResourceKey { kind, namespace: namespace.clone(), name: name.clone() };
    ctx.store.bind_uid(&key, &uid);
    // Its position in the queue cannot be read any more.
    ctx.store.requeue(ctx.store.queue.lock().remove(&uid));
    let publish = |reason, message| ctx.events.publish(kind, cached.meta(), &Event { reason, message });
    let held = cached.meta().deletion_timestamp.as_ref().filter(|_| api::has_finalizer(cached.meta()));
    let release_requested = held.is_some() && cached.annotations().get(api::RELEASE).is_some_and(|value| value == "true");
    let time_left = match held {
        Some(since) if !release_requested && namespaces::is_terminating(ctx, &namespace, &uid).await => {
            Some(namespace_time_left(since.0, Timestamp::now()))
        }
        _ => None,
    };
    if !release_requested && time_left.is_none_or(|left| !left.is_zero()) {
        let message = format!(
            "failed to decode the resource, so the operator ignores it ({error}): correct it, or delete it with the annotation {}: \"true\"",
            api::RELEASE
        );
        if ctx.store.local_states.should_report(&uid, &message) {
            tracing::warn!(kind = kind.as_str(), namespace, name, uid, error, "failed to decode a resource; ignoring it");
            publish(Reason::Undecodable, message);
        }
        return held.map_or_else(Action::await_change, |_| Action::requeue(time_left.unwrap_or(NAMESPACE_RECHECK)));
    }
    // Before the write, because the watch may show the deletion before the response arrives. A release leaves the operation running.
    let released = if release_requested { ctx.store.detached_index.release(&uid) } else { None };
    if let Some(object) = released.as_ref().and_then(|(kind, last)| last.object(*kind).ok()) {
        ctx.store.index.retain_claims(&object);
    }
    match remove_finalizer(ctx, kind, cached).await {
        Ok(()) => {
            let what = cached.operation().map_or_else(|| "an operation".to_owned(), |id| format!("operation {id}"));
            let why = if release_requested {
                format!("released by the annotation {}", api::RELEASE)
            } else {
                "the namespace is being deleted, and its deletion waits for at most two minutes".to_owned()
            };
            let message = format!("{what} may still be running: {why}, and the status cannot be decoded");
            if time_left.is_some() {
                let event = Event { reason: Reason::Released, message: message.clone() };
                ctx.events.publish_of_namespace(&key, &event);
            }
            publish(Reason::Released, message);
            Action::await_change()
        }
        Err(error) => {
            // The resource still has its finalizer. If its deletion is completed in another way, its operation must be tracked.
            let is_shown = || ctx.store.cached(&key).is_some_and(|shown| shown.uid().as_deref() == Some(&*uid));
            if let Some(released) = released.filter(|_| error.is_refusal() && is_shown()) {
                ctx.store.detached_index.restore(&uid, released);
            }
            let delay = ctx.store.local_states.record_failure(&uid);
            if error.denial().is_some() {
                ctx.metrics.wrote(Write::Finalizer, WriteResult::Refused);
                denied_writes::report(ctx, (kind, cached.meta()), Write::Finalizer, &error);
            } else {
                let retry_in_seconds = delay.as_secs_f64();
                tracing::warn!(kind = kind.as_str(), namespace, name, uid, %error, retry_in_seconds, "failed to release a resource");
            }
            Action::requeue(delay)
        }
    }
}

async fn remove_finalizer(ctx: &Context, kind: Kind, cached: &CachedResource) -> Result<(), ApiError> {
    let namespace = cached.namespace().unwrap_or_default();
    let resources: Api<CachedResource> = Api::namespaced_with(ctx.client.clone(), &namespace, &kind);
    let meta = cached.meta();
    let finalizers = with_timeout(REQUEST_TIMEOUT, finalizers_of(&resources, meta)).await?;
    let finalizers: Vec<String> = finalizers.into_iter().filter(|name| name != api::FINALIZER).collect();
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version, "uid": meta.uid}}));
    let _permit = ctx.request_limiter.acquire(&namespace).await;
    match with_timeout(REQUEST_TIMEOUT, resources.patch(&cached.name_any(), &PatchParams::default(), &patch)).await {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::controller::fixture::context;
    use crate::controller::reconcile::reconcile;

    /// The requests to the API server during the reconciliation of a resource that a newer version wrote.
    async fn sent(change: impl FnOnce(&mut Value)) -> Vec<(String, Value)> {
        let mut object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {
                "name": "sales", "namespace": "bi", "uid": "u-1", "resourceVersion": "41", "finalizers": ["other/one", api::FINALIZER],
                "deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": {(api::RELEASE): "true"},
            },
            "spec": {"model": {"fabric": "sales"}, "conflictPolicy": "Preempt"},
            "status": {"run": {"operationId": "op-1", "state": 7}},
        });
        change(&mut object);
        let kept: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (shown, keep) = (serde_json::to_vec(&object).unwrap(), Arc::clone(&kept));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (keep, shown) = (Arc::clone(&keep), shown.clone());
            async move {
                let line = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                if line.starts_with("PATCH") {
                    keep.lock().push((line, serde_json::from_slice(&body).unwrap()));
                }
                Ok::<_, Infallible>(Response::new(Body::from(shown)))
            }
        });
        let mut ctx = context(0);
        ctx.client = Client::new(service, "ops");
        let cached: CachedResource = serde_json::from_value(object).unwrap();
        assert!(cached.object(Kind::ModelRefresh).is_err());
        assert_eq!(cached.operation().as_deref(), Some("op-1"));
        reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::new(ctx)).await;
        let kept = kept.lock();
        kept.clone()
    }

    #[tokio::test]
    async fn undecodable_resource_can_be_released() {
        let sent = sent(|_| {}).await;
        assert_eq!(sent.len(), 1);
        let (line, body) = &sent[0];
        assert_eq!(line, "PATCH /apis/tabular-operator.dev/v1alpha1/namespaces/bi/modelrefreshes/sales");
        assert_eq!(*body, json!({"metadata": {"finalizers": ["other/one"], "resourceVersion": "41", "uid": "u-1"}}));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_deleted_undecodable_resource() {
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {"name": "sales", "namespace": "bi", "uid": "u-1", "resourceVersion": "41"}, "spec": {"model": 5},
        });
        let (ctx, cached) = (Arc::new(context(0)), serde_json::from_value::<CachedResource>(object).unwrap());
        let name = ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: "sales".to_owned() };
        // The watch shows the deletion during the reconciliation.
        ctx.store.on_deleted(&name, cached.meta());
        reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::clone(&ctx)).await;
        assert_eq!((ctx.store.names(), ctx.store.local_states.count()), (1, 1), "the refusal is reported once");
        ctx.store.remove(&name);
        assert_eq!((ctx.store.names(), ctx.store.local_states.count()), (0, 0));
    }

    #[tokio::test]
    async fn undecodable_resource_is_otherwise_unchanged() {
        assert!(sent(|object| object["metadata"]["deletionTimestamp"] = Value::Null).await.is_empty());
        assert!(sent(|object| object["metadata"]["annotations"] = json!({(api::RELEASE): "yes"})).await.is_empty());
        assert!(sent(|object| object["metadata"]["finalizers"] = json!(["other/one"])).await.is_empty());
    }
}
