//! A service's response, and its body as modified by faults.

use std::{
    io::{self, Read as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, StatusCode,
    body::Frame,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    connection::Connection,
    world::verbatim::{Clock, Scripted, Template},
};

/// An error while sending a body; it ends the connection.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response: complete, or a stream produced by a fault.
pub type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BodyError>>;

/// Time for sent data to leave before the connection ends. The data is written as soon as the body yields.
const FLUSH: Duration = Duration::from_millis(20);

/// A response.
#[derive(Clone, Debug)]
pub struct ServiceResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those that HTTP itself defines.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The operation that it concerns, for the ledger.
    pub operation: Option<Uuid>,
}

impl ServiceResponse {
    /// A response without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), operation: None }
    }

    /// A response with a JSON body.
    #[must_use]
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Serializing our own types cannot fail; an empty body would be noticed immediately.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::empty(status).with_body(body, "application/json; charset=utf-8")
    }

    /// A response with this text as its body and the content type of JSON.
    #[must_use]
    pub fn json_text(status: StatusCode, text: String) -> Self {
        Self::empty(status).with_body(text.into_bytes(), "application/json; charset=utf-8")
    }

    /// A response written by a test.
    #[must_use]
    pub fn scripted(scripted: &Scripted, clock: &Clock) -> Self {
        let status = StatusCode::from_u16(scripted.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let response = Self::empty(status).with_template(scripted.body.as_ref(), clock);
        scripted.headers.iter().fold(response, |response, (name, value)| response.with_named(name, Some(value)))
    }

    /// Sets the body given by a test, if any: a string unchanged, any other value as JSON.
    #[must_use]
    pub fn with_template(mut self, body: Option<&Template>, clock: &Clock) -> Self {
        match body.and_then(|body| body.filled(clock)) {
            None => {}
            Some(Value::String(text)) => self.body = text.into(),
            Some(other) => return self.with_body(other.to_string().into_bytes(), "application/json; charset=utf-8"),
        }
        self
    }

    /// A plain-text response.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::empty(status).with_body(text.into().into_bytes(), "text/plain; charset=utf-8")
    }

    /// The HTML page of a gateway whose backend does not respond.
    #[must_use]
    pub fn html(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{} {reason}</h1></center>\r\n</body>\r\n</html>\r\n",
            status.as_u16()
        );
        Self::empty(status).with_body(page.into_bytes(), "text/html")
    }

    fn with_body(mut self, body: Vec<u8>, content_type: &'static str) -> Self {
        self.body = body.into();
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self
    }

    /// Adds a header; an invalid value is omitted.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a header unless it is already set.
    #[must_use]
    pub fn with_usual(self, name: HeaderName, value: &str) -> Self {
        if self.headers.contains_key(&name) { self } else { self.with(name, value) }
    }

    /// Sets or removes a header. An invalid name is ignored.
    #[must_use]
    pub fn with_named(mut self, name: &str, value: Option<&str>) -> Self {
        match (HeaderName::try_from(name), value) {
            (Ok(name), Some(value)) => self.with(name, value),
            (Ok(name), None) => {
                self.headers.remove(name);
                self
            }
            (Err(_), _) => self,
        }
    }

    /// Sets the operation that the response concerns.
    #[must_use]
    pub fn about(mut self, operation: Uuid) -> Self {
        self.operation = Some(operation);
        self
    }
}

/// The unmodified body.
#[must_use]
pub fn whole(body: Bytes) -> Body {
    Either::Left(Full::new(body))
}

/// The first `bytes` bytes of the body; then the connection is reset or closed.
#[must_use]
pub fn cut(body: &Bytes, length: usize, connection: Arc<Connection>, reset: bool) -> Body {
    let start = body.slice(..length.min(body.len()));
    let end = stream::once(async move {
        tokio::time::sleep(FLUSH).await;
        connection.kill(reset);
        std::future::pending().await
    });
    boxed(stream::iter([Ok(start)]).chain(end))
}

/// The body at this rate, in bytes per second.
#[must_use]
pub fn slow(body: Bytes, bytes_per_second: u64) -> Body {
    // Sends ten chunks per second, or single bytes at slow rates.
    let rate = bytes_per_second.max(1);
    let piece = usize::try_from((rate / 10).max(1)).unwrap_or(usize::MAX);
    let pause = if rate >= 10 { Duration::from_millis(100) } else { Duration::from_millis(1_000 / rate) };
    boxed(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok(next), rest))
    }))
}

/// A JSON array of operations with this many bytes (0: unlimited), cut off before its closing bracket.
#[must_use]
pub fn huge(bytes: u64) -> Body {
    let row = r#"{"refreshId":"00000000-0000-4000-8000-000000000000","startTime":"2017-12-07T02:06:57.1838734Z","status":"succeeded"},"#;
    let block = Bytes::from(row.repeat(512));
    let limit = if bytes == 0 { u64::MAX } else { bytes };
    boxed(stream::iter([Ok(Bytes::from_static(b"["))]).chain(stream::unfold(limit.saturating_sub(1), move |left| {
        let block = block.clone();
        async move {
            let next = block.slice(..usize::try_from(left).unwrap_or(usize::MAX).min(block.len()));
            let left = left - u64::try_from(next.len()).unwrap_or(left);
            (!next.is_empty()).then_some((Ok(next), left))
        }
    })))
}

/// A repeated piece between a head and a tail.
#[must_use]
pub fn repeated(head: &str, piece: &str, count: u64, tail: &str) -> Body {
    // Sends many pieces per chunk: chunks of single bytes would be too slow.
    let at_once = (65_536 / piece.len().max(1)).max(1);
    let block = Bytes::from(piece.repeat(at_once));
    let length = piece.len();
    let pieces = stream::unfold(count, move |left| {
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(at_once);
        let next = block.slice(..some * length);
        let rest = left.saturating_sub(u64::try_from(some).unwrap_or(u64::MAX));
        async move { (some > 0).then_some((Ok(next), rest)) }
    });
    let ends = [head, tail].map(|text| stream::iter([Ok(Bytes::from(text.to_owned()))]));
    let [head, tail] = ends;
    boxed(head.chain(pieces).chain(tail))
}

/// The total length.
#[must_use]
pub fn repeated_length(head: &str, piece: &str, count: u64, tail: &str) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(piece.len()).saturating_add(head.len() + tail.len())
}

/// The body, compressed, preceded by this many spaces.
#[must_use]
pub fn gzip(body: &Bytes, blanks: u64) -> Bytes {
    let mut plain = io::repeat(b' ').take(blanks).chain(&body[..]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail; an empty body would be noticed immediately.
    let packed = io::copy(&mut plain, &mut packed).and_then(|_| packed.finish());
    packed.unwrap_or_default().into()
}

fn boxed(pieces: impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Body {
    Either::Right(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}
