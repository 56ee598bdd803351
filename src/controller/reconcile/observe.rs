//! The surroundings of a resource: its upstream, whose model and credentials it may use, and the faults of both.

use std::sync::Arc;

use jiff::Timestamp;

use super::context::Context;
use super::validate;
use crate::api::{Credentials, ModelResource, Reason, ResourceKey};
use crate::controller::store::dependents;
use crate::engine::reconcile::Observed;
use crate::engine::{Cure, Fault, Followed};

/// The credentials that apply, where `Ok(None)` is the identity of the operator; or why they are unknown.
pub(crate) type Found = Result<Option<Credentials>, Fault>;

/// Observes the newest known surroundings of a resource, and returns the credentials that apply. No operation is reserved for a
/// detached resource.
pub(crate) fn observe(ctx: &Context, key: &ResourceKey, resource: &Arc<ModelResource>, is_detached: bool) -> (Observed, Found) {
    let (fault, followed, credentials) = around(ctx, key, resource);
    let observed = Observed {
        now: Timestamp::now(),
        leads: ctx.lease.holds(),
        may_submit: ctx.lease.holds_for_a_submission(),
        fault,
        followed,
        leaving: ctx.lease.leaving(),
        adopt_taken: !is_detached && ctx.adopt_taken(resource),
    };
    (observed, credentials)
}

/// The fault of a resource, if any; its upstream, if it exists; and its credentials.
fn around(ctx: &Context, name: &ResourceKey, resource: &ModelResource) -> (Option<Fault>, Option<Followed>, Found) {
    let own = validate::of_spec(resource, ctx.azure.cloud(), &ctx.identities);
    let credentials = || Ok(resource.credentials().cloned());
    let Some(follows) = resource.follows() else {
        return (own, None, credentials());
    };
    let takes_over = resource.model().is_none();
    let followed = look_up(ctx, &dependents::refresh(name, follows));
    let wrong = match &followed {
        Ok(followed) if takes_over => validate::of_followed(followed, ctx.azure.cloud(), &ctx.identities),
        Ok(_) => None,
        Err(fault) => Some(fault.clone()),
    };
    let credentials = match &followed {
        Ok(followed) if takes_over => Ok(followed.credentials().cloned()),
        Err(fault) if takes_over => Err(fault.clone()),
        Ok(_) | Err(_) => credentials(),
    };
    let fault = own.or_else(|| ctx.followers.circle(name).as_deref().map(in_circle)).or(wrong);
    (fault, followed.ok().as_deref().and_then(Followed::of_resource), credentials)
}

/// The refresh of this name, or why it is not available.
fn look_up(ctx: &Context, name: &ResourceKey) -> Result<Arc<ModelResource>, Fault> {
    let fault = |message| Fault { reason: Reason::FollowedNotFound, message, cure: Cure::Cluster };
    match ctx.find(name) {
        Some(Ok(resource)) => Ok(resource),
        Some(Err(error)) => {
            Err(fault(format!("failed to decode ModelRefresh {}, the upstream of this resource: {error}: correct it", name.name)))
        }
        None if let Some(of) = ctx.unseen_of(name) => Err(fault(format!(
            "failed to read ModelRefresh {}, the upstream of this resource: the operator cannot watch {of}: see its /readyz for the cause",
            name.name
        ))),
        None => Err(fault(format!(
            "ModelRefresh {} not found in namespace {}: create it or correct spec.trigger.afterRefresh.name",
            name.name, name.namespace
        ))),
    }
}

fn in_circle(path: &str) -> Fault {
    let message = format!("spec.trigger.afterRefresh forms a cycle: {path}: remove it from one of these resources");
    Fault { reason: Reason::FollowCycle, message, cure: Cure::Cluster }
}
