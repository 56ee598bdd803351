//! One connection of the operator, and the corresponding connection to the API server.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{Action, FaultRule, RecordedRequest, Shared, When};

type Body = BoxBody<Bytes, io::Error>;
/// The proxy's connection for one of the operator's; requests on it are sequential.
type Upstream = Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>;

/// Serves connections indefinitely.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // All of them end with the proxy.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if !shared.connections.is_up() {
            continue;
        }
        let shared = Arc::clone(&shared);
        let state = Arc::clone(&shared);
        let served = async move {
            let Ok(stream) = shared.acceptor.accept(stream).await else { return };
            let upstream = Upstream::default();
            let service = service_fn(|request| {
                let (shared, upstream) = (Arc::clone(&shared), Arc::clone(&upstream));
                async move { serve(&shared, &upstream, request).await }
            });
            // An error means that a fault or the operator closed the connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        };
        connections.spawn(async move {
            tokio::select! {
                () = served => {}
                () = state.connections.broken() => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Handles a request; an error closes the connection.
async fn serve(shared: &Arc<Shared>, upstream: &Upstream, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let recorded = RecordedRequest::new(&head.method, &head.uri, &body);
    let (is_watch, list) = (recorded.verb == "watch", (recorded.verb == "list").then(|| recorded.path.clone()));
    let (index, rule) = shared.record(recorded);
    let request = Request::from_parts(head, Full::new(body));
    let streamed = |response| streamed(shared, response, index, is_watch);
    let Some(rule) = rule else {
        let Some(path) = list else { return forward(shared, upstream, request, index).await.map(streamed) };
        let (head, body) = whole(shared, upstream, request, index).await?;
        super::lock(&shared.first_lists).entry(path).or_insert_with(|| body.clone());
        return Ok(Response::from_parts(head, full(body)));
    };
    let hit = || rule.progress.send_modify(|progress| progress.hits += 1);
    match rule.action {
        Action::Hold(When::Before) => {
            hit();
            released(&rule).await;
            forward(shared, upstream, request, index).await.map(streamed)
        }
        Action::Hold(When::After) => {
            let (head, body) = whole(shared, upstream, request, index).await?;
            hit();
            released(&rule).await;
            Ok(Response::from_parts(head, full(body)))
        }
        Action::Drop(When::Before) => {
            hit();
            Err(closed())
        }
        Action::Drop(When::After) => {
            whole(shared, upstream, request, index).await?;
            hit();
            Err(closed())
        }
        Action::Respond(code) => {
            hit();
            shared.update(index, |recorded| recorded.status = Some(code));
            Ok(error_response(code))
        }
        Action::RespondAfter(code) => {
            whole(shared, upstream, request, index).await?;
            hit();
            shared.update(index, |recorded| recorded.status = Some(code));
            Ok(error_response(code))
        }
        Action::Hang => {
            hit();
            std::future::pending().await
        }
        Action::Truncate => {
            let (mut head, body) = whole(shared, upstream, request, index).await?;
            hit();
            head.headers.remove(TRANSFER_ENCODING);
            head.headers.insert(CONTENT_LENGTH, body.len().into());
            let half = Ok(Frame::data(body.slice(..body.len() / 2)));
            let body = StreamBody::new(futures::stream::iter([half, Err(closed())]));
            Ok(Response::from_parts(head, BodyExt::boxed(body)))
        }
        Action::Expired => {
            hit();
            let expired = serde_json::json!({"type": "ERROR", "object": status(410)});
            Ok(json(StatusCode::OK, format!("{expired}\n")))
        }
        Action::FirstListResponse => {
            hit();
            let first = super::lock(&shared.first_lists).get(&list.unwrap_or_default()).cloned();
            Ok(json(StatusCode::OK, first.ok_or_else(closed)?))
        }
    }
}

async fn released(rule: &FaultRule) {
    let mut progress = rule.progress.subscribe();
    let _ = progress.wait_for(|progress| progress.released).await;
}

/// Forwards a request.
async fn forward(shared: &Shared, upstream: &Upstream, request: Request<Full<Bytes>>, index: usize) -> io::Result<Response<Incoming>> {
    let mut connection = upstream.lock().await;
    let usable = match connection.as_mut() {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !usable {
        *connection = Some(connect(shared).await?);
    }
    let sender = connection.as_mut().ok_or_else(closed)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    shared.update(index, |recorded| recorded.status = Some(response.status().as_u16()));
    Ok(response)
}

/// Forwards a request and reads the complete response.
async fn whole(
    shared: &Shared,
    upstream: &Upstream,
    request: Request<Full<Bytes>>,
    index: usize,
) -> io::Result<(hyper::http::response::Parts, Bytes)> {
    let (head, body) = forward(shared, upstream, request, index).await?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    shared.update(index, |recorded| recorded.received = body.len());
    Ok((head, body))
}

/// The streamed response, counted: a watch lasts for minutes.
fn streamed(shared: &Arc<Shared>, response: Response<Incoming>, index: usize, is_watch: bool) -> Response<Body> {
    let shared = Arc::clone(shared);
    response.map(|body| {
        let counted = body.into_data_stream().then(move |chunk| {
            let shared = Arc::clone(&shared);
            async move {
                let chunk = chunk.map_err(io::Error::other)?;
                if is_watch {
                    shared.connections.wait_for_watch_delivery().await;
                }
                shared.update(index, |recorded| recorded.received += chunk.len());
                Ok(Frame::data(chunk))
            }
        });
        BodyExt::boxed(StreamBody::new(counted))
    })
}

async fn connect(shared: &Shared) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(shared.upstream).await?;
    stream.set_nodelay(true)?;
    let stream = shared.connector.connect(shared.upstream_name.clone(), stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends when the sender is dropped; the sender's error has the reason.
    tokio::spawn(connection);
    Ok(sender)
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

fn full(body: Bytes) -> Body {
    BodyExt::boxed(Full::new(body).map_err(|never: Infallible| match never {}))
}

/// An error in the format of the API server.
fn error_response(code: u16) -> Response<Body> {
    let mut response = json(StatusCode::from_u16(code).expect("a rule contains a valid status"), status(code).to_string());
    if code == 429 {
        response.headers_mut().insert(hyper::header::RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
    }
    response
}

fn status(code: u16) -> serde_json::Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "injected by a test", "reason": reason, "code": code,
    })
}

fn json(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

/// The address and name in an API server's URL.
pub(super) fn address(url: &str) -> (SocketAddr, ServerName<'static>) {
    let uri: Uri = url.parse().expect("the API server's URL is valid");
    let authority = uri.authority().expect("the URL has a host").as_str();
    let address: SocketAddr = authority.parse().expect("the local control plane is at an IP address");
    (address, ServerName::IpAddress(address.ip().into()))
}

/// TLS to servers with a certificate by `authority` (PEM in base64).
pub(super) fn connector(authority: &str) -> TlsConnector {
    let pem = unbase64(authority);
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.expect("the authority's certificate is PEM")).expect("the certificate is valid");
    }
    TlsConnector::from(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

pub(super) fn base64(bytes: &[u8]) -> String {
    let value = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).expect("bytes are serializable");
    value.as_str().expect("as a text").to_owned()
}

fn unbase64(text: &str) -> Vec<u8> {
    serde_json::from_value::<k8s_openapi::ByteString>(text.into()).expect("a kubeconfig holds base64").0
}
