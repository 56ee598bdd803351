//! The HTTP proxy. It tunnels (`CONNECT`) to the services' real names and terminates TLS, serves the machine's metadata service, which
//! has no TLS, and refuses everything else.

use std::{io, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header::PROXY_AUTHORIZATION, service::service_fn, upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{Connection, Socket},
    exchange::{self, Dropped, Tunnel},
    hosts::{Cloud, Service, Site},
    imds,
    ledger::Row,
    response::{self, Body},
    state::State,
};

/// Timeout of a client's TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Delay after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Maximum number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 10_000;

/// Serves `listener` indefinitely.
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
    // Responses are small; without this option they would wait for the client's acknowledgment.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::default());
    let socket = Socket::new(stream, Arc::clone(&connection));
    let service = service_fn({
        let connection = Arc::clone(&connection);
        move |request| direct(request, Arc::clone(&state), Arc::clone(&connection))
    });
    let serving =
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).with_upgrades();
    // A client may disconnect at any time.
    tokio::select! {
        _ = serving => {}
        () = connection.killed() => {}
    }
}

/// Handles a request to the proxy itself: for a tunnel, or for the metadata service, which needs none.
async fn direct(request: Request<Incoming>, state: Arc<State>, connection: Arc<Connection>) -> Result<Response<Body>, Dropped> {
    if request.method() == Method::CONNECT {
        return Ok(connect(request, &state, connection));
    }
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().to_owned();
    if uri.scheme_str() == Some("http") && host == imds::HOST && matches!(uri.port_u16(), None | Some(80)) {
        // The machine's cloud is a property of its identities; requests here carry no token.
        let site = Site { service: Service::Metadata, cloud: Cloud::Public, audience: "" };
        let tunnel = Tunnel { state, host: host.into(), site, proxy_user: proxy_user(request.headers()), connection };
        return exchange::respond(Arc::new(tunnel), request).await;
    }
    let sentence = "This proxy only tunnels (CONNECT) to the names of Azure's services, for https URLs, and serves the metadata \
                    service at http://169.254.169.254.";
    Ok(refuse(&state, &request, &host, sentence))
}

/// Opens a tunnel if the target is supported.
fn connect(mut request: Request<Incoming>, state: &Arc<State>, connection: Arc<Connection>) -> Response<Body> {
    let authority = request.uri().authority().map(|authority| (authority.host().to_ascii_lowercase(), authority.port_u16()));
    let Some((host, Some(443))) = authority else {
        let host = authority.map(|(host, _)| host).unwrap_or_default();
        return refuse(state, &request, &host, "This proxy only tunnels to port 443.");
    };
    let Some(site) = state.clouds.site(&host) else {
        let sentence = format!("This proxy simulates Azure and serves no other hosts: '{host}' is not one of its names.");
        return refuse(state, &request, &host, &sentence);
    };
    let proxy_user = proxy_user(request.headers());
    let tunnel = Tunnel { state: Arc::clone(state), host: host.into(), site, proxy_user, connection };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A failed handshake is reported by the client: it does not trust the certificate, or has disconnected.
            let _ = within(upgraded, Arc::new(tunnel)).await;
        }
    });
    Response::new(response::whole(Bytes::new()))
}

/// The user name in `Proxy-Authorization`, if any. Every name and password is accepted.
fn proxy_user(headers: &HeaderMap) -> Option<Arc<str>> {
    let (scheme, credentials) = headers.get(PROXY_AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, _) = decoded.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| user.into())
}

fn refuse(state: &State, request: &Request<Incoming>, host: &str, sentence: &str) -> Response<Body> {
    let row = Row {
        time: Timestamp::now(),
        host: host.into(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        route: "refused",
        proxy_user: proxy_user(request.headers()),
        ..Row::default()
    };
    state.ledger.record(row).responded(StatusCode::FORBIDDEN.as_u16());
    let mut response = Response::new(response::whole(Bytes::from(format!("{sentence}\n"))));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Serves the connection within a tunnel.
async fn within(upgraded: Upgraded, tunnel: Arc<Tunnel>) -> io::Result<()> {
    let _open = tunnel.state.connections.count_one();
    let connection = Arc::clone(&tunnel.connection);
    let parts = upgraded.downcast::<TokioIo<Socket>>().map_err(|_| io::Error::other("the tunnel is not a socket"))?;
    if !parts.read_buf.is_empty() {
        return Err(io::Error::other("the client sent data before the response"));
    }
    let socket = parts.io.into_inner();
    let config = tunnel.state.authority.server_config(&tunnel.host).map_err(io::Error::other)?;
    let tls = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(socket)).await??;
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(tls);
    let service = service_fn(move |request| exchange::respond(Arc::clone(&tunnel), request));
    // When the connection ends, its requests end too: those not yet handled never are.
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
