//! The HTTP servers of `/metrics`, `/livez` and `/readyz`: one for metrics, and one for probes only.
//!
//! Any client that can reach the ports can connect, not only kubelets and Prometheus. Therefore every connection has a deadline, their
//! number is bounded, and the server reads nothing beyond the head of a request.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, RequestHead};
use super::health::Health;
use super::metrics::{Metrics, text_format};

/// Timeout for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum lifetime of a connection. A slow scrape, which is one request, fits into it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum size of the buffers of a connection, in bytes. A client that reads slowly keeps this much, and one page of the metrics.
const BUFFER_SIZE: usize = 64 * 1024;
/// Delay before the next `accept` after a failed one, for example without free file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(200);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PLAIN_METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The ports of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Metrics, and the probes for older manifests.
    Metrics,
    /// Probes only, so that no client of the metrics can delay them.
    Health,
}

impl Port {
    fn flag(self) -> &'static str {
        match self {
            Self::Metrics => "--metrics-address",
            Self::Health => "--health-address",
        }
    }
}

/// The port is not available.
#[derive(Debug, Error)]
#[error("failed to listen on {address}: {source}; choose another {}", port.flag())]
pub struct BindError {
    port: Port,
    address: SocketAddr,
    source: std::io::Error,
}

/// A bound port that does not respond yet.
#[derive(Debug)]
pub struct Server {
    port: Port,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the port and logs the address. With port 0, the log is the only source of the port.
    ///
    /// # Errors
    /// If the port is in use or not permitted.
    pub async fn bind(port: Port, address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError { port, address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        match port {
            Port::Metrics => tracing::info!(%address, "serving metrics"),
            Port::Health => tracing::info!(%address, "serving probes"),
        }
        Ok(Self { port, listener, address })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Responds until `stop` is cancelled. Responses in progress are completed.
    pub async fn serve(self, metrics: Arc<Metrics>, health: Health, stop: CancellationToken) {
        let mut connections = Connections::default();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            connections.make_room();
            let (port, metrics, health, head) = (self.port, Arc::clone(&metrics), health.clone(), RequestHead::default());
            let connection = tokio::spawn(serve_connection_once(stream, port, metrics, health, head.clone()));
            connections.keep(connection.abort_handle(), head);
            // The task reads its request before further connections can evict it.
            tokio::task::yield_now().await;
        }
    }
}

/// Serves one connection with one request.
async fn serve_connection_once(stream: TcpStream, port: Port, metrics: Arc<Metrics>, health: Health, head: RequestHead) {
    let service = service_fn(move |request: Request<_>| {
        head.set();
        let response = respond_to(&request, port, &metrics, &health);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "connection failed"),
        Err(_) => tracing::trace!("connection timed out"),
    }
}

/// The body of a response: a sentence, or the pages of the metrics.
type Body = Either<Full<Bytes>, StreamBody<stream::Iter<Pages>>>;
type Pages = Box<dyn Iterator<Item = Result<Frame<Bytes>, fmt::Error>> + Send>;

fn respond_to<B>(request: &Request<B>, port: Port, metrics: &Metrics, health: &Health) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported".to_owned());
    }
    match request.uri().path() {
        "/metrics" if port == Port::Metrics && accepts_open_metrics(request) => respond_in_pages(OPEN_METRICS, metrics.pages()),
        "/metrics" if port == Port::Metrics => {
            let plain = metrics.pages().map(|page| Ok(text_format::from_open_metrics(&page?)));
            respond_in_pages(PLAIN_METRICS, plain)
        }
        "/livez" => match health.live() {
            Ok(()) => text(StatusCode::OK, "ok".to_owned()),
            Err(sentence) => text(StatusCode::INTERNAL_SERVER_ERROR, sentence),
        },
        "/readyz" => match health.ready() {
            Ok(sentence) => text(StatusCode::OK, sentence),
            Err(sentence) => text(StatusCode::INTERNAL_SERVER_ERROR, sentence),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            match port {
                Port::Metrics => "request /metrics, /livez or /readyz",
                Port::Health => "request /livez or /readyz",
            }
            .to_owned(),
        ),
    }
}

/// Whether a client accepts `OpenMetrics`: it names the type with a weight other than zero.
fn accepts_open_metrics<B>(request: &Request<B>) -> bool {
    let ranges = request.headers().get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        named && weight != Some(0.0)
    })
}

fn text(status: StatusCode, sentence: String) -> Response<Body> {
    let mut response = respond(TEXT, Either::Left(Full::new(Bytes::from(sentence + "\n"))));
    *response.status_mut() = status;
    response
}

