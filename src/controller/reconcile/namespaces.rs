//! Whether a namespace is being deleted together with its resources.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::context::Context;
use crate::controller::cluster::resource_api::REQUEST_TIMEOUT;
use crate::controller::cluster::timeout::with_timeout;

/// Whether the namespace of the resource with this uid is being deleted or no longer exists.
pub(crate) async fn is_terminating(ctx: &Context, namespace: &str, uid: &str) -> bool {
    // Deletion is irreversible.
    if ctx.store.local_states.is_namespace_terminating(uid) {
        return true;
    }
    let namespaces: Api<Namespace> = Api::all(ctx.client.clone());
    let response = {
        let _permit = ctx.request_limiter.acquire(namespace).await;
        with_timeout(REQUEST_TIMEOUT, namespaces.get(namespace)).await
    };
    let unreadable = &ctx.store.unreadable_namespaces;
    let terminating = match response {
        Ok(found) => {
            unreadable.forget(namespace);
            found.metadata.deletion_timestamp.is_some()
        }
        Err(error) if error.is_not_found() => {
            unreadable.forget(namespace);
            true
        }
        Err(error) if error.denial().is_some() => {
            // The same permission is missing for all resources, so it is reported once per namespace.
            if unreadable.should_report(namespace) {
                tracing::warn!(
                    %error, namespace,
                    "failed to get the namespace; its deletion may wait for an operation indefinitely; grant get on namespaces"
                );
            }
            false
        }
        Err(error) => {
            tracing::debug!(%error, namespace, "failed to get the namespace");
            false
        }
    };
    if terminating {
        ctx.store.local_states.set_namespace_terminating(uid);
    }
    terminating
}
