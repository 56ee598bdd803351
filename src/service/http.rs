//! One HTTP exchange: sent once, with a deadline for all of it, and an answer that is read within bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::answer::{Answer, BodyFault};
use super::settings::{Observer, Settings, SettingsError};
use super::text;
use crate::operation::{CallFault, CallRecord};
use crate::tls;

/// The largest answer that is read.
pub(super) const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// The largest answer that is read where a few words are expected (to a POST or DELETE, an error, a token).
pub(super) const LARGEST_WORD: usize = 256 * 1024;

/// How many answers larger than [`LARGEST_WORD`] may be in memory at once, over all servers.
const LARGE_BODIES: usize = 4;

/// How much of one answer, and of all answers together, may come over an HTTP/2 connection before it is read. An answer that
/// waits for its turn among the large ones fills its own window, and no more: all 256 that can be under way (64 passes with four
/// looks each) fit into that of their connection. So those that wait never keep back what the others read.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// The answers that say to ask at another address.
pub(super) const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The longest that connecting may take, tunnel and handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The shared client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    call_timeout: Duration,
    on_call: Option<Observer>,
    large_bodies: Arc<Semaphore>,
}

/// Why there is no answer: one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request never left: no name, connection, tunnel or handshake.
    NotSent(String),
    /// The request may have arrived.
    Lost(String),
}

impl Fault {
    pub(super) fn into_message(self) -> String {
        match self {
            Self::NotSent(message) | Self::Lost(message) => message,
        }
    }
}

/// What an exchange is called in logs and metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) host_kind: &'static str,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Self::build(settings, |builder| builder.https_only(true))
    }

    /// `refine` says more of the client: whether it insists on TLS, and in tests where it finds a server.
    pub(super) fn build(
        settings: &Settings,
        refine: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, SettingsError> {
        if settings.call_timeout.is_zero() || settings.max_calls_per_server == 0 {
            return Err(SettingsError("the call timeout and the number of calls per server must be more than zero".to_owned()));
        }
        let roots = tls::roots_to_add(settings.extra_ca_pem.as_deref()).map_err(SettingsError)?;
        let builder = reqwest::Client::builder()
            .user_agent(&settings.user_agent)
            .tls_certs_merge(roots)
            // Who says nothing of it may be answered in any coding (RFC 9110, 12.5.3). What a gateway compresses all the same is
            // unpacked piece by piece, and its bounds are those of what comes out.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // A redirect is looked at by whoever made the call: a token must not follow it to another host.
            .redirect(Policy::none())
            // By default a request is sent again after an HTTP/2 GOAWAY. A POST never is, by nobody but the engine.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.call_timeout.mul_f32(0.5)))
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            // Azure's load balancers forget a connection after 240 s without telling.
            .pool_idle_timeout(Duration::from_secs(90))
            .tcp_keepalive(Duration::from_mins(1));
        let http = refine(builder)
            .build()
            .map_err(|error| SettingsError(format!("the HTTP client cannot be set up: {}", text::root_cause(&error))))?;
        Ok(Self {
            http,
            call_timeout: settings.call_timeout,
            on_call: settings.on_call.clone(),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        })
    }

    pub(super) fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// When a call that begins now must be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.call_timeout
    }

    /// Sends a request once, and waits for the head of its answer.
    pub(super) async fn send(&self, route: Route, request: reqwest::RequestBuilder, deadline: Instant) -> Result<Incoming, Fault> {
        let request =
            request.build().map_err(|error| Fault::NotSent(format!("the request cannot be made: {}", text::root_cause(&error))))?;
        let url = request.url().clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut record = Record::begin(route, &host, self.on_call.clone());
        let sent = timeout_at(deadline, self.http.execute(request)).await;
        let response = match sent {
            Err(_) => return Err(Fault::Lost(format!("{host} gave no answer in time"))),
            Ok(Err(error)) => {
                record.fault = Some(CallFault::Connection);
                return Err(fault(&host, &error));
            }
            Ok(Ok(response)) => response,
        };
        (record.status, record.fault) = (Some(response.status().as_u16()), None);
        Ok(Incoming { url, response, deadline, large_bodies: Arc::clone(&self.large_bodies), record })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}

/// Whether a request that failed may have arrived, and why it failed.
///
/// Only what fails while connecting has surely not been sent. A pooled connection that dies is none of that.
fn fault(host: &str, error: &reqwest::Error) -> Fault {
    let cause = plain(&text::root_cause(error));
    if error.is_connect() {
        Fault::NotSent(format!("no connection to {host}: {cause}"))
    } else {
        Fault::Lost(format!("the connection to {host} was lost before an answer came: {cause}"))
    }
}

