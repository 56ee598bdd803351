//! Reconciliations against an API server whose responses a test determines.

mod existing;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::action::Action;
use super::context::Context;
use super::namespaces::is_terminating;
use super::reconcile;
use crate::api::{FINALIZER, Kind, ModelResource, RELEASE, RUN_REQUESTED_AT, Status};
use crate::azure::identity::Environment;
use crate::controller::cluster::events::Events;
use crate::controller::credentials::{CredentialResolver, OperatorIdentity};
use crate::controller::fixture;
use crate::controller::store::cached::CachedResource;
use crate::engine::Turn;
use crate::fair_semaphore::FairSemaphore;
use crate::operation::{OperationId, OperationKind};

/// The requests to the API server: `PATCH sales` and the body.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A context whose API server responds with `respond`, and the requests to it.
fn context(respond: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> (Context, Requests) {
    let (requests, respond) = (Requests::default(), Arc::new(respond));
    let keep = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (keep, respond) = (Arc::clone(&keep), Arc::clone(&respond));
        async move {
            let path = request.uri().path();
            let line = format!("{} {}", request.method(), path.split_once("/bi/").map_or(path, |(_, rest)| rest));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (code, shown) = respond(&line, &body);
            keep.lock().push((line, body));
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(serde_json::to_vec(&shown).unwrap())).unwrap())
        }
    });
    let mut ctx = fixture::context(0);
    ctx.client = Client::new(service, "bi");
    ctx.events = Events::start(ctx.client.clone(), Arc::clone(&ctx.metrics), &[]).0;
    (ctx, requests)
}

/// [`fixture::running`] with other metadata.
fn running(metadata: &Value) -> ModelResource {
    let mut object = serde_json::to_value(fixture::running(0)).unwrap();
    for (field, value) in metadata.as_object().unwrap() {
        object["metadata"][field] = value.clone();
    }
    object["status"]["run"]["submittedTime"] = json!("2026-01-01T00:00:00Z");
    serde_json::from_value(object).unwrap()
}

/// Whether another resource would get the turn on the model of [`fixture::running`].
fn is_free(ctx: &Context) -> bool {
    let model = fixture::running(0).model().unwrap().key();
    ctx.store.queue.lock().acquire(&model, "u-other", &fixture::running(1).key(), Timestamp::now().into()) == Turn::Granted
}

#[tokio::test]
async fn released_resource_holds_no_turn_and_is_not_tracked() {
    let released = running(&json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["acme.io/hold"]}));
    let cached = Arc::new(CachedResource::of(&released).unwrap());
    let (ctx, requests) = context(|_, _| (500, Value::Null));
    let ctx = Arc::new(ctx);
    ctx.store.observed(&fixture::all_refreshes(), &released.key(), &cached);
    assert!(is_free(&ctx), "after the watch has shown it");
    reconcile(Kind::ModelRefresh, Arc::clone(&cached), Arc::clone(&ctx)).await;
    assert!(requests.lock().is_empty());
    assert!(is_free(&ctx), "after its reconciliation");
    assert!(!ctx.metrics.encode().unwrap().contains(r#"state="Running"} 1"#));
    ctx.store.on_deleted(&released.key(), released.meta());
    assert!(!ctx.store.detached_index.is_detached(&released.uid().unwrap()));
}

#[tokio::test]
async fn undecodable_resource_holds_no_turn() {
    let resource = running(&json!({"finalizers": [FINALIZER]}));
    let (ctx, _) = context(|_, _| (500, Value::Null));
    let ctx = Arc::new(ctx);
    ctx.store.observed(&fixture::all_refreshes(), &resource.key(), &CachedResource::of(&resource).unwrap());
    assert!(!is_free(&ctx));
    let mut object = serde_json::to_value(&resource).unwrap();
    object["metadata"]["resourceVersion"] = json!("2");
    object["status"]["lastSuccessfulTime"] = json!(5);
    let cached: CachedResource = serde_json::from_value(object).unwrap();
    reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::clone(&ctx)).await;
    assert!(is_free(&ctx));
}

