//! The sizes of the collections in memory, as metrics. They show an entry that stays after its resource or its use has ended.

use std::sync::atomic::Ordering;

use tokio::runtime::Handle;

use crate::controller::reconcile::context::Context;
use crate::telemetry::labels::Collection;

/// Publishes the number of entries of each collection, and the number of tasks. `scheduled` is the number of scheduled reconciliations.
/// What has expired is removed first.
pub(super) fn publish(ctx: &Context, scheduled: usize) {
    let store = &ctx.store;
    let azure = ctx.azure.purge();
    for &collection in Collection::ALL {
        let count = match collection {
            Collection::Cache => store.watches.values().map(|watch| watch.store.len()).sum(),
            Collection::Changes => store.watches.values().map(|watch| watch.seen.load(Ordering::Relaxed)).sum(),
            Collection::Index => store.index.count(),
            Collection::Names => store.names(),
            Collection::LocalStates => store.local_states.count(),
            Collection::Schedule => scheduled,
            Collection::Turns => store.queue.lock().count(),
            Collection::Dependents => store.dependencies.dependents(),
            Collection::Upstreams => store.dependencies.upstreams(),
            Collection::Operations => store.detached_index.tracked(),
            Collection::Detached => store.detached_index.detached(),
            Collection::Claims => store.index.claims(),
            Collection::Identities => ctx.credential_resolver.cached_identities(),
            Collection::Denials => ctx.denials.purge(),
            Collection::UnreadableNamespaces => store.unreadable_namespaces.count(),
            Collection::Tokens => azure.tokens,
            Collection::Backoffs => azure.backoffs,
            Collection::Servers => azure.servers,
            Collection::Events => ctx.events.waiting(),
            Collection::Permits => ctx.reconcile_permits.callers() + ctx.request_limiter.callers() + azure.calls,
        };
        ctx.metrics.set_tracked_entries(collection, count);
    }
    ctx.metrics.set_tasks(Handle::current().metrics().num_alive_tasks());
}
