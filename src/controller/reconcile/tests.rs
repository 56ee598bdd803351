//! Whole passes against an API server that answers as a test wants.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::context::Context;
use super::super::events::Events;
use super::super::fixture;
use super::super::resource::Resource;
use super::super::supervise::reconcile;
use super::super::watched::Watched;
use crate::api::{FINALIZER, Kind};
use crate::engine::Turn;

/// What the API server was asked: `PATCH sales`, with the body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A context whose API server answers a request as `answer` says, and what it was asked.
fn context(answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> (Context, Asked) {
    let (asked, answer) = (Asked::default(), Arc::new(answer));
    let keep = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (keep, answer) = (Arc::clone(&keep), Arc::clone(&answer));
        async move {
            let path = request.uri().path();
            let line = format!("{} {}", request.method(), path.split_once("/bi/").map_or(path, |(_, rest)| rest));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (code, shown) = answer(&line, &body);
            keep.lock().push((line, body));
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(serde_json::to_vec(&shown).unwrap())).unwrap())
        }
    });
    let mut ctx = fixture::context(0);
    ctx.client = Client::new(service, "bi");
    ctx.events = Events::start(ctx.client.clone(), Arc::clone(&ctx.metrics)).0;
    (ctx, asked)
}

/// [`fixture::running`] with other metadata.
fn running(metadata: &Value) -> Resource {
    let mut object = serde_json::to_value(fixture::running(0)).unwrap();
    for (field, value) in metadata.as_object().unwrap() {
        object["metadata"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// Whether another resource would have the turn on the model of [`fixture::running`].
fn is_free(ctx: &Context) -> bool {
    let model = fixture::running(0).model().unwrap().key();
    ctx.queue.take(&model, "u-other", &fixture::running(1).name(), Timestamp::now().into()) == Turn::Granted
}

#[tokio::test]
async fn released_resource_holds_no_turn_and_is_not_followed() {
    let released = running(&json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["acme.io/hold"]}));
    let cached = Arc::new(Watched::of(&released).unwrap());
    let (ctx, asked) = context(|_, _| (500, Value::Null));
    let ctx = Arc::new(ctx);
    ctx.shown(&fixture::all_refreshes(), &released.name(), &cached);
    assert!(is_free(&ctx), "after it is shown");
    reconcile(Kind::ModelRefresh, Arc::clone(&cached), Arc::clone(&ctx)).await;
    assert!(asked.lock().is_empty());
    assert!(is_free(&ctx), "after its pass");
    assert!(!ctx.metrics.encode().unwrap().contains(r#"state="Running"} 1"#));
    ctx.gone(&released.name(), released.meta());
    assert!(!ctx.orphans.follows(&released.uid().unwrap()));
}

#[tokio::test]
async fn undecodable_resource_holds_no_turn() {
    let resource = running(&json!({"finalizers": [FINALIZER]}));
    let (ctx, _) = context(|_, _| (500, Value::Null));
    let ctx = Arc::new(ctx);
    ctx.shown(&fixture::all_refreshes(), &resource.name(), &Watched::of(&resource).unwrap());
    assert!(!is_free(&ctx));
    let mut object = serde_json::to_value(&resource).unwrap();
    object["metadata"]["resourceVersion"] = json!("2");
    object["status"]["lastSuccessfulTime"] = json!("2026-11-21T05:00:00+99:99");
    let cached: Watched = serde_json::from_value(object).unwrap();
    reconcile(Kind::ModelRefresh, Arc::new(cached), Arc::clone(&ctx)).await;
    assert!(is_free(&ctx));
}
