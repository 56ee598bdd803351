//! What a reconciliation allocates that only polls a running operation: with the real machine, driver and client, over HTTPS.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use allocations::Allocations;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tracing::subscriber::NoSubscriber;

use crate::api::{FINALIZER, Kind, ModelResource, Time};
use crate::azure::identity::Environment;
use crate::azure::tests::fake_azure::{GUID, SERVER, azure, settings, tls};
use crate::controller::cluster::resource_api::request_limiter;
use crate::controller::credentials::{CredentialResolver, OperatorIdentity};
use crate::controller::fixture;
use crate::controller::reconcile::context::Context;
use crate::controller::reconcile::reconcile;
use crate::controller::store::cached::CachedResource;
use crate::engine::Settings;

/// The most allocations of a poll, and the most bytes: what was measured, and a tenth more.
const MAX_ALLOCATIONS: u64 = 416;
const MAX_BYTES: u64 = 62_000;

/// Number of polls that are measured, after as many that are not.
const POLLS: usize = 100;

/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(1);

/// The response to a poll.
const RUNNING: &str = r#"{"type":"full","status":"inProgress","objects":[
    {"table":"DimCustomer","partition":"DimCustomer","status":"inProgress"},{"table":"DimDate","partition":"DimDate","status":"completed"}]}"#;

/// Starts the service. It has a thread of its own, whose allocations do not count, and keeps its connections. Returns its address and the
/// number of polls that it has received.
fn start(tls: TlsAcceptor) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, polls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&polls);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, counted) = (tls.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let response = response(request.uri().path(), &counted);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
    (address, polls)
}

fn response(path: &str, polls: &AtomicUsize) -> Response<Full<Bytes>> {
    let is_token = path.ends_with("/token");
    if !is_token {
        polls.fetch_add(1, Ordering::Relaxed);
    }
    let body = if is_token { r#"{"access_token":"planted-token","expires_in":3599}"# } else { RUNNING };
    Response::new(Full::from(body))
}

/// A client of an API server that has the Secret and accepts each write.
fn cluster() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let is_secret = request.uri().path().contains("/secrets/");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let shown = if is_secret { secret() } else { written(&body) };
        Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&shown).unwrap())))
    });
    Client::new(service, "bi")
}

fn secret() -> Value {
    let [guid, secret] = [GUID, "planted~secret"].map(|value| json!(k8s_openapi::ByteString(value.into())));
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aas-sp"},
        "data": {"tenantId": guid, "clientId": guid, "clientSecret": secret},
    })
}

/// The object that a write results in.
fn written(body: &[u8]) -> Value {
    let mut object: Value = serde_json::from_slice(body).unwrap_or_default();
    let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<u64>().ok());
    object["metadata"]["resourceVersion"] = json!((version.unwrap_or(1) + 1).to_string());
    object
}

/// A refresh whose operation has started now.
fn running() -> ModelResource {
    let model = json!({"analysisServices": {"server": format!("asazure://{SERVER}/myserver"), "database": "Adventure Works"}});
    let now = json!(Time::from(Timestamp::now()));
    let object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
        "metadata": {"name": "sales", "namespace": "bi", "uid": "u-1", "resourceVersion": "1", "finalizers": [FINALIZER]},
        "spec": {"model": model, "credentials": {"servicePrincipalRef": {"name": "aas-sp"}}, "trigger": {"onChange": false}},
        "status": {"run": {
            "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": "Running", "requestedTime": now,
            "submittedTime": now, "model": model, "requestDigest": "w", "operationId": "1a",
        }},
    });
    serde_json::from_value(object).unwrap()
}

/// A context that calls the service at this address.
fn context(address: SocketAddr, ca_pem: &str) -> Context {
    let mut ctx = fixture::context(0);
    ctx.client = cluster();
    ctx.azure = azure(settings(ca_pem), address, address);
    let own = OperatorIdentity { environment: Environment::read(|_| None), namespaces: Vec::new() };
    ctx.credential_resolver = CredentialResolver::new(ctx.client.clone(), request_limiter(), own);
    ctx.store.settings = Arc::new(Settings { poll_min: INTERVAL, poll_max: INTERVAL, ..Settings::clone(&ctx.store.settings) });
    ctx
}

#[tokio::test]
async fn allocations_of_a_poll_are_bounded() {
    // Another test of this process may log everything.
    let _quiet = tracing::subscriber::set_default(NoSubscriber::new());
    let (tls, ca_pem) = tls(&[]);
    let (address, polls) = start(tls);
    let (ctx, resource) = (Arc::new(context(address, &ca_pem)), Arc::new(running()));
    let shows = |object: &ModelResource| {
        let cached = Arc::new(CachedResource::of(object).unwrap());
        ctx.store.observed(&fixture::all_refreshes(), &object.key(), &cached);
        cached
    };
    let reconcile_all = async |cached: Arc<CachedResource>| {
        let before = polls.load(Ordering::Relaxed);
        for _ in 0..POLLS {
            reconcile(Kind::ModelRefresh, Arc::clone(&cached), Arc::clone(&ctx)).await;
            // The next poll is due.
            tokio::time::sleep(2 * INTERVAL).await;
        }
        polls.load(Ordering::Relaxed) - before
    };
    // The first ones open the connection and write the status, which the watch shows afterwards.
    reconcile_all(shows(&resource)).await;
    let cached = shows(&ctx.store.local_states.newest(&resource));
    let before = Allocations::so_far();
    let polled = reconcile_all(cached).await;
    let Allocations { count, bytes, .. } = Allocations::since(before);
    assert_eq!(polled, POLLS, "each reconciliation polls once");
    let [count, bytes] = [count, bytes].map(|sum| sum / u64::try_from(POLLS).unwrap());
    println!("{count} allocations and {bytes} bytes per poll");
    assert!(count <= MAX_ALLOCATIONS && bytes <= MAX_BYTES, "{count} allocations and {bytes} bytes per poll");
}
