//! Invariants of every value that the operator derives from external input. A function panics if its invariant is violated.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tabular_operator::api::Status;
use tabular_operator::azure::fuzzing;
use tabular_operator::operation::{Operation, OperationId, PollResult, ServiceError, ServiceMessage, SubmitResult};
use tabular_operator::text::is_invisible;
use url::Url;

/// A client secret that was sent only to Entra ID, whose response may repeat it.
pub const SECRET: &str = "Pl4nted~Secret.0";

/// A token that was sent with every call. Any response may repeat it.
pub const TOKEN: &str = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJwbGFudGVkIn0.cGxhbnRlZA";

/// Maximum `Retry-After` that the operator honors.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// Maximum size of a status in bytes.
const MAX_STATUS_SIZE: usize = 64 * 1024;

/// The current time of the targets.
#[must_use]
pub fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// A text does not contain the token.
pub fn contains_no_token(text: &str) {
    assert!(!text.contains(TOKEN), "the text contains the token: {text:?}");
}

/// A text has at most `limit` characters and does not contain the token.
pub fn bounded(text: &str, limit: usize) {
    assert!(text.chars().count() <= limit, "{} characters exceed the limit of {limit}: {text:?}", text.chars().count());
    contains_no_token(text);
}

/// A message for a user is one line of visible characters, bounded, not blank, and does not contain the token.
pub fn sentence(text: &str) {
    bounded(text, 1024);
    assert!(!text.trim().is_empty(), "blank message");
    assert!(!text.chars().any(is_hidden), "control or invisible character in {text:?}");
}

/// Whether a character is invisible. The two joiners are excluded, because some scripts need them between letters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// An id parses to itself, so it is safe in a path without escaping.
pub fn id(id: &OperationId) {
    assert_eq!(OperationId::parse(id.as_str()).as_ref(), Some(id));
}

/// An activity id has 1 to 64 letters, digits, dashes and underscores.
pub fn activity_id(id: Option<&str>) {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(id.is_none_or(|id| (1..=64).contains(&id.len()) && id.chars().all(safe)), "{id:?}");
}

/// A `Retry-After` is at most [`MAX_WAIT`].
pub fn retry_after(wait: Option<Duration>) {
    assert!(wait.is_none_or(|wait| wait <= MAX_WAIT), "{wait:?}");
}

/// An error has a valid message, `Retry-After` and activity id.
pub fn service_error(error: &ServiceError) {
    sentence(&error.message);
    retry_after(error.retry_after);
    activity_id(error.activity_id.as_deref());
}

/// A `Location` has the scheme, host and port of the call, and no credentials.
pub fn same_origin(location: &str, call_url: &Url) {
    let url = Url::parse(location).unwrap();
    assert_eq!((url.scheme(), url.host_str(), url.port()), (call_url.scheme(), call_url.host_str(), call_url.port()), "{location}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location}");
    bounded(location, 2048);
}

/// The fields of an operation are bounded and do not contain the token.
pub fn operation(operation: &Operation) {
    let Operation {
        id: operation_id,
        phase: _,
        service_status,
        start: _,
        end: _,
        refresh_type,
        commit_mode,
        objects,
        messages,
        activity_id,
        failure,
        origin: _,
        incomplete: _,
    } = operation;
    id(operation_id);
    bounded(service_status, 64);
    bounded(refresh_type.as_deref().unwrap_or_default(), 64);
    bounded(commit_mode.as_deref().unwrap_or_default(), 64);
    assert!(objects.len() <= 50_000 && messages.len() <= 50);
    for object in objects {
        bounded(&object.name.table, 512);
        bounded(object.name.partition.as_deref().unwrap_or_default(), 512);
        bounded(&object.service_status, 64);
    }
    self::messages(messages);
    self::activity_id(activity_id.as_deref());
    assert!(failure.is_none() || operation.phase.ended(), "failure cause of an operation that has not ended");
}

/// The messages of an operation are single lines without duplicates, and known consequences come last.
pub fn messages(messages: &[ServiceMessage]) {
    for (n, message) in messages.iter().enumerate() {
        bounded(&message.severity, 64);
        bounded(message.code.as_deref().unwrap_or_default(), 64);
        sentence(&message.text);
        assert!(message.times > 0);
        assert!(
            !messages[..n].iter().any(|other| ServiceMessage { times: message.times, ..other.clone() } == *message),
            "duplicate message {message:?}"
        );
    }
    assert!(messages.is_sorted_by_key(fuzzing::is_consequence), "consequence before its cause: {messages:?}");
}

/// A poll returns the requested operation, with bounded fields.
pub fn poll_result(result: &PollResult, requested: &OperationId, call_url: &Url) {
    match result {
        PollResult::Found { operation: found, retry_after, location } => {
            assert_eq!(found.id, *requested);
            operation(found);
            self::retry_after(*retry_after);
            if let Some(location) = location {
                same_origin(location, call_url);
            }
        }
        PollResult::NotFound => {}
        PollResult::Failed(error) => service_error(error),
    }
}

/// The result of a submission has a valid id, `Location` and message.
pub fn submission(submission: &SubmitResult, call_url: &Url) {
    match submission {
        SubmitResult::Accepted { id: operation_id, location, activity_id, retry_after } => {
            id(operation_id);
            self::retry_after(*retry_after);
            self::activity_id(activity_id.as_deref());
            if let Some(location) = location {
                same_origin(location, call_url);
            }
        }
        SubmitResult::NotStarted(error) => service_error(error),
        SubmitResult::NothingToDo { message }
        | SubmitResult::Busy { message }
        | SubmitResult::Deferred { message }
        | SubmitResult::Unknown { message } => sentence(message),
    }
}

/// A status of the operator is at most [`MAX_STATUS_SIZE`], contains no control characters and no token, and is readable.
pub fn status(status: &Status) {
    let written = serde_json::to_value(status).unwrap();
    let size = size(&written);
    assert!(size <= MAX_STATUS_SIZE, "the status has {size} bytes");
    contains_plain_text(&written);
    round_trips(status);
}

/// The size of a value in bytes as the API server encodes it, which also escapes `<`, `>`, `&` and two line separators.
fn size(value: &Value) -> usize {
    value.to_string().chars().map(|c| if "<>&\u{2028}\u{2029}".contains(c) { 6 } else { c.len_utf8() }).sum()
}

/// A status is equal after serialization and deserialization.
pub fn round_trips(status: &Status) {
    let written = serde_json::to_value(status).unwrap();
    let read: Status = serde_json::from_value(written).unwrap();
    assert_eq!(read, *status);
}

/// No text in a JSON value contains a control character or the token.
fn contains_plain_text(value: &Value) {
    match value {
        Value::String(text) => {
            assert!(!text.chars().any(char::is_control), "control character in {text:?}");
            contains_no_token(text);
        }
        Value::Array(values) => values.iter().for_each(contains_plain_text),
        Value::Object(fields) => fields.values().for_each(contains_plain_text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
