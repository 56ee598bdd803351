//! Whether an operator has worked here before. If so, an absent Lease was deleted, and its holder may still act.

use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};

use crate::api::{self, Kind, ModelResource};
use crate::controller::cluster::resource_api::REQUEST_TIMEOUT;
use crate::controller::cluster::timeout::{ApiError, with_timeout};

/// The maximum number of resources in one list response.
const PAGE_SIZE: u32 = 500;

/// Whether a resource in these namespaces (all if there are none) has the finalizer or a written status.
///
/// # Errors
/// If a list request fails.
pub(super) async fn was_used(client: &Client, namespaces: &[String]) -> Result<bool, ApiError> {
    for kind in Kind::ALL {
        let of_all = namespaces.is_empty().then(|| Api::all_with(client.clone(), kind));
        let of_each = namespaces.iter().map(|namespace| Api::namespaced_with(client.clone(), namespace, kind));
        for resources in of_all.into_iter().chain(of_each) {
            if has_operator_traces(&resources).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn has_operator_traces(resources: &Api<ModelResource>) -> Result<bool, ApiError> {
    let mut page = ListParams::default().limit(PAGE_SIZE);
    loop {
        let list = match with_timeout(REQUEST_TIMEOUT, resources.list_metadata(&page)).await {
            // The CRDs are not installed.
            Err(error) if error.is_not_found() => return Ok(false),
            list => list?,
        };
        let ours = |object: &PartialObjectMeta<ModelResource>| {
            let has_status = object.managed_fields().iter().any(|entry| entry.subresource.as_deref() == Some("status"));
            has_status || api::has_finalizer(&object.metadata)
        };
        if list.items.iter().any(ours) {
            return Ok(true);
        }
        match list.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(false),
        }
    }
}
