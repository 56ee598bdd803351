//! Reads of and writes to one resource: its status, its finalizer and its annotations. Each write carries the resource version on which it
//! is based.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::timeout::{ApiError, with_timeout};
use crate::api::{self, Kind, MORE_FINALIZERS, ModelResource, Status};
use crate::fair_semaphore::FairSemaphore;

/// Timeout for one request to the Kubernetes API.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The maximum number of concurrent requests about resources. Each uses its own connection, which costs memory here and at the API
/// server and is idle most of the time. At 10 ms per request, 16 connections serve 1600 requests per second.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

/// The permits for requests about resources, which namespaces share.
pub(crate) fn request_limiter() -> FairSemaphore {
    FairSemaphore::new(MAX_IN_FLIGHT)
}

/// The requests about the resources of one kind and namespace.
#[derive(Clone)]
pub(crate) struct ResourceApi {
    api: Api<ModelResource>,
    namespace: String,
    request_limiter: FairSemaphore,
}

impl ResourceApi {
    pub(crate) fn new(client: &Client, request_limiter: &FairSemaphore, kind: Kind, namespace: &str) -> Self {
        let api = Api::namespaced_with(client.clone(), namespace, &kind);
        Self { api, namespace: namespace.to_owned(), request_limiter: request_limiter.clone() }
    }

    /// Performs a request once it has a permit. Its deadline starts then, because the requests before it have deadlines too.
    pub(crate) async fn call<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
        let _permit = self.request_limiter.acquire(&self.namespace).await;
        with_timeout(REQUEST_TIMEOUT, call).await
    }

    /// Reads the resource from the API server. `None` if it does not exist.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Arc<ModelResource>>, ApiError> {
        Ok(self.call(self.api.get_opt(name)).await?.map(Arc::new))
    }

    /// Writes a status if the resource has not changed since `object`.
    pub(crate) async fn write_status(&self, object: &ModelResource, status: &Status) -> Result<Arc<ModelResource>, ApiError> {
        let changed = object.with_status(status);
        let name = object.name_any();
        let written = self.call(self.api.replace_status(&name, &PostParams::default(), &changed)).await?;
        let run = |object: &ModelResource| {
            let run = object.status().and_then(|status| status.run.as_ref())?;
            Some((run.number, run.attempt, run.state, run.operation_id.clone()))
        };
        took_effect(written, |written| run(written) == run(&changed))
    }

    /// Adds the finalizer.
    pub(crate) async fn add_finalizer(&self, object: &ModelResource) -> Result<Arc<ModelResource>, ApiError> {
        let mut finalizers = self.call(finalizers_of(&self.api, object.meta())).await?;
        finalizers.push(api::FINALIZER.to_owned());
        took_effect(self.patch_metadata(object, json!({"finalizers": finalizers})).await?, |written| has_our_finalizer(written, object))
    }

    /// Removes the finalizer. The resource may be deleted as a result, or may have been deleted before.
    pub(crate) async fn remove_finalizer(&self, object: &ModelResource) -> Result<(), ApiError> {
        let finalizers = self.call(finalizers_of(&self.api, object.meta())).await?;
        let finalizers: Vec<String> = finalizers.into_iter().filter(|name| name != api::FINALIZER).collect();
        let written = self.patch_metadata(object, json!({"finalizers": finalizers})).await?;
        took_effect(written, |written| !has_our_finalizer(written, object)).map(|_| ())
    }

    /// Removes an annotation.
    pub(crate) async fn remove_annotation(&self, object: &ModelResource, key: &str) -> Result<Arc<ModelResource>, ApiError> {
        let written = self.patch_metadata(object, json!({"annotations": {key: null}})).await?;
        took_effect(written, |written| !written.annotations().contains_key(key))
    }

    async fn patch_metadata(&self, object: &ModelResource, mut metadata: serde_json::Value) -> Result<ModelResource, ApiError> {
        metadata["resourceVersion"] = json!(object.meta().resource_version);
        metadata["uid"] = json!(object.meta().uid);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let name = object.name_any();
        self.call(self.api.patch(&name, &PatchParams::default(), &patch)).await
    }
}

/// All finalizers of a resource. If the cache does not hold all of them, they are read.
pub(crate) async fn finalizers_of<K: Clone + Debug + DeserializeOwned>(
    api: &Api<K>,
    meta: &ObjectMeta,
) -> Result<Vec<String>, kube::Error> {
    let cached = meta.finalizers.clone().unwrap_or_default();
    if !cached.iter().any(|name| name == MORE_FINALIZERS) {
        return Ok(cached);
    }
    // If they have changed, the write is rejected because of its resource version.
    let read = api.get_metadata(meta.name.as_deref().unwrap_or_default()).await?;
    Ok(read.metadata.finalizers.unwrap_or_default())
}

/// The result of a write if it contains what was written. A mutating webhook may revert it.
fn took_effect(written: ModelResource, has: impl FnOnce(&ModelResource) -> bool) -> Result<Arc<ModelResource>, ApiError> {
    if has(&written) { Ok(Arc::new(written)) } else { Err(ApiError::NoEffect) }
}

/// Whether `found` is the same resource and has the finalizer.
fn has_our_finalizer(found: &ModelResource, object: &ModelResource) -> bool {
    found.uid() == object.uid() && api::has_finalizer(found.meta())
}

#[cfg(test)]
mod tests;
