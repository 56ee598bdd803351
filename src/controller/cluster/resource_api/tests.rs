//! Every write carries the resource version and the uid on which it is based. Without them, two views could both record an intent.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{MAX_IN_FLIGHT, REQUEST_TIMEOUT, ResourceApi, request_limiter};
use crate::api::{FINALIZER, Kind, ModelResource, RESUBMIT, Status};
use crate::controller::cluster::timeout::ApiError;

/// An API server that accepts and keeps every write.
fn open_api(kept: &Arc<Mutex<Vec<(Method, Value)>>>) -> Client {
    let kept = Arc::clone(kept);
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = Arc::clone(&kept);
        async move {
            let method = request.method().clone();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().push((method, serde_json::from_slice(&body).unwrap()));
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&resource()).unwrap())))
        }
    });
    Client::new(service, "bi")
}

fn resource() -> ModelResource {
    let model = json!({"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": "Sales"}});
    let resource = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1",
        "kind": "ModelRefresh",
        "metadata": {"name": "sales", "namespace": "bi", "uid": "u-1", "resourceVersion": "41", "finalizers": [FINALIZER, "other/one"]},
        "spec": {"model": model},
    });
    serde_json::from_value(resource).unwrap()
}

#[tokio::test]
async fn every_write_carries_version_and_uid() {
    let kept = Arc::default();
    let (resources, object) = (ResourceApi::new(&open_api(&kept), &request_limiter(), Kind::ModelRefresh, "bi"), resource());
    resources.write_status(&object, &Status::default()).await.unwrap();
    resources.add_finalizer(&object).await.unwrap();
    // The responses of this API server still contain the finalizer.
    assert!(matches!(resources.remove_finalizer(&object).await, Err(ApiError::NoEffect)));
    resources.remove_annotation(&object, RESUBMIT).await.unwrap();
    let kept = kept.lock();
    assert_eq!(kept.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>(), ["PUT", "PATCH", "PATCH", "PATCH"]);
    for (_, body) in kept.iter() {
        assert_eq!(body["metadata"]["resourceVersion"], "41", "{body}");
        assert_eq!(body["metadata"]["uid"], "u-1", "{body}");
    }
    assert_eq!(kept[2].1["metadata"]["finalizers"], json!(["other/one"]));
}

/// An API server that does not respond, and counts the requests.
fn silent_api(requests: &Arc<AtomicUsize>) -> Client {
    let requests = Arc::clone(requests);
    let service = tower::service_fn(move |_: Request<Body>| {
        requests.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Response<Body>, Infallible>>()
    });
    Client::new(service, "bi")
}

#[tokio::test(start_paused = true)]
async fn concurrent_resource_requests_are_bounded() {
    let request_limiter = request_limiter();
    let (one_namespace, other_namespaces) = (Arc::default(), Arc::default());
    let calls = |requests, namespaces: Vec<String>| {
        let (client, request_limiter) = (silent_api(requests), request_limiter.clone());
        async move {
            let calls = namespaces.iter().map(|namespace| async {
                let resources = ResourceApi::new(&client, &request_limiter, Kind::ModelRefresh, namespace);
                assert!(resources.read("sales").await.is_err(), "the API server does not respond");
            });
            futures::future::join_all(calls).await;
        }
    };
    let one = calls(&one_namespace, vec!["bi".to_owned(); 3 * MAX_IN_FLIGHT]);
    let others = calls(&other_namespaces, (0..3 * MAX_IN_FLIGHT).map(|n| format!("other-{n}")).collect());
    let all = async { tokio::join!(one, others) };
    assert!(tokio::time::timeout(REQUEST_TIMEOUT / 2, all).await.is_err(), "the first requests hang");
    // One namespace leaves permits for the others.
    let requests = (one_namespace.load(Ordering::Relaxed), other_namespaces.load(Ordering::Relaxed));
    assert_eq!(requests, (MAX_IN_FLIGHT * 3 / 4, MAX_IN_FLIGHT / 4));
}

#[tokio::test(start_paused = true)]
async fn hanging_request_returns_its_permit() {
    let (requests, request_limiter) = (Arc::default(), request_limiter());
    let client = silent_api(&requests);
    let calls = (0..=MAX_IN_FLIGHT)
        .map(|_| async { ResourceApi::new(&client, &request_limiter, Kind::ModelRefresh, "bi").read("sales").await.unwrap_err() });
    let errors = futures::future::join_all(calls).await;
    assert_eq!(requests.load(Ordering::Relaxed), MAX_IN_FLIGHT + 1);
    assert_eq!(errors.len(), MAX_IN_FLIGHT + 1);
}

#[tokio::test]
async fn uncached_finalizers_are_read_before_a_write() {
    let many: Vec<String> = (0..100).map(|n| format!("other.example/{n:0100}")).collect();
    let patched = Arc::<Mutex<Vec<Value>>>::default();
    let (all, kept) = ([&*many, &[FINALIZER.to_owned()]].concat(), Arc::clone(&patched));
    let whole = move |finalizers: &Vec<String>| {
        let mut whole = serde_json::to_value(resource()).unwrap();
        whole["metadata"]["finalizers"] = json!(finalizers);
        whole
    };
    let object: ModelResource = serde_json::from_value(whole(&all)).unwrap();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (kept, mut shown) = (Arc::clone(&kept), whole(&all));
        async move {
            let is_read = request.method() == Method::GET;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if !is_read {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                shown["metadata"]["finalizers"] = patch["metadata"]["finalizers"].clone();
                kept.lock().push(patch);
            }
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&shown).unwrap())))
        }
    });
    let resources = ResourceApi::new(&Client::new(service, "bi"), &request_limiter(), Kind::ModelRefresh, "bi");
    resources.remove_finalizer(&object).await.unwrap();
    assert_eq!(patched.lock()[0]["metadata"]["finalizers"], json!(many));
}
