//! What is wrong with a spec, in a way that only the operator can tell. It costs no call.

use std::collections::HashSet;

use kube::ResourceExt;

use super::references::Identities;
use super::target::Target;
use crate::api::{Credentials, Model, ModelResource, Reason, RefreshParameters};
use crate::engine::{Cure, Fault};
use crate::service::cloud::Cloud;

/// What is wrong with a resource's own spec.
pub(super) fn of_spec(resource: &ModelResource, cloud: &Cloud, identities: &Identities) -> Option<Fault> {
    let wrong = resource.model().and_then(|model| of_model(model, cloud)).or_else(|| of_parameters(resource));
    let wrong = wrong.map(|(reason, message)| Fault { reason, message: format!("spec.{message}"), cure: Cure::Spec });
    // Whose model is taken over, his credentials are too.
    wrong.or_else(|| resource.model().and_then(|_| of_credentials(resource, resource.credentials(), identities)))
}

/// What is wrong with a followed refresh whose model and credentials are taken over.
pub(super) fn of_followed(followed: &ModelResource, cloud: &Cloud, identities: &Identities) -> Option<Fault> {
    let wrong = followed.model().and_then(|model| of_model(model, cloud)).map(|(reason, message)| (reason, format!("spec.{message}")));
    let forbidden = || of_credentials(followed, followed.credentials(), identities).map(|fault| (fault.reason, fault.message));
    let (reason, message) = wrong.or_else(forbidden)?;
    let message = format!("ModelRefresh {}, whose model this resource uses: {message}", followed.name_any());
    // Its spec may be mended, and then the follower is woken.
    Some(Fault { reason, message, cure: Cure::Cluster })
}

/// Which fault, and a sentence about it that begins with the field below `spec`.
type Wrong = (Reason, String);

fn of_model(model: &Model, cloud: &Cloud) -> Option<Wrong> {
    Target::of(model, cloud).err()
}

/// Admission sees it in a list of 200; a longer one is beyond what the API server lets a rule cost.
fn of_parameters(resource: &ModelResource) -> Option<Wrong> {
    let RefreshParameters { objects, .. } = match resource {
        ModelResource::ModelRefresh(refresh) => refresh.spec.refresh.as_ref()?,
        ModelResource::ModelSync(_) => return None,
    };
    let mut named = HashSet::new();
    let twice = objects.iter().find(|object| !named.insert(*object))?;
    let partition = twice.partition.as_ref().map(|partition| format!(", partition {partition}")).unwrap_or_default();
    let message = format!("refresh.objects: must contain each table or partition once; table {}{partition} is listed twice", twice.table);
    Some((Reason::InvalidSpec, message))
}

fn of_credentials(resource: &ModelResource, credentials: Option<&Credentials>, identities: &Identities) -> Option<Fault> {
    identities.forbidden(&resource.namespace().unwrap_or_default(), credentials)
}
