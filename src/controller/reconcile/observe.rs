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
pub(crate) type ResolvedCredentials = Result<Option<Credentials>, Blocker>;

/// Observes the newest known surroundings of a resource, and returns the credentials that apply. No operation is reserved for a
/// detached resource.
pub(crate) fn observe(
    ctx: &Context,
    key: &ResourceKey,
    resource: &Arc<ModelResource>,
    is_detached: bool,
) -> (Observed, ResolvedCredentials) {
    let (blocker, upstream, credentials) = resolve_references(ctx, key, resource);
    let observed = Observed {
        now: Timestamp::now(),
        is_leader: ctx.lease.holds(),
        may_submit: ctx.lease.may_submit(),
        blocker,
        upstream,
        drain: ctx.lease.drain(),
        adopt_claimed: !is_detached && !ctx.store.try_reserve_adoption(resource),
    };
    (observed, credentials)
}

/// The fault of a resource, if any; its upstream, if it exists; and its credentials.
fn resolve_references(
    ctx: &Context,
    name: &ResourceKey,
    resource: &ModelResource,
) -> (Option<Blocker>, Option<Upstream>, ResolvedCredentials) {
    let own = validate::of_spec(resource, ctx.azure.cloud(), &ctx.credential_resolver);
    let credentials = || Ok(resource.credentials().cloned());
    let Some(upstream_name) = resource.upstream_name() else {
        return (own, None, credentials());
    };
    let uses_upstream_model = resource.model().is_none();
    let upstream = find_upstream(ctx, &dependents::refresh_key(name, upstream_name));
    let upstream_blocker = match &upstream {
        Ok(upstream) if uses_upstream_model => validate::of_upstream(upstream, ctx.azure.cloud(), &ctx.credential_resolver),
        Ok(_) => None,
        Err(blocker) => Some(blocker.clone()),
    };
    let credentials = match &upstream {
        Ok(upstream) if uses_upstream_model => Ok(upstream.credentials().cloned()),
        Err(blocker) if uses_upstream_model => Err(blocker.clone()),
        Ok(_) | Err(_) => credentials(),
    };
    let blocker = own.or_else(|| ctx.store.dependencies.cycle(name).as_deref().map(cycle_blocker)).or(upstream_blocker);
    (blocker, upstream.ok().as_deref().and_then(Upstream::of_resource), credentials)
}

/// The refresh of this name, or why it is not available.
fn find_upstream(ctx: &Context, name: &ResourceKey) -> Result<Arc<ModelResource>, Blocker> {
    let blocker = |message| Blocker { reason: Reason::UpstreamNotFound, message, remedy: Remedy::ClusterChange };
    match ctx.store.get(name) {
        Some(Ok(resource)) => Ok(resource),
        Some(Err(error)) => {
            Err(blocker(format!("failed to decode ModelRefresh {}, the upstream of this resource: {error}: correct it", name.name)))
        }
        None if let Some(of) = ctx.store.unsynced_watch_of(name) => Err(blocker(format!(
            "failed to read ModelRefresh {}, the upstream of this resource: the operator cannot watch {of}: see its /readyz for the cause",
            name.name
        ))),
        None => Err(blocker(format!(
            "ModelRefresh {} not found in namespace {}: create it or correct spec.trigger.afterRefresh.name",
            name.name, name.namespace
        ))),
    }
}

fn cycle_blocker(path: &str) -> Blocker {
    let message = format!("spec.trigger.afterRefresh forms a cycle: {path}: remove it from one of these resources");
    Blocker { reason: Reason::UpstreamCycle, message, remedy: Remedy::ClusterChange }
}
