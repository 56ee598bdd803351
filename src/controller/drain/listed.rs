//! The resources as a drain lists them, and the removal of their finalizers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;

use super::error::DrainError;
use super::request::{DrainRequest, REQUEST_TIMEOUT};
use crate::api::{self, FINALIZER, Kind, ModelResource};
use crate::controller::cluster::timeout::{ApiError, with_timeout};

/// The maximum number of resources in one list response.
const PAGE_SIZE: u32 = 250;

/// A resource as it was listed, of any version of the CRD.
pub(super) struct ListedResource {
    kind: Kind,
    object: DynamicObject,
}

impl ListedResource {
    pub(super) fn name(&self) -> String {
        format!("{} {}/{}", self.kind.as_str(), self.object.namespace().unwrap_or_default(), self.object.name_any())
    }

    pub(super) fn run(&self, field: &str) -> &str {
        self.object.data["status"]["run"][field].as_str().unwrap_or_default()
    }

    /// Whether an operation may be running.
    fn has_operation(&self) -> bool {
        matches!(self.run("state"), "Submitting" | "Running" | "Cancelling")
    }

    /// Whether the operation continues without the resource, so that the drain does not wait for it.
    pub(super) fn continues_without_resource(&self) -> bool {
        self.has_operation() && self.object.data["spec"]["deletionPolicy"] == "Orphan"
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.has_operation() && !self.continues_without_resource()
    }

    /// Whether it has the finalizer of the operator.
    pub(super) fn has_finalizer(&self) -> bool {
        api::has_finalizer(&self.object.metadata)
    }

    pub(super) async fn remove_finalizer(&self, client: &Client) -> Result<(), ApiError> {
        let ObjectMeta { namespace, uid, resource_version, .. } = &self.object.metadata;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or_default(), &resource(self.kind));
        let others: Vec<&String> = self.object.finalizers().iter().filter(|name| *name != FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": others, "uid": uid, "resourceVersion": resource_version}});
        with_timeout(REQUEST_TIMEOUT, api.patch(&self.object.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await.map(drop)
    }
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: ModelResource::group(&kind).into_owned(),
        version: ModelResource::version(&kind).into_owned(),
        api_version: ModelResource::api_version(&kind).into_owned(),
        kind: kind.as_str().to_owned(),
        plural: ModelResource::plural(&kind).into_owned(),
    }
}

/// Lists all resources of the namespaces, or of all namespaces if there are none, and keeps the request in effect meanwhile. Also returns
/// whether that succeeded. Otherwise an operation may have started that the list does not show.
pub(super) async fn list(client: &Client, request: &mut DrainRequest<'_>) -> Result<(Vec<ListedResource>, bool), DrainError> {
    let namespaces = &request.settings.namespaces;
    let (mut all, mut kept) = (Vec::new(), true);
    for &kind in Kind::ALL {
        let of = resource(kind);
        let apis: Vec<Api<DynamicObject>> = if namespaces.is_empty() {
            vec![Api::all_with(client.clone(), &of)]
        } else {
            namespaces.iter().map(|namespace| Api::namespaced_with(client.clone(), namespace, &of)).collect()
        };
        for api in apis {
            let mut page = ListParams::default().limit(PAGE_SIZE);
            loop {
                kept &= request.keep().await?;
                let list = match with_timeout(REQUEST_TIMEOUT, api.list(&page)).await {
                    Ok(list) => list,
                    // The CRD does not exist, so neither do its resources.
                    Err(error) if error.is_not_found() => break,
                    Err(error) => return Err(DrainError::Call("list the resources", error)),
                };
                all.extend(list.items.into_iter().map(|object| ListedResource { kind, object }));
                match list.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => page = page.continue_token(&token),
                    None => break,
                }
            }
        }
    }
    Ok((all, kept))
}
