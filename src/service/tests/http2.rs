//! HTTP/2, where many calls share a connection that can end under any of them; and what the libraries log of it all.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::stage::{azure, model_of, settings, tls};
use crate::operation::{self, Handle, Look, OperationId, OperationKind, RefreshRequest, Submission};
use crate::service::Model;

/// What the server does with its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It keeps it, and answers.
    Never,
    /// It cuts it when a POST comes.
    CutAtPost,
    /// It says goodbye in order when a POST comes, and goes without having answered it.
    GoodbyeAtPost,
    /// It says goodbye after every GET.
    GoodbyeAfterGet,
}

struct Server {
    end: End,
    lines: Mutex<Vec<String>>,
    leave: Notify,
}

async fn start(end: End) -> (Arc<Server>, Model) {
    let (tls, ca_pem) = tls(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = Arc::new(Server { end, lines: Mutex::default(), leave: Notify::new() });
    let serving = Arc::clone(&server);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Arc::clone(&serving), tls.clone(), stream));
        }
    });
    (server, model_of(&azure(settings(&ca_pem), address, address)))
}

async fn serve(server: Arc<Server>, tls: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let answering = Arc::clone(&server);
    let service = service_fn(move |request| answer(Arc::clone(&answering), request));
    let mut connection = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = server.leave.notified() => {}
    }
    if server.end != End::CutAtPost {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(Duration::from_millis(100), connection).await;
    }
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    server.lines.lock().push(format!("{} {path}", request.method()));
    let body = if path.ends_with("/token") {
        r#"{"access_token":"planted-token","expires_in":3599}"#
    } else if request.method() == "POST" {
        if matches!(server.end, End::CutAtPost | End::GoodbyeAtPost) {
            server.leave.notify_waiters();
            std::future::pending::<()>().await;
        }
        r#"{"operationId":"1a"}"#
    } else {
        if server.end == End::GoodbyeAfterGet {
            let leaving = Arc::clone(&server);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                leaving.leave.notify_waiters();
            });
        }
        r#"{"status":"inProgress"}"#
    };
    Ok(Response::new(Full::from(body)))
}

/// Looks, so that there is a connection, and then submits. How many POSTs of a refresh the server saw, too.
async fn look_and_submit(end: End) -> (Submission, usize) {
    let (server, model) = start(end).await;
    let look = model.prepare().await.unwrap().look(OperationKind::Refresh, &Handle::by_id(OperationId::parse("1a").unwrap())).await;
    assert!(matches!(look, Look::Found { .. }), "{look:?}");
    if end == End::GoodbyeAfterGet {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let submission = model.prepare().await.unwrap().submit(&operation::Request::Refresh(RefreshRequest::default())).await;
    let posts = server.lines.lock().iter().filter(|line| line.starts_with("POST") && line.ends_with("/refreshes")).count();
    (submission, posts)
}

#[tokio::test]
async fn a_shared_connection_that_ends_under_a_submission_leaves_a_doubt_and_no_second_one() {
    for end in [End::CutAtPost, End::GoodbyeAtPost] {
        let (submission, posts) = look_and_submit(end).await;
        assert!(matches!(submission, Submission::Unanswered { .. }), "{submission:?}");
        assert_eq!(posts, 1);
    }
}

#[tokio::test]
async fn a_shared_connection_that_ended_before_is_replaced() {
    let (submission, posts) = look_and_submit(End::GoodbyeAfterGet).await;
    assert!(matches!(submission, Submission::Accepted { .. }), "{submission:?}");
    assert_eq!(posts, 1);
}

/// A place for logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_library_logs_a_secret_at_any_level() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).finish();
    // For the whole process: while other tests come and go on other threads, a subscriber of one thread misses places that
    // one of theirs has reached first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (submission, _) = look_and_submit(End::Never).await;
    assert!(matches!(submission, Submission::Accepted { .. }), "{submission:?}");
    let logged = String::from_utf8_lossy(&lines.0.lock()).into_owned();
    assert!(logged.contains("POST refreshes"), "{logged}");
    for line in logged.lines() {
        assert!(!line.contains("planted"), "{line}");
    }
}
