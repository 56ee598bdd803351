//! HTTP/2, where many calls share a connection that can end under any of them; and what the libraries log of it all.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Iter};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
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
use crate::service::http::LARGEST_WORD;
use crate::service::{Model, Settings};

/// A body, whole or in frames.
type Body = Either<Full<Bytes>, StreamBody<Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

/// The largest frame that a client takes where it does not say more.
const FRAME: usize = 16 * 1024;

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
    let settings = Settings { max_calls_per_server: 32, ..settings(&ca_pem) };
    (server, model_of(&azure(settings, address, address)))
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

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
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
    } else if path.contains("/large") {
        let body = Bytes::from(format!(r#"{{"status":"inProgress","more":"{}"}}"#, "x".repeat(4 * LARGEST_WORD)));
        // Frame by frame, as a server does that writes all of them at once: each gets its share of the connection.
        let frames = (0..body.len()).step_by(FRAME).map(move |at| Ok(Frame::data(body.slice(at..body.len().min(at + FRAME)))));
        return Ok(Response::new(Either::Right(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))));
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
    Ok(Response::new(Either::Left(Full::from(body))))
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

#[tokio::test]
async fn large_answers_that_wait_to_be_read_stop_nobody() {
    let (_server, model) = start(End::Never).await;
    let look = async |id: &str| {
        let call = model.prepare().await.unwrap();
        call.look(OperationKind::Refresh, &Handle::by_id(OperationId::parse(id).unwrap())).await
    };
    // So that there is a connection, and all of them are on it.
    look("small").await;
    let large: Vec<String> = (0..30).map(|number| format!("large-{number}")).collect();
    for seen in futures::future::join_all(large.iter().map(|id| look(id))).await {
        assert!(matches!(seen, Look::Found { .. }), "{seen:?}");
    }
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
