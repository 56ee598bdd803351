//! One HTTP exchange: sent once, with a deadline for the whole exchange and a bounded response.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::response::{BodyFault, Response};
use super::text;
use crate::azure::settings::{AzureSettings, AzureSettingsError, Observer};
use crate::fair_semaphore::{FairSemaphore, Permit};
use crate::operation::{CallFault, CallRecord, CallTarget};
use crate::tls;

/// Maximum size of a response.
pub(in crate::azure) const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Maximum size of a response that should be short (to a POST or DELETE, an error, a token).
pub(in crate::azure) const MAX_SHORT_BODY_BYTES: usize = 256 * 1024;

/// Maximum number of responses larger than [`MAX_SHORT_BODY_BYTES`] in memory at the same time, over all servers. One namespace has at most
/// three of them, so its slow responses do not block those of another.
const MAX_LARGE_BODIES: usize = 4;

/// How much of one response, and of all responses together, the server may send over an HTTP/2 connection before the client reads it. A
/// response that waits for a permit fills its own window, and no more. All 256 responses that can be in progress (64 reconciliations with
/// four polls each) fit into the window of the connection. The waiting responses therefore never block those that are being read.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// The status codes of redirects.
pub(in crate::azure) const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Maximum time for connecting, including the proxy tunnel and the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When to send a PING on an HTTP/2 connection that has received nothing during a call, and how long to wait for its response. A load
/// balancer may drop a connection without notice. Calls share a connection, so all later calls would use it until each of them times out.
/// Both together are at most the default timeout of a call.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The shared client. Cheap to clone.
#[derive(Clone)]
pub(in crate::azure) struct Client {
    http: reqwest::Client,
    call_timeout: Duration,
    on_call: Option<Observer>,
    large_bodies: FairSemaphore,
}

/// Why there is no response, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::azure) enum SendError {
    /// The request was not sent: no name, connection, tunnel or handshake.
    NotSent(String),
    /// The request may have arrived.
    Lost(String),
}

impl SendError {
    pub(in crate::azure) fn into_message(self) -> String {
        match self {
            Self::NotSent(message) | Self::Lost(message) => message,
        }
    }
}

impl Client {
    pub(in crate::azure) fn new(settings: &AzureSettings) -> Result<Self, AzureSettingsError> {
        Self::build(settings, |builder| builder.https_only(true))
    }