#[tokio::test]
async fn operation_of_released_undecodable_resource_continues() {
    let (deleted, release) = ("2026-01-01T00:00:00Z", json!({(RELEASE): "true"}));
    let resource = running(&json!({"finalizers": [FINALIZER], "deletionTimestamp": deleted, "annotations": release}));
    let (ctx, requests) = context(|_, _| (200, json!({"metadata": {}})));
    let ctx = Arc::new(ctx);
    let decoded = Arc::new(CachedResource::of(&resource).unwrap());
    ctx.store.observed(&fixture::all_refreshes(), &resource.key(), &decoded);
    ctx.store.detached_index.track(&resource, &decoded);
    let mut object = serde_json::to_value(&resource).unwrap();
    object["status"]["lastSuccessfulTime"] = json!(5);
    let cached: CachedResource = serde_json::from_value(object).unwrap();
    reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::clone(&ctx)).await;
    assert!(requests.lock().iter().any(|(line, _)| line.starts_with("PATCH")));
    ctx.store.on_deleted(&resource.key(), resource.meta());
    assert!(!ctx.store.detached_index.is_detached("u-0"), "nothing cancels its operation");
    let (model, operation) = (resource.model().unwrap().key(), OperationId::parse("op-0").unwrap());
    let claimed = ctx.store.claimed_by_others(&fixture::running(1), (OperationKind::Refresh, &model), [&operation]);
    assert!(claimed.orphaned.contains("op-0"), "no other resource adopts it");
}

#[tokio::test]
async fn operation_is_still_tracked_after_a_refused_release() {
    for (code, is_tracked) in [(403, true), (409, true), (503, false)] {
        let (deleted, release) = ("2026-01-01T00:00:00Z", json!({(RELEASE): "true"}));
        let resource = running(&json!({"finalizers": [FINALIZER], "deletionTimestamp": deleted, "annotations": release}));
        let (mut ctx, _) = context(move |_, _| refusal(code, "no patch"));
        fixture::show(&mut ctx, &resource);
        let (ctx, decoded) = (Arc::new(ctx), Arc::new(CachedResource::of(&resource).unwrap()));
        ctx.store.detached_index.track(&resource, &decoded);
        let mut object = serde_json::to_value(&resource).unwrap();
        object["status"]["lastSuccessfulTime"] = json!(5);
        let cached: CachedResource = serde_json::from_value(object).unwrap();
        reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::clone(&ctx)).await;
        // A user removes the finalizer. After 503 it is unknown whether the operator has removed it.
        ctx.store.on_deleted(&resource.key(), resource.meta());
        assert_eq!(ctx.store.detached_index.is_detached("u-0"), is_tracked, "{code}");
    }
}

/// A resource without a run, whose first write is that of its status.
fn new() -> ModelResource {
    running(&json!({})).with_status(&Status::default())
}

#[tokio::test(start_paused = true)]
async fn turn_is_returned_if_reconciliation_times_out() {
    for dropped in [false, true] {
        let (mut ctx, requests) = context(|_, _| (500, Value::Null));
        // The read of the Secret never completes.
        ctx.credential_resolver = CredentialResolver::new(
            ctx.client.clone(),
            FairSemaphore::new(0),
            OperatorIdentity { environment: Environment::of_process(), namespaces: Vec::new() },
        );
        let mut object = serde_json::to_value(running(&json!({"finalizers": [FINALIZER]}))).unwrap();
        (object["status"], object["spec"]["credentials"]) = (json!({}), json!({"servicePrincipalRef": {"name": "aas-sp"}}));
        let (ctx, cached) = (Arc::new(ctx), Arc::new(serde_json::from_value(object).unwrap()));
        let mut reconciling = Box::pin(reconcile(Kind::ModelRefresh, cached, Arc::clone(&ctx)));
        assert!((&mut reconciling).now_or_never().is_none());
        assert!(ctx.store.queue.lock().holds("u-0"), "granted in memory");
        if dropped {
            drop(reconciling);
        } else {
            assert_eq!(reconciling.await, Action::requeue(Duration::from_millis(500)), "after five minutes");
        }
        assert!(!ctx.store.queue.lock().holds("u-0") && requests.lock().is_empty());
        assert_eq!(ctx.store.local_states.in_memory("u-0").failures, 1);
    }
}

/// How the API server refuses a request.
fn refusal(code: u16, message: &str) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "" };
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code}))
}