/// What the libraries say of a connection, in words for whoever runs the operator, and the same words each time.
fn plain(cause: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("without sending TLS close_notify", "it was closed from the other side"),
        ("InvalidContentType", "what answers there does not speak TLS"),
        (
            "UnknownIssuer",
            "nobody trusted signed its certificate; where a proxy opens the connection, give its authority's certificate with --extra-ca-file",
        ),
        (
            "CaUsedAsEndEntity",
            "its certificate is an authority's own (CA:TRUE), which cannot stand for a host: have it show one that the authority has signed",
        ),
        ("certificate expired", "its certificate has expired"),
        ("certificate not valid yet", "its certificate is not valid yet"),
        ("tunnel error: proxy authorization required", "the proxy of HTTPS_PROXY wants a user and a password, or others"),
        ("tunnel error: unexpected end of file", "the proxy of HTTPS_PROXY closed the connection"),
        ("tunnel error", "the proxy of HTTPS_PROXY does not connect to it"),
    ];
    let known = WORDS.iter().find(|(said, _)| cause.contains(said));
    known.map_or_else(|| cause.to_owned(), |(_, words)| (*words).to_owned())
}

/// Whether the body is compressed still: the header goes with what is unpacked.
fn compressed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter().map(|coding| coding.as_bytes().trim_ascii());
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// An answer whose head has come.
pub(super) struct Incoming {
    pub(super) url: Url,
    response: reqwest::Response,
    deadline: Instant,
    large_bodies: Arc<Semaphore>,
    record: Record,
}

impl Incoming {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// What comes compressed in a way that is not unpacked on the way here (gzip and deflate are) is not read.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyFault> {
        match timeout_at(self.deadline, self.response.chunk()).await {
            Err(_) => Err(BodyFault::Slow),
            Ok(Err(_)) => Err(BodyFault::Broken),
            Ok(Ok(Some(_))) if compressed(self.headers()) => Err(BodyFault::Compressed),
            Ok(Ok(chunk)) => Ok(chunk),
        }
    }

    /// The whole answer. What is wrong with its body is part of it, as its head alone can say enough.
    pub(super) async fn read(mut self, limit: usize) -> Answer {
        let (body, fault) = self.body(limit).await;
        self.record.fault = fault.map(|fault| match fault {
            BodyFault::Slow => CallFault::Timeout,
            BodyFault::Broken => CallFault::Connection,
            BodyFault::TooLarge => CallFault::TooLarge,
            BodyFault::Compressed => CallFault::Compressed,
        });
        Answer::new(self.status(), self.response.headers().clone(), body, fault)
    }

    /// The whole answer, as large as a description or a list may be; an error is a few words.
    pub(super) async fn read_whole(self) -> Answer {
        let limit = if (200..300).contains(&self.status()) { LARGEST_BODY } else { LARGEST_WORD };
        self.read(limit).await
    }

    /// As [`Incoming::read`], but waits for the body no longer than `patience`.
    pub(super) async fn read_within(mut self, limit: usize, patience: Duration) -> Answer {
        self.deadline = self.deadline.min(Instant::now() + patience);
        self.read(limit).await
    }

    async fn body(&mut self, limit: usize) -> (Vec<u8>, Option<BodyFault>) {
        let announced = self.response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return (Vec::new(), Some(BodyFault::TooLarge));
        }
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(LARGEST_WORD));
        let mut large: Option<OwnedSemaphorePermit> = None;
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
            if length > LARGEST_WORD && large.is_none() {
                let turn = Arc::clone(&self.large_bodies).acquire_owned();
                match timeout_at(self.deadline, turn).await {
                    Ok(Ok(permit)) => large = Some(permit),
                    Ok(Err(_)) | Err(_) => return (Vec::new(), Some(BodyFault::Slow)),
                }
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// Tells of an exchange when it is over, however it ends.
struct Record {
    route: Route,
    host: String,
    begun: Instant,
    status: Option<u16>,
    fault: Option<CallFault>,
    on_call: Option<Observer>,
}

impl Record {
    fn begin(route: Route, host: &str, on_call: Option<Observer>) -> Self {
        // Whoever lets go of an exchange before its answer came does so since it took too long.
        Self { route, host: host.to_owned(), begun: Instant::now(), status: None, fault: Some(CallFault::Timeout), on_call }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Route { name, host_kind } = self.route;
        let (status, fault, duration) = (self.status, self.fault, self.begun.elapsed());
        let record = CallRecord { route: name, host_kind, host: &self.host, status, fault, duration };
        tracing::debug!(
            route = record.route,
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
    fn what_the_libraries_say_is_put_into_plain_words() {
        let rows = [
            (
                "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual/x.html#unexpected-eof",
                "it was closed from the other side",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1795347934 (UNIX), but certificate is not valid after 1 (2 seconds ago)",
                "its certificate has expired",
            ),
            ("tunnel error: unsuccessful", "the proxy of HTTPS_PROXY does not connect to it"),
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
        ];
        for (cause, expected) in rows {
            assert_eq!(plain(cause), expected);
        }
        assert!(plain("invalid peer certificate: UnknownIssuer").contains("--extra-ca-file"));
    }
}