    /// `refine` adds settings to the client: whether it requires TLS, and the address of a server in tests.
    pub(in crate::azure) fn build(
        settings: &AzureSettings,
        refine: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, AzureSettingsError> {
        if settings.call_timeout.is_zero() || settings.max_calls_per_server == 0 {
            return Err(AzureSettingsError("the call timeout and the number of calls per server must be greater than zero".to_owned()));
        }
        let roots = tls::roots_to_add(settings.extra_ca_pem.as_deref()).map_err(AzureSettingsError)?;
        let builder = reqwest::Client::builder()
            .user_agent(&settings.user_agent)
            .tls_certs_merge(roots)
            // Without this header, a server may use any coding (RFC 9110, 12.5.3). If a gateway compresses nevertheless, the client
            // decompresses in chunks, and the size limits apply to the decompressed data.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // The caller handles redirects, because a token must not follow one to another host.
            .redirect(Policy::none())
            // By default, the client resends a request after an HTTP/2 GOAWAY. Only the engine may repeat a POST.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.call_timeout.mul_f32(0.5)))
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            // Azure's load balancers drop an idle connection after 240 s without notice.
            .pool_idle_timeout(Duration::from_secs(90))
            .tcp_keepalive(Duration::from_mins(1));
        let http = refine(builder)
            .build()
            .map_err(|error| AzureSettingsError(format!("failed to set up the HTTP client: {}", text::root_cause(&error))))?;
        Ok(Self {
            http,
            call_timeout: settings.call_timeout,
            on_call: settings.on_call.clone(),
            large_bodies: FairSemaphore::new(MAX_LARGE_BODIES),
        })
    }

    pub(in crate::azure) fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// The deadline of a call that starts now.
    pub(in crate::azure) fn deadline(&self) -> Instant {
        Instant::now() + self.call_timeout
    }

    /// Sends a request once, and waits for the head of the response.
    pub(in crate::azure) async fn send(
        &self,
        target: CallTarget,
        request: reqwest::RequestBuilder,
        deadline: Instant,
    ) -> Result<Incoming, SendError> {
        let request =
            request.build().map_err(|error| SendError::NotSent(format!("failed to create the request: {}", text::root_cause(&error))))?;
        let url = request.url().clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut record = Record::start(target, &host, self.on_call.clone());
        let sent = timeout_at(deadline, self.http.execute(request)).await;
        let response = match sent {
            Err(_) => return Err(SendError::Lost(format!("{host} did not respond in time"))),
            Ok(Err(error)) => {
                record.fault = Some(CallFault::Connection);
                return Err(send_error(&host, &error));
            }
            Ok(Ok(response)) => response,
        };
        (record.status, record.fault) = (Some(response.status().as_u16()), None);
        Ok(Incoming { url, response, deadline, large_bodies: self.large_bodies.clone(), namespace: Arc::from(""), record })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}

/// Whether a failed request may have arrived, and why it failed.
///
/// Only after a failure to connect, the request was certainly not sent. This excludes a failure of a pooled connection.
fn send_error(host: &str, error: &reqwest::Error) -> SendError {
    let cause = explain(&text::root_cause(error));
    if error.is_connect() {
        SendError::NotSent(format!("failed to connect to {host}: {cause}"))
    } else {
        SendError::Lost(format!("lost the connection to {host} before the response: {cause}"))
    }
}

/// Replaces errors of the libraries by texts that an administrator understands. The same cause always results in the same text.
fn explain(cause: &str) -> String {
    const EXPLANATIONS: [(&str, &str); 9] = [
        ("without sending TLS close_notify", "the other side closed the connection"),
        ("InvalidContentType", "the server does not support TLS"),
        (
            "UnknownIssuer",
            "its certificate has no trusted issuer; if a proxy intercepts TLS, set --extra-ca-file to the certificate of its authority, and restart the operator after a change of the file",
        ),
        (
            "CaUsedAsEndEntity",
            "its certificate is that of an authority (CA:TRUE); configure the server with a certificate that the authority has issued",
        ),
        ("certificate expired", "its certificate has expired"),
        ("certificate not valid yet", "its certificate is not valid yet"),
        ("tunnel error: proxy authorization required", "the proxy in HTTPS_PROXY requires valid credentials"),
        ("tunnel error: unexpected end of file", "the proxy in HTTPS_PROXY closed the connection"),
        ("tunnel error", "the proxy in HTTPS_PROXY does not connect to the host"),
    ];
    let known = EXPLANATIONS.iter().find(|(part, _)| cause.contains(part));
    known.map_or_else(|| cause.to_owned(), |(_, text)| (*text).to_owned())
}

/// Whether the body is still compressed. Decompression removes the header.
fn compressed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter().map(|coding| coding.as_bytes().trim_ascii());
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// A response whose head has arrived.
pub(in crate::azure) struct Incoming {
    pub(in crate::azure) url: Url,
    response: reqwest::Response,
    deadline: Instant,
    large_bodies: FairSemaphore,
    /// The namespace that the response is for.
    namespace: Arc<str>,
    record: Record,
}

impl Incoming {
    /// The same response, which counts as one of a namespace. A token needs no namespace, because its response must be short.
    pub(in crate::azure) fn for_namespace(self, namespace: &Arc<str>) -> Self {
        Self { namespace: Arc::clone(namespace), ..self }
    }

    pub(in crate::azure) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(in crate::azure) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next chunk of the body; `None` at its end.
    ///
    /// A body with an unsupported compression (gzip and deflate are supported) is not read.
    pub(in crate::azure) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyFault> {
        match timeout_at(self.deadline, self.response.chunk()).await {
            Err(_) => Err(BodyFault::Slow),
            Ok(Err(_)) => Err(BodyFault::Broken),
            Ok(Ok(Some(_))) if compressed(self.headers()) => Err(BodyFault::Compressed),
            Ok(Ok(chunk)) => Ok(chunk),
        }
    }

    /// Reads the complete response. A problem with the body is part of the result, because the head alone can be conclusive.
    pub(in crate::azure) async fn read(mut self, limit: usize) -> Response {
        let (body, fault) = self.body(limit).await;
        self.record.fault = fault.map(|fault| match fault {
            BodyFault::Slow => CallFault::Timeout,
            BodyFault::Broken => CallFault::Connection,
            BodyFault::TooLarge => CallFault::TooLarge,
            BodyFault::Compressed => CallFault::Compressed,
        });
        Response::new(self.status(), self.response.headers().clone(), body, fault)
    }

    /// Reads the complete response, up to the size of a description or a list. An error must be short.
    pub(in crate::azure) async fn read_whole(self) -> Response {
        let limit = if (200..300).contains(&self.status()) { MAX_BODY_BYTES } else { MAX_SHORT_BODY_BYTES };
        self.read(limit).await
    }

    /// As [`Incoming::read`], but waits at most `timeout` for the body.
    pub(in crate::azure) async fn read_within(mut self, limit: usize, timeout: Duration) -> Response {
        self.deadline = self.deadline.min(Instant::now() + timeout);
        self.read(limit).await
    }

    async fn body(&mut self, limit: usize) -> (Vec<u8>, Option<BodyFault>) {
        let announced = self.response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return (Vec::new(), Some(BodyFault::TooLarge));
        }
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(MAX_SHORT_BODY_BYTES));
        let mut large: Option<Permit> = None;
        loop {
            let chunk = match self.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return (body, None),
                Err(fault) => return (body, Some(fault)),
            };
            let length = body.len() + chunk.len();
            if length > limit {
                return (Vec::new(), Some(BodyFault::TooLarge));
            }
            if length > MAX_SHORT_BODY_BYTES && large.is_none() {
                large = timeout_at(self.deadline, self.large_bodies.acquire(&self.namespace)).await.ok().flatten();
                if large.is_none() {
                    return (Vec::new(), Some(BodyFault::Slow));
                }
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// Reports an exchange when it is over, regardless of its result.
struct Record {
    target: CallTarget,
    host: String,
    started: Instant,
    status: Option<u16>,
    fault: Option<CallFault>,
    on_call: Option<Observer>,
}

impl Record {
    fn start(target: CallTarget, host: &str, on_call: Option<Observer>) -> Self {
        // If the caller drops an exchange before its response, it took too long.
        Self { target, host: host.to_owned(), started: Instant::now(), status: None, fault: Some(CallFault::Timeout), on_call }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (target, status, fault, duration) = (self.target, self.status, self.fault, self.started.elapsed());
        let record = CallRecord { target, host: &self.host, status, fault, duration };
        tracing::debug!(
            route = record.target.name(),
            host = self.host,
            status = record.status,
            milliseconds = u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
            "called"
        );
        if let Some(on_call) = &self.on_call {
            on_call(&record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_errors_are_replaced_by_plain_texts() {
        let rows = [
            (
                "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual/x.html#unexpected-eof",
                "the other side closed the connection",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1795347934 (UNIX), but certificate is not valid after 1 (2 seconds ago)",
                "its certificate has expired",
            ),
            ("tunnel error: unsuccessful", "the proxy in HTTPS_PROXY does not connect to the host"),
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
        ];
        for (cause, expected) in rows {
            assert_eq!(explain(cause), expected);
        }
        let unknown = explain("invalid peer certificate: UnknownIssuer");
        assert!(unknown.contains("--extra-ca-file") && unknown.contains("restart the operator"), "{unknown}");
    }
}
