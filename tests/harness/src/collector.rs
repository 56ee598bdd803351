//! A small collector of traces: it takes OTLP over HTTP as any does, and keeps what it was sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::sync::Mutex;
use tokio::net::TcpListener;

/// A collector on a port of this machine; it ends with the runtime.
#[derive(Clone, Debug)]
pub struct Collector {
    address: String,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    refusing: AtomicBool,
}

impl Collector {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let kept = Arc::new(Kept::default());
        let collector = Self { address, kept: Arc::clone(&kept) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| {
                    let kept = Arc::clone(&kept);
                    async move { Ok::<_, Infallible>(kept.take(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        collector
    }

    /// Its base URL, as `--otlp-endpoint` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.address
    }

    /// Whether it answers everything by 503.
    pub fn refuse(&self, refuse: bool) {
        self.kept.refusing.store(refuse, Ordering::Relaxed);
    }

    /// All spans so far, in the order in which they came.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.kept.requests.lock().unwrap();
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// What the senders say of themselves: attribute and value.
    #[must_use]
    pub fn senders(&self) -> Vec<(String, String)> {
        let requests = self.kept.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans).filter_map(|spans| spans.resource.as_ref());
        resources
            .flat_map(|resource| &resource.attributes)
            .map(|attribute| (attribute.key.clone(), shown(attribute.value.as_ref())))
            .collect()
    }

    /// All that it was sent, as text to search.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:?}", self.kept.requests.lock().unwrap())
    }
}

/// An attribute of a span, as text.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(shown(found.value.as_ref()))
}

fn shown(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

impl Kept {
    async fn take(&self, request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        let answer = |status: StatusCode| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        };
        if self.refusing.load(Ordering::Relaxed) {
            return answer(StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = request.into_body().collect().await.expect("the request comes whole").to_bytes();
        let decoded = ExportTraceServiceRequest::decode(body).expect("the request is one of OTLP");
        self.requests.lock().unwrap().push(decoded);
        answer(StatusCode::OK)
    }
}
