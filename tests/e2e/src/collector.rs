//! A small trace collector: it receives OTLP over HTTP and stores it.

use std::convert::Infallible;
use std::sync::Arc;

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
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A collector on a local port; it ends with the runtime.
#[derive(Clone, Debug)]
pub struct Collector {
    address: String,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    response_mode: Mutex<ResponseMode>,
}

/// The response to received data.
#[derive(Clone, Copy, Debug, Default)]
pub enum ResponseMode {
    /// Accepts it.
    #[default]
    Accept,
    /// Responds with 503.
    Reject,
    /// Reads it and never responds.
    Hang,
}

impl Collector {
    /// Starts a collector.
    pub async fn start() -> Self {
        Self::serve("http", |stream| async move { Some(stream) }).await
    }

    /// Starts a collector with TLS and returns its authority's certificate as PEM.
    pub async fn start_tls() -> (Self, String) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the key is created");
        let trusted = authority.self_signed(&key).expect("the certificate is created").pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().expect("the key is created");
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).and_then(|params| params.signed_by(&key, &issuer));
        let chain = vec![own.expect("the certificate is created").der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is valid");
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("they fit");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let collector = Self::serve("https", move |stream| {
            let acceptor = acceptor.clone();
            // A client that does not trust the certificate ends the handshake.
            async move { acceptor.accept(stream).await.ok() }
        });
        (collector.await, trusted)
    }

    /// The URL of a collector that has ended.
    pub async fn gone() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        format!("http://{}", listener.local_addr().expect("the listener is bound"))
    }

    async fn serve<S, F>(scheme: &str, greet: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("{scheme}://{}", listener.local_addr().expect("the listener is bound"));
        let kept = Arc::new(Kept::default());
        let collector = Self { address, kept: Arc::clone(&kept) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| {
                    let kept = Arc::clone(&kept);
                    async move { Ok::<_, Infallible>(kept.take(request).await) }
                });
                let greeted = greet(stream);
                tokio::spawn(async move {
                    let Some(stream) = greeted.await else { return };
                    // Clients may close the connection at any time.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        collector
    }

    /// Its base URL, for `--otlp-endpoint`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.address
    }

    /// Sets the response to all further data.
    pub fn set_response(&self, response_mode: ResponseMode) {
        *self.kept.response_mode.lock().unwrap() = response_mode;
    }

    /// All spans so far, in the order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.kept.requests.lock().unwrap();
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The resource attributes of the senders: name and value.
    #[must_use]
    pub fn senders(&self) -> Vec<(String, String)> {
        let requests = self.kept.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans).filter_map(|spans| spans.resource.as_ref());
        resources
            .flat_map(|resource| &resource.attributes)
            .map(|attribute| (attribute.key.clone(), shown(attribute.value.as_ref())))
            .collect()
    }

    /// All received data, as searchable text.
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

/// An id of a trace in hexadecimal.
#[must_use]
pub fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
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
        let respond = |status: StatusCode| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        };
        let response_mode = *self.response_mode.lock().unwrap();
        match response_mode {
            ResponseMode::Accept => {}
            ResponseMode::Reject => return respond(StatusCode::SERVICE_UNAVAILABLE),
            ResponseMode::Hang => std::future::pending().await,
        }
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = request.into_body().collect().await.expect("the request is complete").to_bytes();
        let decoded = ExportTraceServiceRequest::decode(body).expect("the request is OTLP");
        self.requests.lock().unwrap().push(decoded);
        respond(StatusCode::OK)
    }
}
