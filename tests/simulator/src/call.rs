//! One call as a service receives it.

use bytes::Bytes;
use hyper::{HeaderMap, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

/// A request with its complete body and the time at which it is handled.
#[derive(Clone, Debug)]
pub struct Call {
    /// The real host name that the request addresses.
    pub host: std::sync::Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its path, still percent-encoded.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The time at which it is handled.
    pub now: Timestamp,
}

impl Call {
    /// The bearer token of the request.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// The last segment of its path, decoded: the operation's id on routes that have one.
    #[must_use]
    pub fn last_segment(&self) -> String {
        let path = self.path.trim_end_matches('/');
        let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
        percent_decode_str(last).decode_utf8_lossy().into_owned()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
