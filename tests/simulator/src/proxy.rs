//! The HTTP `CONNECT` proxy: it tunnels to the services' real names, ends their TLS itself, and refuses all else.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{Connection, Socket},
    exchange::{self, Tunnel},
    ledger::Row,
    state::State,
};

/// How long a client has for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long to wait after a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// So many requests may be under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 10_000;

/// Serves `listener` for ever.
pub async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(front(stream, Arc::clone(&state)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection to the proxy itself, until it becomes a tunnel.
async fn front(stream: TcpStream, state: Arc<State>) {
    // Answers are small and awaited; without it they would wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = connect(request, &state);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that goes away is no concern of ours.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

/// Answers a request to the proxy itself, and begins a tunnel where it may.
fn connect(mut request: Request<Incoming>, state: &Arc<State>) -> Response<Full<bytes::Bytes>> {
    if request.method() != Method::CONNECT {
        let host = request.uri().host().unwrap_or_default().to_owned();
        return refuse(state, &request, &host, "This proxy only tunnels (CONNECT) to the names of Azure's services, for https URLs.");
    }
    let authority = request.uri().authority().map(|authority| (authority.host().to_ascii_lowercase(), authority.port_u16()));
    let Some((host, Some(443))) = authority else {
        let host = authority.map(|(host, _)| host).unwrap_or_default();
        return refuse(state, &request, &host, "This proxy only tunnels to port 443.");
    };
    let Some(site) = state.clouds.site(&host) else {
        let sentence =
            format!("This proxy stands in for Azure and leads nowhere else: '{host}' is not one of the names that it answers for.");
        return refuse(state, &request, &host, &sentence);
    };
    let connection = Arc::new(Connection::default());
    let tunnel = Tunnel { state: Arc::clone(state), host: host.into(), site, connection };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A failed handshake is the client's to tell: it does not trust the certificate, or has gone.
            let _ = within(upgraded, Arc::new(tunnel)).await;
        }
    });
    Response::new(Full::default())
}

fn refuse(state: &State, request: &Request<Incoming>, host: &str, sentence: &str) -> Response<Full<bytes::Bytes>> {
    let row = Row {
        time: Timestamp::now(),
        host: host.into(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        route: "refused",
        ..Row::default()
    };
    state.ledger.enter(row).answered(StatusCode::FORBIDDEN.as_u16());
    let mut response = Response::new(Full::from(format!("{sentence}\n")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Serves what comes through a tunnel.
async fn within(upgraded: Upgraded, tunnel: Arc<Tunnel>) -> io::Result<()> {
    let _open = tunnel.state.connections.enter();
    let connection = Arc::clone(&tunnel.connection);
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| io::Error::other("the tunnel is no socket"))?;
    if !parts.read_buf.is_empty() {
        return Err(io::Error::other("the client spoke before it was answered"));
    }
    let socket = Socket::new(parts.io.into_inner(), Arc::clone(&connection));
    let config = tunnel.state.authority.server_config(&tunnel.host).map_err(io::Error::other)?;
    let tls = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(socket)).await??;
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(tls);
    let service = service_fn(move |request| exchange::answer(Arc::clone(&tunnel), request));
    // Whatever ends the connection, its requests end with it: those not yet handled never are.
    if http2 {
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .serve_connection(io, service);
        tokio::select! {
            served = serving => served.map_err(io::Error::other),
            () = connection.killed() => Ok(()),
        }
    } else {
        let serving = hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
        tokio::select! {
            served = serving => served.map_err(io::Error::other),
            () = connection.killed() => Ok(()),
        }
    }
}
