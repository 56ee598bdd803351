//! A context without a cluster, for tests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use clap::Parser as _;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::api::{Kind, ModelResource};
use crate::azure::cloud::Cloud;
use crate::azure::identity::Environment;
use crate::cli::{Cli, Command, Settings};
use crate::controller::cluster::events::Events;
use crate::controller::cluster::resource_api::request_limiter;
use crate::controller::credentials::{CredentialResolver, OperatorIdentity};
use crate::controller::lease::LeaseHandle;
use crate::controller::manager::configure;
use crate::controller::reconcile::context::Context;
use crate::controller::store::cached::CachedResource;
use crate::controller::store::resources::Store;
use crate::controller::store::scope::{WatchHandle, WatchScope};
use crate::fair_semaphore::FairSemaphore;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// The scope of the watch of refreshes in all namespaces.
pub(crate) fn all_refreshes() -> Arc<WatchScope> {
    Arc::new(WatchScope { kind: Kind::ModelRefresh, namespace: None })
}

/// A refresh whose run polls the operation `op-<n>`.
pub(crate) fn running(n: usize) -> ModelResource {
    let model = json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": format!("d{n}")}});
    let object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
        "metadata": {"name": format!("r-{n}"), "namespace": "bi", "uid": format!("u-{n}"), "resourceVersion": "1"},
        "spec": {"model": model},
        "status": {"run": {
            "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": "Running",
            "requestedTime": "2026-01-01T00:00:00Z", "model": model, "requestDigest": "w", "operationId": format!("op-{n}"),
        }},
    });
    serde_json::from_value(object).unwrap()
}

/// The settings of `run` with these flags.
pub(crate) fn settings(flags: &[&str]) -> Settings {
    let arguments = ["tabular-operator", "run"].iter().chain(flags);
    match Cli::try_parse_from(arguments).unwrap().command {
        Command::Run(args) => args.settings().unwrap(),
        Command::Drain(_) | Command::Crds => panic!("the command must be run"),
    }
}

/// A context whose watch has shown the first `count` of [`running`].
pub(crate) fn context(count: usize) -> Context {
    // Fails if another test of this process has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (settings, metrics, traces) = (settings(&[]), Arc::new(Metrics::new()), Traces::off());
    let empty = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) };
    let client = Client::new(tower::service_fn(empty), "ops");
    let (events, _) = Events::start(client.clone(), Arc::clone(&metrics), &settings.watch_namespaces);
    let (request_limiter, operator_identity) =
        (request_limiter(), OperatorIdentity { environment: Environment::of_process(), namespaces: Vec::new() });
    let engine_settings = Arc::new(configure::engine_settings(&settings, &Cloud::public()));
    let (store, _, _) = Store::new(engine_settings, (Arc::clone(&metrics), settings.resource_metrics.into()), HashMap::new());
    let ctx = Context {
        credential_resolver: CredentialResolver::new(client.clone(), request_limiter.clone(), operator_identity),
        client,
        request_limiter,
        azure: configure::azure(&settings, &metrics, &traces).unwrap(),
        lease: LeaseHandle::always(),
        metrics,
        traces,
        events,
        denials: crate::controller::credentials::denials::DenialCache::default(),
        reconcile_permits: FairSemaphore::new(usize::from(settings.max_concurrent_reconciles)),
        store,
    };
    for resource in (0..count).map(running) {
        ctx.store.observed(&all_refreshes(), &resource.key(), &CachedResource::of(&resource).unwrap());
    }
    ctx
}

/// Makes the cache of the watch of refreshes contain only this resource.
pub(crate) fn show(ctx: &mut Context, resource: &ModelResource) {
    let mut writer = Writer::<CachedResource>::new(Kind::ModelRefresh);
    writer.apply_watcher_event(&Event::Apply(CachedResource::of(resource).unwrap()));
    let handle = WatchHandle { store: writer.as_reader(), synced: CancellationToken::new(), seen: Arc::default() };
    ctx.store.watches.insert(Arc::unwrap_or_clone(all_refreshes()), handle);
}
