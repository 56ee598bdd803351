//! An HTTP response as text, which both a developer and the fuzzer can read and edit:
//!
//! ```text
//! 202 broken
//! Location: https://westus.asazure.windows.net/…
//!
//! {"operationId": "…"}
//! ```
//!
//! The value after the status is the failure while the body was read, if any: `broken`, `slow`, `large` or `compressed`.

use tabular_operator::azure::fuzzing::{BodyFault, ServiceResponse};

/// Maximum number of headers that are read. HTTP clients have a limit too.
const MAX_HEADERS: usize = 40;

/// A response and the input that it was parsed from.
#[derive(Debug)]
pub struct ResponseInput<'a> {
    /// The response in the form that the operator parses.
    pub response: ServiceResponse,
    /// The HTTP status code.
    pub status: u16,
    /// The body, complete even if [`Self::has_body_fault`].
    pub body: &'a [u8],
    /// Whether reading the body failed.
    pub has_body_fault: bool,
}

impl<'a> ResponseInput<'a> {
    /// Parses an input. Returns `None` if the status is not in the range 100 to 999.
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = line(input);
        let mut words = std::str::from_utf8(head).ok()?.split(' ');
        let status = words.next()?.parse().ok().filter(|status| (100..1000).contains(status))?;
        let fault = match words.next() {
            Some("broken") => Some(BodyFault::Broken),
            Some("slow") => Some(BodyFault::Slow),
            Some("large") => Some(BodyFault::TooLarge),
            Some("compressed") => Some(BodyFault::Compressed),
            Some(_) | None => None,
        };
        let mut headers = Vec::new();
        loop {
            let (head, more) = line(rest);
            rest = more;
            if head.is_empty() {
                break;
            }
            let colon = head.iter().position(|byte| *byte == b':');
            let header = colon.and_then(|colon| Some((std::str::from_utf8(&head[..colon]).ok()?, head[colon + 1..].trim_ascii())));
            headers.extend(header.filter(|_| headers.len() < MAX_HEADERS));
        }
        Some(Self { response: ServiceResponse::new(status, &headers, rest, fault), status, body: rest, has_body_fault: fault.is_some() })
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The first line of a text without its line break, and the rest.
#[must_use]
pub fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]), &text[end + 1..]),
        None => (text, &[]),
    }
}
