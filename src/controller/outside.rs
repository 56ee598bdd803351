//! A door for the fuzz targets (`tests/fuzz`): what the API server gives, to the reader that the operator has for it.
//! Nothing in the operator uses it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::watched::Watched;
use crate::api::{Kind, ModelResource};
use crate::service::identity::Identity;

/// The service principal that a Secret holds.
///
/// # Errors
/// One sentence for what is wrong with it.
pub fn service_principal(secret: &Secret, now: Timestamp) -> Result<Identity, String> {
    super::references::service_principal("aas-sp", secret, now)
}

/// A resource as the watch gives it, in JSON.
///
/// # Errors
/// Why it is none.
pub fn resource(kind: Kind, json: &[u8]) -> Result<ModelResource, String> {
    let watched: Watched = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    watched.object(kind).map(|resource| ModelResource::clone(&resource))
}