/// A page that cannot be encoded breaks the connection, so that the client does not take a part for all metrics. None of them fails.
fn respond_in_pages(content_type: HeaderValue, pages: impl Iterator<Item = Result<String, fmt::Error>> + Send + 'static) -> Response<Body> {
    let frames = pages.filter(|page| page.as_deref() != Ok("")).map(|page| Ok(Frame::data(Bytes::from(page?))));
    respond(content_type, Either::Right(StreamBody::new(stream::iter(Box::new(frames) as Pages))))
}

fn respond(content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{ResourceRow, ResourceTable};
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut respond_to = String::new();
        stream.read_to_string(&mut respond_to).await.unwrap();
        respond_to
    }

    #[tokio::test]
    async fn probes_and_metrics_are_served_on_a_free_port() {
        let server = Server::bind(Port::Metrics, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, health, stop) = (server.address(), Health::new(), CancellationToken::new());
        let task = tokio::spawn(server.serve(Arc::new(Metrics::new()), health.clone(), stop.clone()));

        let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        let metrics = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n")).await;
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
        assert!(metrics.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{metrics}");
        assert!(metrics.contains("\n# EOF\n"), "{metrics}");
        for accept in ["X: y", "Accept: */*", "Accept: text/plain", "Accept: application/openmetrics-text;q=0"] {
            let metrics = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n")).await;
            assert!(metrics.contains("text/plain; version=0.0.4; charset=utf-8") && !metrics.contains("# EOF"), "{metrics}");
        }

        assert!(get(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 500"));
        health.api_responded();
        health.caches_synced();
        assert!(get(address, "GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));

        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn pages_of_metrics_are_one_response() {
        let server = Server::bind(Port::Metrics, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, metrics, stop) = (server.address(), Arc::new(Metrics::new()), CancellationToken::new());
        let rows = (0..1_000).map(|n| Arc::new(ResourceRow::complete("bi", &format!("r{n:03}")))).collect();
        metrics.set_resource_table(ResourceTable::first(1_000, rows, Timestamp::UNIX_EPOCH));
        tokio::spawn(server.serve(Arc::clone(&metrics), Health::new(), stop.clone()));
        for (accept, end) in [("application/openmetrics-text", "# EOF\n"), ("text/plain", "")] {
            // HTTP/1.0 has no chunks.
            let response = get(address, &format!("GET /metrics HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n")).await;
            assert_eq!(response.matches("tabular_operator_resource_info{").count(), 1_000);
            assert!(response.contains(r#"resource_usual_duration_seconds{kind="ModelRefresh",exported_namespace="bi",name="r999"} 60"#));
            assert!(response.ends_with(end), "{}", &response[response.len() - 200..]);
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn port_of_probes_serves_no_metrics() {
        let server = Server::bind(Port::Health, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        tokio::spawn(server.serve(Arc::new(Metrics::new()), Health::new(), stop.clone()));
        assert!(get(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 500"));
        assert!(get(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        let taken = Server::bind(Port::Health, address).await.unwrap_err().to_string();
        assert!(taken.contains("choose another --health-address"), "{taken}");
        stop.cancel();
    }

    /// Connections that send nothing, part of a head, or a byte at times; and requests whose responses are not read.
    #[tokio::test]
    async fn connections_without_a_request_do_not_starve_probes() {
        for port in [Port::Metrics, Port::Health] {
            for sent in ["", "G", "GET /livez HTTP/1.1\r\nHost: x\r\nX: ", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"] {
                let server = Server::bind(port, "127.0.0.1:0".parse().unwrap()).await.unwrap();
                let (address, stop) = (server.address(), CancellationToken::new());
                let task = tokio::spawn(server.serve(Arc::new(Metrics::new()), Health::new(), stop.clone()));
                let mut silent = Vec::new();
                for _ in 0..300 {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    // An evicted connection cannot be written to.
                    let _ = stream.write_all(sent.as_bytes()).await;
                    silent.push(stream);
                }
                for _ in 0..8 {
                    let probe = get(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
                    let response = tokio::time::timeout(Duration::from_secs(1), probe).await.unwrap();
                    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                }
                stop.cancel();
                task.await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn storm_of_connections_does_not_starve_probes() {
        let server = Server::bind(Port::Health, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        tokio::spawn(server.serve(Arc::new(Metrics::new()), Health::new(), stop.clone()));
        // The kernel queues up to 128 connections before the server accepts one.
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let before: Vec<_> = (0..20).map(|_| connect()).collect();
        let mut probe = connect();
        std::io::Write::write_all(&mut probe, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let after: Vec<_> = (0..80).map(|_| connect()).collect();
        probe.set_nonblocking(true).unwrap();
        let (mut probe, mut response) = (TcpStream::from_std(probe).unwrap(), String::new());
        tokio::time::timeout(Duration::from_secs(1), probe.read_to_string(&mut response)).await.unwrap().unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        drop((before, after));
        stop.cancel();
    }
}