/// Reconciles a resource several times. Returns the delays, and the events that were written.
async fn reconciliations(ctx: Context, requests: &Requests, resource: &ModelResource) -> (Vec<Action>, Vec<String>) {
    let (ctx, cached) = (Arc::new(ctx), Arc::new(CachedResource::of(resource).unwrap()));
    let mut delays = Vec::new();
    for _ in 0..3 {
        delays.push(reconcile(Kind::ModelRefresh, Arc::clone(&cached), Arc::clone(&ctx)).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let requests = requests.lock();
    let notes = requests
        .iter()
        .filter(|(line, _)| line.starts_with("POST events"))
        .map(|(_, body)| format!("{}: {}", body["reason"], body["note"]));
    (delays, notes.collect())
}

fn millis(delays: [u64; 3]) -> Vec<Action> {
    delays.map(|delay| Action::requeue(Duration::from_millis(delay))).to_vec()
}

#[tokio::test]
async fn refused_write_is_retried_with_backoff() {
    let encoded = |resource: &ModelResource| (200, serde_json::to_value(resource).unwrap());
    for (name, respond) in [
        ("admission webhook denied the request", refusal(409, "admission webhook denied the request")),
        ("could not find the requested resource", refusal(404, "the server could not find the requested resource")),
        ("failed calling webhook", refusal(500, "Internal error occurred: failed calling webhook \"a.b\": no endpoints")),
    ] {
        let (ctx, requests) = context(move |line, _| if line.starts_with("PUT") { respond.clone() } else { encoded(&new()) });
        let (delays, events) = reconciliations(ctx, &requests, &new()).await;
        assert_eq!(delays, millis([500, 1_000, 2_000]), "{name}");
        assert!(events.len() == 1 && events[0].contains("WriteRefused") && events[0].contains(name), "{name}: {events:?}");
    }
}

#[tokio::test]
async fn denial_with_any_status_is_reported() {
    let policy = "ValidatingAdmissionPolicy 'no-status' with binding 'all' denied request: read only";
    let webhook = "admission webhook \"a.b\" denied the request: read only";
    for (code, message) in [(401, policy), (402, webhook), (408, webhook), (429, webhook), (451, webhook), (500, webhook), (503, webhook)] {
        let shown = serde_json::to_value(new()).unwrap();
        let respond = move |line: &str, _: &Value| if line.starts_with("PUT") { refusal(code, message) } else { (200, shown.clone()) };
        let (ctx, requests) = context(respond);
        let (delays, events) = reconciliations(ctx, &requests, &new()).await;
        assert_eq!(delays, millis([500, 1_000, 2_000]), "{code}");
        assert!(events.len() == 1 && events[0].contains("WriteRefused") && events[0].contains("read only"), "{code}: {events:?}");
    }
}

#[tokio::test]
async fn constantly_changing_resource_is_read_with_backoff() {
    let version = AtomicU64::new(100);
    let (ctx, requests) = context(move |line, _| {
        let version = version.fetch_add(1, Ordering::Relaxed).to_string();
        let mut newer = new();
        newer.meta_mut().resource_version = Some(version);
        if line.starts_with("PUT") { refusal(409, "changed") } else { (200, serde_json::to_value(newer).unwrap()) }
    });
    let (delays, events) = reconciliations(ctx, &requests, &new()).await;
    assert_eq!((delays, events), (millis([20, 40, 80]), vec![]));
}

#[tokio::test]
async fn deleted_resource_waits_for_the_watch() {
    let (ctx, requests) = context(|_, _| refusal(404, "not found"));
    assert_eq!(reconciliations(ctx, &requests, &new()).await, (vec![Action::await_change(); 3], vec![]));
}

#[tokio::test]
async fn refused_metadata_change_does_not_block_runs() {
    let annotated = json!({"finalizers": [FINALIZER], "annotations": {(RUN_REQUESTED_AT): ""}});
    let (bare, refused) = (json!({"finalizers": []}), refusal(403, "no patch"));
    let unchanged = |metadata: &Value| (200, serde_json::to_value(running(metadata)).unwrap());
    for (metadata, respond) in
        [(&annotated, refused.clone()), (&bare, refused), (&annotated, unchanged(&annotated)), (&bare, unchanged(&bare))]
    {
        let (ctx, requests) = context(move |line, body| match line.split(' ').next() {
            Some("PATCH") => respond.clone(),
            Some("PUT") => {
                let mut written = body.clone();
                written["metadata"]["resourceVersion"] = json!("2");
                (200, written)
            }
            _ => refusal(404, ""),
        });
        let (_, events) = reconciliations(ctx, &requests, &running(metadata)).await;
        assert_eq!(events.iter().filter(|event| event.contains("WriteRefused")).count(), 1, "{events:?}");
        assert!(!events.iter().any(|event| event.contains("DecisionIgnored")), "{events:?}");
        let writes: Vec<String> = requests.lock().iter().map(|(line, _)| line.clone()).filter(|line| !line.starts_with("POST")).collect();
        assert_eq!(writes, ["PATCH modelrefreshes/r-0", "PUT modelrefreshes/r-0/status"], "the status is still written");
    }
}

#[tokio::test]
async fn refusals_with_varying_text_are_reported_once_per_write() {
    let denials = AtomicU64::new(0);
    let (ctx, requests) = context(move |line, _| match line.split(' ').next() {
        Some("PATCH" | "PUT") => refusal(403, &format!("denied: request {}", denials.fetch_add(1, Ordering::Relaxed))),
        _ => refusal(404, ""),
    });
    let annotated = json!({"finalizers": [FINALIZER], "annotations": {(RUN_REQUESTED_AT): ""}});
    let (_, events) = reconciliations(ctx, &requests, &running(&annotated)).await;
    let reports = |write: &str| events.iter().filter(|event| event.contains("WriteRefused") && event.contains(write)).count();
    assert_eq!((reports("write of an annotation"), reports("write of the status")), (1, 1), "{events:?}");
    assert_eq!(requests.lock().iter().filter(|(line, _)| line.starts_with("PUT")).count(), 3);
}

#[tokio::test]
async fn rejected_write_without_a_read_is_no_refusal() {
    let (ctx, requests) = context(|line, _| if line.starts_with("PUT") { refusal(409, "changed") } else { refusal(500, "no reads") });
    let (delays, events) = reconciliations(ctx, &requests, &new()).await;
    assert_eq!((delays, events), (millis([500, 1_000, 2_000]), vec![]));
}

/// The response to a read of a namespace that is being deleted.
fn ending() -> (u16, Value) {
    (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bi", "deletionTimestamp": "2026-01-01T00:00:00Z"}}))
}

#[tokio::test]
async fn terminating_namespace_releases_undecodable_resource() {
    let now = Timestamp::now().to_string();
    let held = |deleted: &str| running(&json!({"finalizers": [FINALIZER], "deletionTimestamp": deleted}));
    let there = (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bi"}}));
    for (name, namespace, deleted, released) in [
        ("ending", ending(), "2026-01-01T00:00:00Z", true),
        ("ending since now", ending(), &*now, false),
        ("gone", refusal(404, "not found"), "2026-01-01T00:00:00Z", true),
        ("not ending", there, "2026-01-01T00:00:00Z", false),
    ] {
        let (ctx, requests) =
            context(move |line, _| if line.starts_with("GET") { namespace.clone() } else { (200, json!({"metadata": {}})) });
        let mut object = serde_json::to_value(held(deleted)).unwrap();
        object["status"]["run"]["state"] = json!(7);
        let cached: CachedResource = serde_json::from_value(object).unwrap();
        let action = reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::new(ctx)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let requests = requests.lock();
        assert_eq!(requests.iter().any(|(line, _)| line.starts_with("PATCH")), released, "{name}");
        assert_eq!(action == Action::await_change(), released, "{name}");
        let is_reported = requests.iter().any(|(line, body)| line.contains("/default/") && body["reason"] == "Released");
        assert_eq!(is_reported, released, "{name}");
    }
}

#[tokio::test]
async fn each_unreadable_namespace_is_reported_once() {
    let (ctx, _) = context(|_, _| refusal(403, "no get"));
    for namespace in ["bi", "ops"] {
        assert!(!is_terminating(&ctx, namespace, "u-0").await);
    }
    for namespace in ["bi", "ops"] {
        assert!(!ctx.store.unreadable_namespaces.should_report(namespace), "{namespace} was reported");
    }
    assert!(ctx.store.unreadable_namespaces.should_report("hr"));
}

/// An operator that watches some namespaces has permissions only there.
#[tokio::test]
async fn event_of_namespace_needs_permission_in_default() {
    for (watched, reported) in [("bi", false), ("bi,default", true)] {
        let (mut ctx, requests) = context(|line, _| if line.starts_with("GET") { ending() } else { (200, json!({"metadata": {}})) });
        let watched: Vec<String> = watched.split(',').map(str::to_owned).collect();
        ctx.events = Events::start(ctx.client.clone(), Arc::clone(&ctx.metrics), &watched).0;
        let held = running(&json!({"finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let mut object = serde_json::to_value(held).unwrap();
        object["status"]["run"]["state"] = json!(7);
        let cached: CachedResource = serde_json::from_value(object).unwrap();
        reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::new(ctx)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let requests = requests.lock();
        assert!(requests.iter().any(|(line, _)| line.starts_with("PATCH")), "{watched:?}");
        assert!(requests.iter().any(|(line, _)| line == "POST events"), "{watched:?}");
        assert_eq!(requests.iter().any(|(line, _)| line.contains("/default/")), reported, "{watched:?}");
    }
}

#[tokio::test]
async fn resource_in_deleted_namespace_is_released() {
    let resource = running(&json!({"finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let (ctx, requests) = context(move |line, _| match line.split(' ').next() {
        Some("GET") => refusal(404, "not found"),
        _ => (200, serde_json::to_value(running(&json!({"finalizers": []}))).unwrap()),
    });
    let cached = Arc::new(CachedResource::of(&resource).unwrap());
    reconcile(Kind::ModelRefresh, cached, Arc::new(ctx)).await;
    assert!(requests.lock().iter().any(|(line, body)| line.starts_with("PATCH") && body["metadata"]["finalizers"] == json!([])));
}
