//! An in-memory Kubernetes API with one Lease, and faults on demand.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

/// The fault of subsequent requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No fault.
    None,
    /// No request gets a response, and none is performed.
    Unreachable,
    /// Writes are performed, and their responses are lost.
    ResponsesLost,
    /// Every request is refused.
    Forbidden,
}

#[derive(Clone)]
pub(super) struct FakeApi {
    state: Arc<Mutex<State>>,
}

struct State {
    lease: Option<Lease>,
    version: u64,
    fault: Fault,
    /// The holders, in the order in which their writes were accepted.
    writes: Vec<String>,
    reads: usize,
    /// The metadata of a resource that shows that an operator has worked.
    resource: Value,
}

impl FakeApi {
    pub(super) fn new() -> Self {
        let state = State { lease: None, version: 0, fault: Fault::None, writes: Vec::new(), reads: 0, resource: json!({}) };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A client of this API. `cut` is a fault of its connection only.
    pub(super) fn client(&self, cut: &Arc<Mutex<Fault>>) -> Client {
        let (api, cut) = (self.clone(), Arc::clone(cut));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (api, cut) = (api.clone(), Arc::clone(&cut));
            async move { Ok::<_, Infallible>(api.respond_to(request, &cut).await) }
        });
        Client::new(service, "ops")
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.state.lock().fault = fault;
    }

    pub(super) fn lease(&self) -> Option<Lease> {
        self.state.lock().lease.clone()
    }

    pub(super) fn holder(&self) -> Option<String> {
        self.lease().and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity)
    }

    pub(super) fn writes(&self) -> Vec<String> {
        self.state.lock().writes.clone()
    }

    /// Adds a resource with this metadata.
    pub(super) fn add_resource(&self, metadata: Value) {
        self.state.lock().resource = metadata;
    }

    /// Adds a resource with the finalizer.
    pub(super) fn add_resource_with_finalizer(&self) {
        self.add_resource(json!({"finalizers": ["another.example/one", crate::api::FINALIZER]}));
    }

    pub(super) fn reads(&self) -> usize {
        self.state.lock().reads
    }

    /// An edit by another client: a user with kubectl, or another operator.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Option<Lease>)) {
        let mut state = self.state.lock();
        edit(&mut state.lease);
        state.stamp();
    }

    async fn respond_to(&self, request: Request<Body>, cut: &Mutex<Fault>) -> Response<Body> {
        let method = request.method().clone();
        let lists = !request.uri().path().contains("/leases");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let fault = {
            let here = *cut.lock();
            if here == Fault::None { self.state.lock().fault } else { here }
        };
        match fault {
            Fault::Unreachable => std::future::pending().await,
            Fault::Forbidden => refuse(StatusCode::FORBIDDEN, "Forbidden"),
            Fault::None | Fault::ResponsesLost if lists => respond(StatusCode::OK, &self.resources()),
            Fault::None => self.done(&method, &body),
            Fault::ResponsesLost => {
                let response = self.done(&method, &body);
                if method == Method::GET { response } else { std::future::pending().await }
            }
        }
    }

    fn resources(&self) -> Value {
        let mut metadata = self.state.lock().resource.clone();
        metadata["name"] = json!("sales");
        let items = [json!({"metadata": metadata})];
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items})
    }

    fn done(&self, method: &Method, body: &[u8]) -> Response<Body> {
        let mut state = self.state.lock();
        match *method {
            Method::GET => {
                state.reads += 1;
                match &state.lease {
                    Some(lease) => respond(StatusCode::OK, lease),
                    None => refuse(StatusCode::NOT_FOUND, "NotFound"),
                }
            }
            Method::POST if state.lease.is_some() => refuse(StatusCode::CONFLICT, "AlreadyExists"),
            Method::POST => state.write(serde_json::from_slice(body).unwrap()),
            Method::PUT => {
                let new: Lease = serde_json::from_slice(body).unwrap();
                match &state.lease {
                    None => refuse(StatusCode::NOT_FOUND, "NotFound"),
                    Some(old) if old.metadata.resource_version != new.metadata.resource_version => refuse(StatusCode::CONFLICT, "Conflict"),
                    Some(_) => state.write(new),
                }
            }
            _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }
}

impl State {
    fn stamp(&mut self) {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(lease) = &mut self.lease {
            lease.metadata.resource_version = Some(version);
        }
    }

    fn write(&mut self, lease: Lease) -> Response<Body> {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        self.writes.push(holder.unwrap_or_default());
        self.lease = Some(lease);
        self.stamp();
        respond(StatusCode::OK, self.lease.as_ref().unwrap())
    }
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap()));
    *response.status_mut() = status;
    response
}

fn refuse(status: StatusCode, reason: &str) -> Response<Body> {
    respond(status, &Status::failure(reason, reason).with_code(status.as_u16()))
}
