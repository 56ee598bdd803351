//! Writes to a resource: its status, its finalizer, its annotation. Each carries the resource version that it was decided on.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt};
use serde_json::json;

use super::call::{CallError, bounded};
use super::resource::Resource;
use super::watched::slim;
use crate::api::{self, Status};
use crate::telemetry::labels::Kind;

/// How long a call to the Kubernetes API may take.
pub(super) const CALL: Duration = Duration::from_secs(15);

/// The writes to one resource.
#[derive(Clone)]
pub(super) struct Records {
    api: Api<Resource>,
}

impl Records {
    pub(super) fn new(client: &Client, kind: Kind, namespace: &str) -> Self {
        Self { api: Api::namespaced_with(client.clone(), namespace, &kind) }
    }

    /// Reads the resource past the cache; `None` where it is gone.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Arc<Resource>>, CallError> {
        Ok(bounded(CALL, self.api.get_opt(name)).await?.map(slim))
    }

    /// Records a status, if the resource is still as it was when it was decided on.
    pub(super) async fn write_status(&self, object: &Resource, status: &Status) -> Result<Arc<Resource>, CallError> {
        let changed = object.with_status(status);
        let name = object.name_any();
        Ok(slim(bounded(CALL, self.api.replace_status(&name, &PostParams::default(), &changed)).await?))
    }

    /// Adds the finalizer.
    pub(super) async fn add_finalizer(&self, object: &Resource) -> Result<Arc<Resource>, CallError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(api::FINALIZER.to_owned());
        self.patch_metadata(object, json!({"finalizers": finalizers})).await
    }

    /// Drops the finalizer; the resource may be gone with that.
    pub(super) async fn drop_finalizer(&self, object: &Resource) -> Result<(), CallError> {
        let finalizers: Vec<&String> = object.finalizers().iter().filter(|name| *name != api::FINALIZER).collect();
        match self.patch_metadata(object, json!({"finalizers": finalizers})).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes off an annotation.
    pub(super) async fn drop_annotation(&self, object: &Resource, key: &str) -> Result<Arc<Resource>, CallError> {
        self.patch_metadata(object, json!({"annotations": {key: null}})).await
    }

    async fn patch_metadata(&self, object: &Resource, mut metadata: serde_json::Value) -> Result<Arc<Resource>, CallError> {
        metadata["resourceVersion"] = json!(object.meta().resource_version);
        metadata["uid"] = json!(object.meta().uid);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let name = object.name_any();
        Ok(slim(bounded(CALL, self.api.patch(&name, &PatchParams::default(), &patch)).await?))
    }
}

#[cfg(test)]
mod tests;
