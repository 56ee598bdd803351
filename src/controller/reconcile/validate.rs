//! Faults of a spec that admission cannot detect. Detecting them needs no request.

use kube::ResourceExt;

use super::target::ModelTarget;
use crate::api::{Credentials, Model, ModelResource, Reason};
use crate::azure::cloud::Cloud;
use crate::controller::credentials::CredentialResolver;
use crate::engine::{Blocker, Remedy};

/// The fault of the resource's own spec.
pub(crate) fn of_spec(resource: &ModelResource, cloud: &Cloud, resolver: &CredentialResolver) -> Option<Blocker> {
    let error = resource.model().and_then(|model| of_model(model, cloud)).or_else(|| of_parameters(resource));
    let error = error.map(|(reason, message)| Blocker { reason, message: format!("spec.{message}"), remedy: Remedy::SpecChange });
    // A resource without a model also uses the credentials of its upstream.
    error.or_else(|| resource.model().and_then(|_| of_credentials(resource, resource.credentials(), resolver)))
}

/// The fault of an upstream whose model and credentials the resource uses.
pub(crate) fn of_upstream(upstream: &ModelResource, cloud: &Cloud, resolver: &CredentialResolver) -> Option<Blocker> {
    let error = upstream.model().and_then(|model| of_model(model, cloud)).map(|(reason, message)| (reason, format!("spec.{message}")));
    let forbidden = || of_credentials(upstream, upstream.credentials(), resolver).map(|blocker| (blocker.reason, blocker.message));
    let (reason, message) = error.or_else(forbidden)?;
    let message = format!("ModelRefresh {}, whose model this resource uses: {message}", upstream.name_any());
    // A correction of its spec triggers a reconciliation of the dependent.
    Some(Blocker { reason, message, remedy: Remedy::ClusterChange })
}

/// The reason of a fault, and its message, which starts with the field below `spec`.
type SpecError = (Reason, String);

fn of_model(model: &Model, cloud: &Cloud) -> Option<SpecError> {
    ModelTarget::of(model, cloud).err()
}

/// Admission checks lists of up to 200 objects. For longer lists, the rule would exceed the cost limit of the API server.
fn of_parameters(resource: &ModelResource) -> Option<SpecError> {
    let parameters = match resource {
        ModelResource::ModelRefresh(refresh) => refresh.spec.refresh.as_ref()?,
        ModelResource::ModelSync(_) => return None,
    };
    parameters.duplicate().map(|message| (Reason::InvalidSpec, message))
}

fn of_credentials(resource: &ModelResource, credentials: Option<&Credentials>, resolver: &CredentialResolver) -> Option<Blocker> {
    resolver.forbidden(&resource.namespace().unwrap_or_default(), credentials)
}
