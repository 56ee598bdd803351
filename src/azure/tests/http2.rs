//! HTTP/2, with many calls on a connection that can end during any of them; and the logs of the libraries.

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

use super::fake_azure::{azure, model_of, settings, tls};
use crate::azure::http::MAX_SHORT_BODY_BYTES;
use crate::azure::{AzureSettings, ModelClient};
use crate::operation::{self, OperationId, OperationKind, OperationRef, PollResult, RefreshRequest, SubmitResult};

/// A body, complete or in frames.
type Body = Either<Full<Bytes>, StreamBody<Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

/// Maximum size of a frame that a client accepts by default.
const FRAME: usize = 16 * 1024;

/// The server's handling of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Keeps it and responds.
    Never,
    /// Keeps it open when the test requests its end, but no longer reads from it.
    Silence,
    /// Closes it when a POST arrives.
    CutAtPost,
    /// Sends GOAWAY when a POST arrives, and closes it without a response.
    GoodbyeAtPost,
    /// Sends GOAWAY after every GET.
    GoodbyeAfterGet,
}

struct Server {
    end: End,
    lines: Mutex<Vec<String>>,
    leave: Notify,
}

async fn start(end: End) -> (Arc<Server>, ModelClient) {
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
    // Longer than the time until a silent connection is closed.
    let settings = AzureSettings { max_calls_per_server: 64, call_timeout: Duration::from_secs(40), ..settings(&ca_pem) };
    (server, model_of(&azure(settings, address, address)))
}

async fn serve(server: Arc<Server>, tls: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let answering = Arc::clone(&server);
    let service = service_fn(move |request| response(Arc::clone(&answering), request));
    let mut connection = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = server.leave.notified() => {}
    }
    if server.end == End::Silence {
        std::future::pending::<()>().await;
    }
    if server.end != End::CutAtPost {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(Duration::from_millis(100), connection).await;
    }
}

async fn response(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
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
        let body = Bytes::from(format!(r#"{{"status":"inProgress","more":"{}"}}"#, "x".repeat(4 * MAX_SHORT_BODY_BYTES)));
        // Frame by frame, as a server that writes all bodies at the same time: each body gets its share of the connection.
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

async fn poll(model: &ModelClient, id: &str) -> PollResult {
    let call = model.prepare().await.unwrap();
    call.poll(OperationKind::Refresh, &OperationRef::by_id(OperationId::parse(id).unwrap())).await
}

/// Polls, so that there is a connection, and then submits. Returns also the number of POSTs of a refresh that the server received.
async fn poll_and_submit(end: End) -> (SubmitResult, usize) {
    let (server, model) = start(end).await;
    let found = poll(&model, "1a").await;
    assert!(matches!(found, PollResult::Found { .. }), "{found:?}");
    if end == End::GoodbyeAfterGet {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let submission = model.prepare().await.unwrap().submit(&operation::Request::Refresh(RefreshRequest::default())).await;
    let posts = server.lines.lock().iter().filter(|line| line.starts_with("POST") && line.ends_with("/refreshes")).count();
    (submission, posts)
}

#[tokio::test]
async fn submission_on_lost_connection_is_unknown_and_not_repeated() {
    for end in [End::CutAtPost, End::GoodbyeAtPost] {
        let (submission, posts) = poll_and_submit(end).await;
        assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");
        assert_eq!(posts, 1);
    }
}

#[tokio::test]
async fn closed_shared_connection_is_replaced() {
    let (submission, posts) = poll_and_submit(End::GoodbyeAfterGet).await;
    assert!(matches!(submission, SubmitResult::Accepted { .. }), "{submission:?}");
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn silent_shared_connection_is_replaced() {
    let (server, model) = start(End::Silence).await;
    let found = poll(&model, "1a").await;
    assert!(matches!(found, PollResult::Found { .. }), "{found:?}");
    server.leave.notify_waiters();
    tokio::task::yield_now().await;
    // The server does not respond. Therefore the time advances to the PING, and to the end of its timeout.
    tokio::time::pause();
    let lost = poll(&model, "1a").await;
    tokio::time::resume();
    assert!(matches!(&lost, PollResult::Failed(error) if error.message.contains("lost the connection")), "{lost:?}");
    let found = poll(&model, "1a").await;
    assert!(matches!(found, PollResult::Found { .. }), "{found:?}");
}

#[tokio::test]
async fn large_unread_responses_block_no_other_call() {
    let (_server, model) = start(End::Never).await;
    // Opens the connection for all of them.
    poll(&model, "small").await;
    let large: Vec<String> = (0..30).map(|number| format!("large-{number}")).collect();
    for result in futures::future::join_all(large.iter().map(|id| poll(&model, id))).await {
        assert!(matches!(result, PollResult::Found { .. }), "{result:?}");
    }
}

/// A buffer for logs.
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
    // For the process: with a subscriber for one thread, callsites that other test threads reach first would be missing.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (submission, _) = poll_and_submit(End::Never).await;
    assert!(matches!(submission, SubmitResult::Accepted { .. }), "{submission:?}");
    let logged = String::from_utf8_lossy(&lines.0.lock()).into_owned();
    assert!(logged.contains("POST refreshes"), "{logged}");
    for line in logged.lines() {
        assert!(!line.contains("planted"), "{line}");
    }
}
