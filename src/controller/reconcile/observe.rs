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

/// The refresh of this name, or why it is not available. It is missing only if a complete list does not contain it.
fn find_upstream(ctx: &Context, name: &ResourceKey) -> Result<Arc<ModelResource>, Blocker> {
    let unreadable = |message| Blocker { reason: Reason::UpstreamUnreadable, message, remedy: Remedy::ClusterChange };
    match ctx.store.get(name) {
        Some(Ok(resource)) => Ok(resource),
        Some(Err(error)) => Err(unreadable(format!(
            "failed to decode ModelRefresh {}, the upstream of this resource, so its runs are unknown: {error}: correct it",
            name.name
        ))),
        None if let Some(of) = ctx.store.unsynced_watch_of(name) => Err(unreadable(format!(
            "failed to read ModelRefresh {}, the upstream of this resource, so its runs are unknown: the operator cannot watch {of}: see \
             its /readyz for the cause",
            name.name
        ))),
        None => {
            let message = format!(
                "ModelRefresh {} not found in namespace {}: create it or correct spec.trigger.afterRefresh.name",
                name.name, name.namespace
            );
            Err(Blocker { reason: Reason::UpstreamNotFound, message, remedy: Remedy::ClusterChange })
        }
    }
}

fn cycle_blocker(path: &str) -> Blocker {
    let message = format!("spec.trigger.afterRefresh forms a cycle: {path}: remove it from one of these resources");
    Blocker { reason: Reason::UpstreamCycle, message, remedy: Remedy::ClusterChange }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store::Writer;
    use kube::runtime::watcher::Event;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::api::Kind;
    use crate::controller::fixture;
    use crate::controller::store::cached::CachedResource;
    use crate::controller::store::scope::{WatchHandle, WatchScope};

    /// Why the upstream is unavailable if the watch has shown this resource, or none.
    fn fault(shown: Option<CachedResource>, is_synced: bool) -> Option<Blocker> {
        let (mut writer, synced) = (Writer::<CachedResource>::new(Kind::ModelRefresh), CancellationToken::new());
        if let Some(shown) = shown {
            writer.apply_watcher_event(&Event::Apply(shown));
        }
        if is_synced {
            synced.cancel();
        }
        let mut ctx = fixture::context(0);
        let handle = WatchHandle { store: writer.as_reader(), synced, seen: Arc::default() };
        ctx.store.watches.insert(WatchScope { kind: Kind::ModelRefresh, namespace: None }, handle);
        find_upstream(&ctx, &fixture::running(0).key()).err()
    }

    #[tokio::test]
    async fn only_absence_from_a_complete_list_is_missing() {
        let upstream = fixture::running(0);
        let mut object = serde_json::to_value(&upstream).unwrap();
        object["status"]["run"]["state"] = json!(7);
        let undecodable: CachedResource = serde_json::from_value(object).unwrap();
        for is_synced in [false, true] {
            let reason = fault(None, is_synced).map(|blocker| blocker.reason);
            assert_eq!(reason, Some(if is_synced { Reason::UpstreamNotFound } else { Reason::UpstreamUnreadable }));
            let blocker = fault(Some(undecodable.clone()), is_synced).unwrap();
            assert_eq!(blocker.reason, Reason::UpstreamUnreadable);
            assert!(blocker.message.contains("its runs are unknown"), "{}", blocker.message);
            assert_eq!(fault(Some(CachedResource::of(&upstream).unwrap()), is_synced), None);
        }
    }
}
