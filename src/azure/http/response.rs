//! A response: status, headers and body, and the facts that the client reads from them.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};

use super::error_body::ErrorBody;
use super::{text, timestamp};

/// Problem with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It exceeds the size limit.
    TooLarge,
    /// It was incomplete at the deadline.
    Slow,
    /// The connection ended before the body did.
    Broken,
    /// It is compressed, although the request excluded that.
    Compressed,
}

/// Headers that contain the code of an error. Power BI sends some errors without a body (seen in clients).
const CODES: [&str; 3] = ["x-powerbi-error-info", "x-ms-public-api-error-code", "x-ms-error-code"];

/// A response: the only input for a decision about it.
#[derive(Clone, Debug)]
pub(in crate::azure) struct Response {
    pub(in crate::azure) status: u16,
    pub(in crate::azure) headers: HeaderMap,
    pub(in crate::azure) body: Vec<u8>,
    pub(in crate::azure) fault: Option<BodyFault>,
    /// Whether a 401 or 403 only means that a previously valid token has expired. The next call then uses a new one.
    pub(in crate::azure) token_expired: bool,
    /// Until when the identity makes no such call, if this response throttles it.
    pub(in crate::azure) throttled_until: Option<Timestamp>,
}

/// An error, as the service described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::azure) struct ErrorSummary {
    /// The error code of the service.
    pub(in crate::azure) code: String,
    /// The message, sanitized.
    pub(in crate::azure) message: String,
    /// The activity id, if the body contains it.
    pub(in crate::azure) activity_id: Option<String>,
}

impl Response {
    pub(in crate::azure) fn new(status: u16, headers: HeaderMap, body: Vec<u8>, fault: Option<BodyFault>) -> Self {
        Self { status, headers, body: text::repair_json(body), fault, token_expired: false, throttled_until: None }
    }

    /// The value of a header as text.
    pub(in crate::azure) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
    }

    pub(in crate::azure) fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// Whether the body is a page for users from a gateway, a proxy or a portal, and not a response of the service.
    ///
    /// The body determines this. The content type counts only if the body is neither markup nor JSON.
    pub(in crate::azure) fn is_page(&self) -> bool {
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

    /// Whether the body is a JSON object, as in every error of the services.
    pub(in crate::azure) fn is_object(&self) -> bool {
        self.fault.is_none() && self.text().first() == Some(&b'{')
    }

    /// Whether an error can be one of the services: its body is empty or a JSON object. A gateway writes any other text.
    pub(in crate::azure) fn may_be_from_service(&self) -> bool {
        self.is_object() || (self.fault.is_none() && self.text().is_empty())
    }

    /// Whether a 401 is about the token, by RFC 6750.
    pub(in crate::azure) fn requires_bearer(&self) -> bool {
        self.header(WWW_AUTHENTICATE.as_str()).is_some_and(|wanted| wanted.to_ascii_lowercase().starts_with("bearer"))
    }

    /// Whether a 401 requires a token with additional claims ("claims challenge" in the documentation of the Microsoft identity platform).
    pub(in crate::azure) fn requires_claims(&self) -> bool {
        let wanted = self.header(WWW_AUTHENTICATE.as_str()).unwrap_or_default().to_ascii_lowercase();
        self.status == 401 && wanted.contains("insufficient_claims")
    }

    /// The backoff that an error requests: from its header, or else from its text. Zero counts as none.
    pub(in crate::azure) fn backoff(&self, summary: &ErrorSummary) -> Option<Duration> {
        let requested = self.retry_after().filter(|wait| !wait.is_zero());
        requested.or_else(|| if self.status == 429 { timestamp::backoff_in(&summary.message, self.now()) } else { None })
    }

    /// The backoff that the response requests.
    pub(in crate::azure) fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str()).and_then(|wait| timestamp::retry_after(wait, self.now()))
    }

    /// The current time, by the clock in the response.
    fn now(&self) -> Timestamp {
        self.header(DATE.as_str()).and_then(timestamp::http_date).unwrap_or_else(Timestamp::now)
    }

    /// The activity id of the service, for a support case.
    pub(in crate::azure) fn activity_id(&self) -> Option<String> {
        let named = ["x-ms-root-activity-id", "requestid", "x-ms-request-id"];
        named.iter().find_map(|name| self.header(name)).and_then(text::call_id)
    }

    /// The text of `x-ms-xmlaerror-extended`, which has the details if the body has none (seen in captures).
    pub(in crate::azure) fn extended_error(&self) -> Option<String> {
        Some(self.extended().call_message(600)).filter(|sentence| !sentence.is_empty())
    }

    /// The error in that header, in any language. Its bytes are UTF-8 or Latin-1.
    fn extended(&self) -> ErrorBody {
        let bytes = self.headers.get("x-ms-xmlaerror-extended").map(HeaderValue::as_bytes).unwrap_or_default();
        let latin = || bytes.iter().copied().map(char::from).collect();
        ErrorBody::of_text(&std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned))
    }

    /// The body without a byte order mark and leading whitespace.
    pub(in crate::azure) fn text(&self) -> &[u8] {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        body.trim_ascii_start()
    }

    /// The error in the body, with missing parts from the headers.
    pub(in crate::azure) fn error_summary(&self) -> ErrorSummary {
        let body = if self.is_page() { ErrorBody::default() } else { ErrorBody::of_text(&String::from_utf8_lossy(self.text())) };
        let header = self.extended();
        let or = |body: String, header: String| if body.is_empty() { header } else { body };
        let named = || CODES.iter().find_map(|name| self.header(name)).map(|code| text::sanitize(code, 128)).unwrap_or_default();
        // A code that only repeats the status has no information.
        let code = |error: &ErrorBody| Some(error.code()).filter(|code| *code != self.status.to_string()).unwrap_or_default();
        ErrorSummary {
            code: or(or(code(&body), code(&header)), named()),
            message: or(body.call_message(600), header.call_message(600)),
            activity_id: body.activity_id(),
        }
    }

    /// The error in the body of an error response. For a success, the (possibly large) body is not parsed.
    pub(in crate::azure) fn error_summary_unless_success(&self) -> ErrorSummary {
        if (200..300).contains(&self.status) { ErrorSummary::default() } else { self.error_summary() }
    }
}

