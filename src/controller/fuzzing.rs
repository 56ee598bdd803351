//! The entry points of the fuzz targets (`tests/fuzz`), which pass responses of the API server to the parsers of the operator.
//! The operator itself does not use them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::api::{Kind, ModelResource};
use crate::azure::identity::Identity;
use crate::controller::store::cached::CachedResource;

/// The service principal that a Secret holds.
///
/// # Errors
/// One sentence that states the fault.
pub fn service_principal(secret: &Secret, now: Timestamp) -> Result<Identity, String> {
    super::credentials::service_principal("aas-sp", secret, now)
}

/// Decodes a resource from the JSON of the watch.
///
/// # Errors
/// Why it cannot be decoded.
pub fn resource(kind: Kind, json: &[u8]) -> Result<ModelResource, String> {
    let watched: CachedResource = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    watched.object(kind).map(|resource| ModelResource::clone(&resource))
}
