//! Writes to a resource: its status, its finalizer, its annotation. Each carries the resource version that it was decided on.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call::{CallError, bounded};
use super::shares::Shares;
use crate::api::{self, Kind, MORE_FINALIZERS, ModelResource, Status};

/// How long a call to the Kubernetes API may take.
pub(super) const CALL: Duration = Duration::from_secs(15);

/// How many calls of passes are made at the same time, over all resources. Each takes a connection of its own, which costs memory
/// here and at the API server, and lies idle most of the time; at 10 ms a call these are 1600 calls a second.
pub(super) const CONNECTIONS: usize = 16;

/// The permits for the calls of passes, which namespaces share.
pub(super) fn places() -> Shares {
    Shares::new(CONNECTIONS)
}

/// The calls about one resource.
#[derive(Clone)]
pub(super) struct Records {
    api: Api<ModelResource>,
    namespace: String,
    places: Shares,
}

impl Records {
    pub(super) fn new(client: &Client, places: &Shares, kind: Kind, namespace: &str) -> Self {
        let api = Api::namespaced_with(client.clone(), namespace, &kind);
        Self { api, namespace: namespace.to_owned(), places: places.clone() }
    }

    /// Makes a call when it has a place. Its deadline counts from then: those before it have one too.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
        let _place = self.places.take(&self.namespace).await;
        bounded(CALL, call).await
    }

    /// Reads the resource past the cache; `None` where it is gone.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Arc<ModelResource>>, CallError> {
        Ok(self.call(self.api.get_opt(name)).await?.map(Arc::new))
    }

    /// Records a status, if the resource is still as it was when it was decided on.
    pub(super) async fn write_status(&self, object: &ModelResource, status: &Status) -> Result<Arc<ModelResource>, CallError> {
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
    pub(super) async fn add_finalizer(&self, object: &ModelResource) -> Result<Arc<ModelResource>, CallError> {
        let mut finalizers = self.call(finalizers_of(&self.api, object.meta())).await?;
        finalizers.push(api::FINALIZER.to_owned());
        took_effect(self.patch_metadata(object, json!({"finalizers": finalizers})).await?, |written| holds(written, object))
    }

    /// Drops the finalizer; the resource may be gone with that, or before.
    pub(super) async fn drop_finalizer(&self, object: &ModelResource) -> Result<(), CallError> {
        let finalizers = self.call(finalizers_of(&self.api, object.meta())).await?;
        let finalizers: Vec<String> = finalizers.into_iter().filter(|name| name != api::FINALIZER).collect();
        let written = self.patch_metadata(object, json!({"finalizers": finalizers})).await?;
        took_effect(written, |written| !holds(written, object)).map(|_| ())
    }

    /// Takes off an annotation.
    pub(super) async fn drop_annotation(&self, object: &ModelResource, key: &str) -> Result<Arc<ModelResource>, CallError> {
        let written = self.patch_metadata(object, json!({"annotations": {key: null}})).await?;
        took_effect(written, |written| !written.annotations().contains_key(key))
    }

    async fn patch_metadata(&self, object: &ModelResource, mut metadata: serde_json::Value) -> Result<ModelResource, CallError> {
        metadata["resourceVersion"] = json!(object.meta().resource_version);
        metadata["uid"] = json!(object.meta().uid);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let name = object.name_any();
        self.call(self.api.patch(&name, &PatchParams::default(), &patch)).await
    }
}

/// All finalizers of a resource. Those that are too long for the cache are read.
pub(super) async fn finalizers_of<K: Clone + Debug + DeserializeOwned>(
    api: &Api<K>,
    meta: &ObjectMeta,
) -> Result<Vec<String>, kube::Error> {
    let cached = meta.finalizers.clone().unwrap_or_default();
    if !cached.iter().any(|name| name == MORE_FINALIZERS) {
        return Ok(cached);
    }
    // A write under the version that was decided on is refused where they have changed since.
    let read = api.get_metadata(meta.name.as_deref().unwrap_or_default()).await?;
    Ok(read.metadata.finalizers.unwrap_or_default())
}

/// What a write left, where it has what was written. A mutating webhook may change it back.
fn took_effect(written: ModelResource, has: impl FnOnce(&ModelResource) -> bool) -> Result<Arc<ModelResource>, CallError> {
    if has(&written) { Ok(Arc::new(written)) } else { Err(CallError::NoEffect) }
}

/// Whether what was found is the same resource, with the finalizer.
fn holds(found: &ModelResource, object: &ModelResource) -> bool {
    found.uid() == object.uid() && api::has_finalizer(found.meta())
}

#[cfg(test)]
mod tests;
