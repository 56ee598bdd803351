//! The HTTP server of `/metrics`, `/livez` and `/readyz`.
//!
//! It answers kubelets and Prometheus, and whoever else can reach its port: so every connection has its deadline, their
//! number has a bound, and nothing that is sent to it is read beyond the head of the request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::{Metrics, plain};

/// Connections at a time. Two probes and a few scrapers need a handful.
const CONNECTIONS: usize = 64;
/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live: long enough for a slow scrape, which is one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// After `accept` failed (out of file descriptors, say) it is tried again, not at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PLAIN_METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The port cannot be had.
#[derive(Debug, Error)]
#[error("failed to listen at {address}: {source}; choose another --metrics-address")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A port that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the port, and logs which: with port 0 that is the only way to know.
    ///
    /// # Errors
    /// Where the port is taken or not permitted.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        tracing::info!(%address, "serving metrics");
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until told to stop. Answers under way are finished.
    pub async fn serve(self, metrics: Arc<Metrics>, health: Health, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((stream, slot)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (metrics, health) = (Arc::clone(&metrics), health.clone());
            tokio::spawn(async move {
                converse(stream, metrics, health).await;
                drop(slot);
            });
        }
    }
}

/// A slot first, then a connection: the kernel's queue holds those who wait.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::debug!(%error, "failed to accept a connection for metrics");
            None
        }
    }
}

/// One connection, one request.
async fn converse(stream: TcpStream, metrics: Arc<Metrics>, health: Health) {
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&request, &metrics, &health);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "a connection for metrics ended badly"),
        Err(_) => tracing::trace!("a connection for metrics took too long"),
    }
}

fn answer<B>(request: &Request<B>, metrics: &Metrics, health: &Health) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here".to_owned());
    }
    match request.uri().path() {
        "/metrics" => match metrics.encode() {
            Ok(body) if takes_open_metrics(request) => respond(StatusCode::OK, OPEN_METRICS, body),
            Ok(body) => respond(StatusCode::OK, PLAIN_METRICS, plain::from_open_metrics(&body)),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to write the metrics: {error}")),
        },
        "/livez" => match health.live() {
            Ok(()) => text(StatusCode::OK, "ok".to_owned()),
            Err(sentence) => text(StatusCode::INTERNAL_SERVER_ERROR, sentence),
        },
        "/readyz" => match health.ready() {
            Ok(sentence) => text(StatusCode::OK, sentence.to_owned()),
            Err(sentence) => text(StatusCode::INTERNAL_SERVER_ERROR, sentence.to_owned()),
        },
        _ => text(StatusCode::NOT_FOUND, "ask for /metrics, /livez or /readyz".to_owned()),
    }
}

/// Whether a client reads `OpenMetrics`: one that names it, with a weight other than nothing.
fn takes_open_metrics<B>(request: &Request<B>) -> bool {
    let ranges = request.headers().get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        named && weight != Some(0.0)
    })
}

fn text(status: StatusCode, sentence: String) -> Response<Full<Bytes>> {
    respond(status, TEXT, sentence + "\n")
}

fn respond(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_and_metrics_are_answered_on_a_free_port() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, health, stop) = (server.address(), Health::new(), CancellationToken::new());
        let task = tokio::spawn(server.serve(Arc::new(Metrics::new()), health.clone(), stop.clone()));

        let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        let metrics = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n")).await;
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
        assert!(metrics.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        for accept in ["X: y", "Accept: */*", "Accept: text/plain", "Accept: application/openmetrics-text;q=0"] {
            let metrics = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n")).await;
            assert!(metrics.contains("text/plain; version=0.0.4; charset=utf-8") && !metrics.contains("# EOF"), "{metrics}");
        }

        assert!(get(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 500"));
        health.api_answered();
        health.caches_synced();
        assert!(get(address, "GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));

        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn silent_clients_do_not_keep_a_probe_out() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        tokio::spawn(server.serve(Arc::new(Metrics::new()), Health::new(), stop.clone()));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let probe = get(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = tokio::time::timeout(HEAD_TIMEOUT + Duration::from_secs(3), probe).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stop.cancel();
    }
}