/// The clock of the service at the time of the response. The service's own header comes first, because a gateway may write `Date`.
pub(in crate::azure) fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = named("x-ms-current-utc-date").and_then(timestamp::service_clock);
    own.or_else(|| named(DATE.as_str()).and_then(timestamp::http_date))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    type Line<'a> = (&'a str, &'a [u8]);

    fn summary(header: Line, body: &str) -> (String, String) {
        let (name, value) = (HeaderName::try_from(header.0).unwrap(), HeaderValue::from_bytes(header.1).unwrap());
        let summary = Response::new(400, HeaderMap::from_iter([(name, value)]), body.as_bytes().to_vec(), None).error_summary();
        (summary.code, summary.message)
    }

    #[test]
    fn error_in_header_is_parsed_like_one_in_body() {
        let extended = "x-ms-xmlaerror-extended";
        let rows: [(Line, &str, &str, &str); 9] = [
            ((extended, b"No way. RootActivityId: 1"), "", "", "No way."),
            ((extended, br#"{"error":{"code":"X1","message":"No way."}}"#), "", "X1", "No way."),
            ((extended, "Ungültig.".as_bytes()), "", "", "Ungültig."),
            ((extended, b"Ung\xfcltig."), "", "", "Ungültig."),
            ((extended, b"No way."), r#"{"code":"X1","message":"Body."}"#, "X1", "Body."),
            (("x-powerbi-error-info", b"TokenExpired"), "", "TokenExpired", ""),
            (
                ("x-ms-error-code", b"RejectedDueToResourceConstraints"),
                r#"{"message":"Body."}"#,
                "RejectedDueToResourceConstraints",
                "Body.",
            ),
            (("x-ms-public-api-error-code", b"X2"), r#"{"code":"X1"}"#, "X1", ""),
            ((extended, b""), "<html>X_1</html>", "", ""),
        ];
        for (header, body, code, message) in rows {
            assert_eq!(summary(header, body), (code.to_owned(), message.to_owned()), "{header:?} {body}");
        }
    }
}
