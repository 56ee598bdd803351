//! Writes to a resource: its status, its finalizer, its annotation. Each carries the resource version that it was decided on.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::call::{CallError, bounded};
use super::watched::slim;
use crate::api::{self, ModelRefresh, Status};

/// How long a call to the Kubernetes API may take.
pub(super) const CALL: Duration = Duration::from_secs(15);

/// The writes to one resource.
#[derive(Clone)]
pub(super) struct Records {
    api: Api<ModelRefresh>,
}

impl Records {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace) }
    }

    /// Reads the resource past the cache; `None` where it is gone.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Arc<ModelRefresh>>, CallError> {
        Ok(bounded(CALL, self.api.get_opt(name)).await?.map(slim))
    }

    /// Records a status, if the resource is still as it was when it was decided on.
    pub(super) async fn write_status(&self, object: &ModelRefresh, status: &Status) -> Result<Arc<ModelRefresh>, CallError> {
        let mut changed = object.clone();
        changed.status = Some(status.clone());
        let name = object.name_any();
        Ok(slim(bounded(CALL, self.api.replace_status(&name, &PostParams::default(), &changed)).await?))
    }

    /// Adds the finalizer.
    pub(super) async fn add_finalizer(&self, object: &ModelRefresh) -> Result<Arc<ModelRefresh>, CallError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(api::FINALIZER.to_owned());
        self.patch_metadata(object, json!({"finalizers": finalizers})).await
    }

    /// Drops the finalizer; the resource may be gone with that.
    pub(super) async fn drop_finalizer(&self, object: &ModelRefresh) -> Result<(), CallError> {
        let finalizers: Vec<&String> = object.finalizers().iter().filter(|name| *name != api::FINALIZER).collect();
        match self.patch_metadata(object, json!({"finalizers": finalizers})).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes off an annotation.
    pub(super) async fn drop_annotation(&self, object: &ModelRefresh, key: &str) -> Result<Arc<ModelRefresh>, CallError> {
        self.patch_metadata(object, json!({"annotations": {key: null}})).await
    }

    async fn patch_metadata(&self, object: &ModelRefresh, mut metadata: serde_json::Value) -> Result<Arc<ModelRefresh>, CallError> {
        metadata["resourceVersion"] = json!(object.metadata.resource_version);
        metadata["uid"] = json!(object.metadata.uid);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let name = object.name_any();
        Ok(slim(bounded(CALL, self.api.patch(&name, &PatchParams::default(), &patch)).await?))
    }
}

#[cfg(test)]
mod tests;
