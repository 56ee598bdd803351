//! An answer as it came: status, headers and body, and the few facts that are read from them.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use super::{text, timestamp};

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Larger than is read.
    TooLarge,
    /// It had not ended by the deadline.
    Slow,
    /// The connection ended before it did.
    Broken,
    /// Compressed, though it was asked not to be.
    Compressed,
}

/// An answer: all that a decision on it may look at.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) fault: Option<BodyFault>,
    /// Whether a 401 says no more than that a token, which was good before, has come to its end, and the next call has a fresh one.
    pub(super) token_ended: bool,
}

/// An error as the service words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Its code, as the service wrote it.
    pub(super) code: String,
    /// Its message, tidied.
    pub(super) message: String,
    /// The activity id, where the body names it.
    pub(super) activity_id: Option<String>,
}

impl Answer {
    pub(super) fn new(status: u16, headers: HeaderMap, body: Vec<u8>, fault: Option<BodyFault>) -> Self {
        Self { status, headers, body: text::mended(body), fault, token_ended: false }
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// Whether this is a page for people: a gateway's, a proxy's or a portal's, not the service's own answer.
    ///
    /// The body tells; its announced type counts only where it is neither markup nor JSON.
    pub(super) fn is_page(&self) -> bool {
        match self.text().first() {
            Some(b'<') => true,
            Some(b'{' | b'[') => false,
            None if self.fault.is_none() => false,
            _ => {
                let kind = self.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
                kind.contains("html") || kind.contains("xml")
            }
        }
    }

    /// Whether a 401 is about the token, as RFC 6750 says it.
    pub(super) fn wants_bearer(&self) -> bool {
        self.header(WWW_AUTHENTICATE.as_str()).is_some_and(|wanted| wanted.to_ascii_lowercase().starts_with("bearer"))
    }

    /// How long the answer asks to stay away.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let now = self.header(DATE.as_str()).and_then(timestamp::http_date).unwrap_or_else(Timestamp::now);
        self.header(RETRY_AFTER.as_str()).and_then(|wait| timestamp::retry_after(wait, now))
    }

    /// The service's activity id, for a support case.
    pub(super) fn activity_id(&self) -> Option<String> {
        let named = ["x-ms-root-activity-id", "requestid", "x-ms-request-id"];
        named.iter().find_map(|name| self.header(name)).and_then(id_text)
    }

    /// What `x-ms-xmlaerror-extended` says: the useful sentence where the body has none (seen in captures).
    pub(super) fn extended_error(&self) -> Option<String> {
        self.header("x-ms-xmlaerror-extended").map(|sentence| text::tidy(sentence, 600)).filter(|s| !s.is_empty())
    }

    /// The body without a byte order mark and leading blanks.
    pub(super) fn text(&self) -> &[u8] {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        body.trim_ascii_start()
    }

    /// The error in the body, in either style: `{code, message, details}`, or those under `error`.
    pub(super) fn complaint(&self) -> Complaint {
        let Ok(Value::Object(body)) = serde_json::from_slice(self.text()) else {
            return self.bare_complaint();
        };
        let body = Value::Object(body);
        let body = match field(&body, "error") {
            Some(inner @ Value::Object(_)) => inner,
            _ => &body,
        };
        let text_of = |name: &str| field(body, name).and_then(Value::as_str).unwrap_or_default();
        let detail = |detail: &Value| {
            let named = field(detail, "code").and_then(Value::as_str).unwrap_or_default();
            let value = field(detail, "message").and_then(Value::as_str).unwrap_or_default();
            named.eq_ignore_ascii_case("rootactivityid").then(|| id_text(value)).flatten()
        };
        let details = field(body, "details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // Power BI says which parameter is wrong in a detail without a code, and no more than "Bad Request" above it.
        let reasons = details.iter().filter(|detail| field(detail, "code").is_none());
        let reasons = reasons.filter_map(|detail| field(detail, "message")?.as_str()).take(3);
        let message = std::iter::once(text_of("message")).chain(reasons).collect::<Vec<_>>().join(": ");
        Complaint {
            code: text::tidy(text_of("code"), 128),
            message: text::tidy(message.trim_start_matches([':', ' ']), 600),
            activity_id: details.iter().find_map(detail),
        }
    }

    /// The error in the body of an answer that is one; a large description of an operation is not read for it.
    pub(super) fn complaint_unless_done(&self) -> Complaint {
        if (200..300).contains(&self.status) { Complaint::default() } else { self.complaint() }
    }

    /// A body that is neither JSON nor a page is a sentence, or nothing.
    fn bare_complaint(&self) -> Complaint {
        let plain = if self.is_page() { String::new() } else { String::from_utf8_lossy(self.text()).into_owned() };
        Complaint { message: text::tidy(&plain, 300), ..Complaint::default() }
    }
}

/// The service's clock when it answered; its own header first, as a gateway may write `Date`.
pub(super) fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = named("x-ms-current-utc-date").and_then(timestamp::service_clock);
    own.or_else(|| named(DATE.as_str()).and_then(timestamp::http_date))
}

/// A field of an object, its name in any case.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// An id of a call, if it looks like one.
fn id_text(text: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=64).contains(&text.len()) && text.chars().all(safe)).then(|| text.to_owned())
}
