//! What holds of everything that the operator makes of what it is told.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tabular_operator::api::Status;
use tabular_operator::azure::fuzzing;
use tabular_operator::operation::{Operation, OperationId, PollResult, ServiceError, ServiceMessage, Submission};
use tabular_operator::text::is_invisible;
use url::Url;

/// A client secret that was sent to Entra ID alone, which may say it back.
pub const SECRET: &str = "Pl4nted~Secret.0";

/// A token that was sent with every call: whoever answers may say it back.
pub const TOKEN: &str = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJwbGFudGVkIn0.cGxhbnRlZA";

/// The longest `Retry-After` that is heeded.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// The largest status, in bytes.
const MAX_STATUS_SIZE: usize = 64 * 1024;

/// When all of this happens.
#[must_use]
pub fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// The token does not stand in a text.
pub fn contains_no_token(text: &str) {
    assert!(!text.contains(TOKEN), "the token shows: {text:?}");
}

/// A text of at most so many characters, without the token.
pub fn bounded(text: &str, limit: usize) {
    assert!(text.chars().count() <= limit, "{} characters, not {limit}: {text:?}", text.chars().count());
    contains_no_token(text);
}

/// A sentence for people: one line, bounded, without the token.
pub fn sentence(text: &str) {
    bounded(text, 1024);
    assert!(!text.trim().is_empty(), "nothing is said");
    assert!(!text.chars().any(is_hidden), "a control or invisible character: {text:?}");
}

/// Whether people do not see a character. A joiner may stand between two letters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// An id that can stand in a path as it is.
pub fn id(id: &OperationId) {
    assert_eq!(OperationId::parse(id.as_str()).as_ref(), Some(id));
}

/// An activity id is short, and letters, digits and dashes alone.
pub fn activity_id(id: Option<&str>) {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(id.is_none_or(|id| (1..=64).contains(&id.len()) && id.chars().all(safe)), "{id:?}");
}

/// A wait is bounded.
pub fn retry_after(wait: Option<Duration>) {
    assert!(wait.is_none_or(|wait| wait <= MAX_WAIT), "{wait:?}");
}

/// What is in the way is said in a sentence.
pub fn service_error(error: &ServiceError) {
    sentence(&error.message);
    retry_after(error.retry_after);
    activity_id(error.activity_id.as_deref());
}

/// A `Location` to look at leads to the host that was called, over TLS.
pub fn same_origin(location: &str, called: &Url) {
    let url = Url::parse(location).unwrap();
    assert_eq!((url.scheme(), url.host_str(), url.port()), (called.scheme(), called.host_str(), called.port()), "{location}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location}");
    bounded(location, 2048);
}

/// What was read of an operation is bounded, without the token.
pub fn operation(operation: &Operation) {
    let Operation {
        id: operation_id,
        phase: _,
        service_status,
        start: _,
        end: _,
        refresh_type,
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
    assert!(objects.len() <= 50_000 && messages.len() <= 50);
    for object in objects {
        bounded(&object.name.table, 512);
        bounded(object.name.partition.as_deref().unwrap_or_default(), 512);
        bounded(&object.service_status, 64);
    }
    self::messages(messages);
    self::activity_id(activity_id.as_deref());
    assert!(failure.is_none() || operation.phase.ended(), "a cause of no failure");
}

/// The messages of an operation are plain lines, each once, and known consequences come last.
pub fn messages(messages: &[ServiceMessage]) {
    for (n, message) in messages.iter().enumerate() {
        bounded(&message.severity, 64);
        bounded(message.code.as_deref().unwrap_or_default(), 64);
        sentence(&message.text);
        assert!(message.times > 0);
        assert!(
            !messages[..n].iter().any(|other| ServiceMessage { times: message.times, ..other.clone() } == *message),
            "{message:?} twice"
        );
    }
    assert!(messages.is_sorted_by_key(fuzzing::is_consequence), "a consequence before a cause: {messages:?}");
}

/// What a look showed is what was asked for, and bounded.
pub fn poll_result(result: &PollResult, requested: &OperationId, called: &Url) {
    match result {
        PollResult::Found { operation: found, retry_after, location } => {
            assert_eq!(found.id, *requested);
            operation(found);
            self::retry_after(*retry_after);
            if let Some(location) = location {
                same_origin(location, called);
            }
        }
        PollResult::NotFound => {}
        PollResult::Failed(error) => service_error(error),
    }
}

/// What became of a submission is said so that a person can act on it.
pub fn submission(submission: &Submission, called: &Url) {
    match submission {
        Submission::Accepted { id: operation_id, location, activity_id, retry_after } => {
            id(operation_id);
            self::retry_after(*retry_after);
            self::activity_id(activity_id.as_deref());
            if let Some(location) = location {
                same_origin(location, called);
            }
        }
        Submission::NotStarted(error) => service_error(error),
        Submission::NothingToDo { message }
        | Submission::Busy { message }
        | Submission::Deferred { message }
        | Submission::Unknown { message } => sentence(message),
    }
}

/// A status that the operator made is small and plain, without the token.
pub fn status(status: &Status) {
    let written = serde_json::to_value(status).unwrap();
    let size = size(&written);
    assert!(size <= MAX_STATUS_SIZE, "a status of {size} bytes");
    contains_plain_text(&written);
    round_trips(status);
}

/// How many bytes a value takes as the API server writes it, which escapes more than it must.
fn size(value: &Value) -> usize {
    value.to_string().chars().map(|c| if "<>&\u{2028}\u{2029}".contains(c) { 6 } else { c.len_utf8() }).sum()
}

/// A status is read as it was written.
pub fn round_trips(status: &Status) {
    let written = serde_json::to_value(status).unwrap();
    let read: Status = serde_json::from_value(written).unwrap();
    assert_eq!(read, *status);
}

/// No text in a JSON value has a control character or the token in it.
fn contains_plain_text(value: &Value) {
    match value {
        Value::String(text) => {
            assert!(!text.chars().any(char::is_control), "a control character: {text:?}");
            contains_no_token(text);
        }
        Value::Array(values) => values.iter().for_each(contains_plain_text),
        Value::Object(fields) => fields.values().for_each(contains_plain_text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
