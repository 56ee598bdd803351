//! What a service answers, and the body of an answer as faults make it.

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

/// A failure of a body, which ends the connection.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: whole, or a stream that a fault has made.
pub type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BodyError>>;

/// How long what was sent has to leave before the connection is ended: it is written as soon as the body pauses.
const FLUSH: Duration = Duration::from_millis(20);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those that are HTTP's own.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The operation that it is about, for the ledger.
    pub operation: Option<Uuid>,
}

impl Answer {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), operation: None }
    }

    /// An answer with a body of JSON.
    #[must_use]
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Our own types always serialise; an empty body would show at once if one did not.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::empty(status).with_body(body, "application/json; charset=utf-8")
    }

    /// An answer whose body is this text, with the content type of JSON.
    #[must_use]
    pub fn json_text(status: StatusCode, text: String) -> Self {
        Self::empty(status).with_body(text.into_bytes(), "application/json; charset=utf-8")
    }

    /// A response that a test has written.
    #[must_use]
    pub fn scripted(response: &Scripted, clock: &Clock) -> Self {
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = Self::empty(status).with_template(response.body.as_ref(), clock);
        response.headers.iter().fold(answer, |answer, (name, value)| answer.with_named(name, Some(value)))
    }

    /// With the body of a test, if there is one: a text as it is, anything else as JSON.
    #[must_use]
    pub fn with_template(mut self, body: Option<&Template>, clock: &Clock) -> Self {
        match body.and_then(|body| body.filled(clock)) {
            None => {}
            Some(Value::String(text)) => self.body = text.into(),
            Some(other) => return self.with_body(other.to_string().into_bytes(), "application/json; charset=utf-8"),
        }
        self
    }

    /// An answer with a text.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::empty(status).with_body(text.into().into_bytes(), "text/plain; charset=utf-8")
    }

    /// The page that a gateway gives when what is behind it does not answer.
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

    /// With one more header; a value that no header can hold is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With a header, unless it has been set.
    #[must_use]
    pub fn with_usual(self, name: HeaderName, value: &str) -> Self {
        if self.headers.contains_key(&name) { self } else { self.with(name, value) }
    }

    /// With a header set, or removed. What no header can be called is left out.
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

    /// About this operation.
    #[must_use]
    pub fn about(mut self, operation: Uuid) -> Self {
        self.operation = Some(operation);
        self
    }
}

/// The body as it is.
#[must_use]
pub fn whole(body: Bytes) -> Body {
    Either::Left(Full::new(body))
}

/// The first bytes of the body; then the connection ends, by a reset or by closing it.
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

/// The body at so many bytes in a second.
#[must_use]
pub fn slow(body: Bytes, bytes_per_second: u64) -> Body {
    // Ten times a second, or one byte as often as the rate says.
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

/// An array of operations that goes on for so many bytes (0: without end) and is then cut off without a closing bracket.
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

/// A piece that comes again and again, between a head and a tail.
#[must_use]
pub fn repeated(head: &str, piece: &str, count: u64, tail: &str) -> Body {
    // Many at a time: a body of single bytes would take ages.
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

/// How long that is.
#[must_use]
pub fn repeated_length(head: &str, piece: &str, count: u64, tail: &str) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(piece.len()).saturating_add(head.len() + tail.len())
}

/// The body, compressed, with so many blanks before it.
#[must_use]
pub fn gzip(body: &Bytes, blanks: u64) -> Bytes {
    let mut plain = io::repeat(b' ').take(blanks).chain(&body[..]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail; an empty body would show at once if it did.
    let packed = io::copy(&mut plain, &mut packed).and_then(|_| packed.finish());
    packed.unwrap_or_default().into()
}

fn boxed(pieces: impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Body {
    Either::Right(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}
