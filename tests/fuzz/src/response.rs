//! An answer of a service as a text, which people and the fuzzer can read and change:
//!
//! ```text
//! 202 broken
//! Location: https://westus.asazure.windows.net/…
//!
//! {"operationId": "…"}
//! ```
//!
//! The word after the status is what went wrong with the body, where something did: `broken`, `slow`, `large` or `compressed`.

use tabular_operator::azure::fuzzing::{BodyFault, ServiceResponse};

/// How many headers are read; HTTP clients have a limit too.
const MAX_HEADERS: usize = 40;

/// An answer and what it was made of.
#[derive(Debug)]
pub struct ResponseInput<'a> {
    /// As the operator has it.
    pub response: ServiceResponse,
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
    /// Whether something went wrong with the body.
    pub has_body_fault: bool,
}

impl<'a> ResponseInput<'a> {
    /// Reads one; `None` where it has no status that HTTP knows.
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

/// The first line of a text, and what comes after it.
#[must_use]
pub fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]), &text[end + 1..]),
        None => (text, &[]),
    }
}
