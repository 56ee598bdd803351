//! The surroundings of a resource: its upstream, whose model and credentials it may use, and the faults of both.

use std::sync::Arc;

use jiff::Timestamp;

use super::context::Context;
use super::validate;
use crate::api::{Credentials, ModelResource, Reason, ResourceKey};
use crate::controller::store::dependents;
use crate::engine::reconcile::Observed;
use crate::engine::{Blocker, Remedy, Upstream};

/// The credentials that apply, where `Ok(None)` is the identity of the operator; or why they are unknown.
pub(crate) type Found = Result<Option<Credentials>, Blocker>;

/// Observes the newest known surroundings of a resource, and returns the credentials that apply. No operation is reserved for a
/// detached resource.
pub(crate) fn observe(ctx: &Context, key: &ResourceKey, resource: &Arc<ModelResource>, is_detached: bool) -> (Observed, Found) {
    let (blocker, upstream, credentials) = around(ctx, key, resource);
    let observed = Observed {
        now: Timestamp::now(),
        leads: ctx.lease.holds(),
        may_submit: ctx.lease.holds_for_a_submission(),
        blocker,
        upstream,
        drain: ctx.lease.leaving(),
        adopt_claimed: !is_detached && ctx.store.adopt_claimed(resource),
    };
    (observed, credentials)
}

/// The fault of a resource, if any; its upstream, if it exists; and its credentials.
fn around(ctx: &Context, name: &ResourceKey, resource: &ModelResource) -> (Option<Blocker>, Option<Upstream>, Found) {
    let own = validate::of_spec(resource, ctx.azure.cloud(), &ctx.identities);
    let credentials = || Ok(resource.credentials().cloned());
    let Some(follows) = resource.upstream_name() else {
        return (own, None, credentials());
    };
    let takes_over = resource.model().is_none();
    let upstream = look_up(ctx, &dependents::refresh(name, follows));
    let wrong = match &upstream {
        Ok(upstream) if takes_over => validate::of_followed(upstream, ctx.azure.cloud(), &ctx.identities),
        Ok(_) => None,
        Err(blocker) => Some(blocker.clone()),
    };
    let credentials = match &upstream {
        Ok(upstream) if takes_over => Ok(upstream.credentials().cloned()),
        Err(blocker) if takes_over => Err(blocker.clone()),
        Ok(_) | Err(_) => credentials(),
    };
    let blocker = own.or_else(|| ctx.store.followers.circle(name).as_deref().map(in_circle)).or(wrong);
    (blocker, upstream.ok().as_deref().and_then(Upstream::of_resource), credentials)
}

/// The refresh of this name, or why it is not available.
fn look_up(ctx: &Context, name: &ResourceKey) -> Result<Arc<ModelResource>, Blocker> {
    let blocker = |message| Blocker { reason: Reason::FollowedNotFound, message, remedy: Remedy::ClusterChange };
    match ctx.store.find(name) {
        Some(Ok(resource)) => Ok(resource),
        Some(Err(error)) => {
            Err(blocker(format!("failed to decode ModelRefresh {}, the upstream of this resource: {error}: correct it", name.name)))
        }
        None if let Some(of) = ctx.store.unseen_of(name) => Err(blocker(format!(
            "failed to read ModelRefresh {}, the upstream of this resource: the operator cannot watch {of}: see its /readyz for the cause",
            name.name
        ))),
        None => Err(blocker(format!(
            "ModelRefresh {} not found in namespace {}: create it or correct spec.trigger.afterRefresh.name",
            name.name, name.namespace
        ))),
    }
}

fn in_circle(path: &str) -> Blocker {
    let message = format!("spec.trigger.afterRefresh forms a cycle: {path}: remove it from one of these resources");
    Blocker { reason: Reason::FollowCycle, message, remedy: Remedy::ClusterChange }
}
