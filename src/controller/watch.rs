//! The watches: what each shows goes into the cache and the index, and what someone else changed is due for a pass.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{BoxStream, SelectAll};
use futures::{StreamExt, TryStreamExt};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource as _, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Name;
use super::call;
use super::context::{Context, Watching};
use super::watched::Watched;
use crate::telemetry::labels::Kind;

/// How long a watch is left open. Whatever is silent for longer is taken for dead, so that a list that hangs at the start holds nobody
/// up for minutes; and Azure's load balancer drops a connection that was idle for 240 s.
pub(super) const WATCH_SECONDS: u32 = 60;
/// How many resources are listed at once. A page of them lies in memory as it came and taken apart, several times its size.
const PAGE: u32 = 100;

/// The watch over one kind, in one namespace or in all.
pub(super) struct Watch {
    of: Watching,
    api: Api<Watched>,
    writer: Writer<Watched>,
    /// Cancelled when the cache holds all that there is.
    pub(super) filled: CancellationToken,
}

/// The watches that the settings ask for, and what each of them shows.
pub(super) fn watches(client: &Client, namespaces: &[String]) -> (Vec<Watch>, HashMap<Watching, Store<Watched>>) {
    let of_all = namespaces.is_empty().then_some(None);
    let namespaces = of_all.into_iter().chain(namespaces.iter().cloned().map(Some));
    let mut watches = Vec::new();
    let mut views = HashMap::new();
    for (namespace, &kind) in namespaces.flat_map(|namespace| Kind::ALL.iter().map(move |kind| (namespace.clone(), kind))) {
        let api = match &namespace {
            None => Api::all_with(client.clone(), &kind),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        };
        let writer = Writer::new(kind);
        let of = Watching { kind, namespace };
        views.insert(of.clone(), writer.as_reader());
        watches.push(Watch { of, api, writer, filled: CancellationToken::new() });
    }
    (watches, views)
}

/// The names of the resources that are new or that someone else changed.
pub(super) fn changes(watches: Vec<Watch>, ctx: &Arc<Context>) -> SelectAll<BoxStream<'static, Name>> {
    watches.into_iter().map(|watch| watch.changes(ctx)).collect()
}

impl Watch {
    fn changes(self, ctx: &Arc<Context>) -> BoxStream<'static, Name> {
        let Self { of, api, writer, filled } = self;
        let kind = of.kind;
        // What the operator writes itself, the status, is no reason for another pass.
        let by_others = predicates::generation.combine(predicates::finalizers).combine(predicates::annotations);
        let named = move |object: &Watched| Name { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        watcher(api, watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE))
            .default_backoff()
            .reflect(writer)
            .inspect_ok({
                let (ctx, of) = (Arc::clone(ctx), Arc::new(of));
                move |event| match event {
                    watcher::Event::Apply(object) => {
                        let name = named(object);
                        ctx.shown(&of, &name, object);
                        ctx.tell_followers(&name);
                    }
                    watcher::Event::InitApply(object) => ctx.shown(&of, &named(object), object),
                    watcher::Event::InitDone => {
                        filled.cancel();
                        ctx.shown_all(&of);
                    }
                    // A resource that was never ours to hold is gone without a pass; nobody waits behind it any more.
                    watcher::Event::Delete(object) => ctx.gone(&named(object), object.meta()),
                    watcher::Event::Init => {}
                }
            })
            .touched_objects()
            .inspect_err(move |error| {
                tracing::warn!(kind = kind.as_str(), error = in_short(error), "failed to watch the resources; trying again");
            })
            .predicate_filter(by_others, PredicateConfig::default())
            .filter_map(move |object| std::future::ready(object.ok().map(|object| named(&object))))
            .boxed()
    }
}

/// A watch's error in one sentence: the library writes the API server's whole answer twice.
fn in_short(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            call::describe(error)
        }
        watcher::Error::WatchError(status) => format!("the Kubernetes API said {}: {}", status.code, status.message),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}
