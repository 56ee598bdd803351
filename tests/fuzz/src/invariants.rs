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
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The largest status, in bytes.
const LARGEST_STATUS: usize = 64 * 1024;

/// When all of this happens.
#[must_use]
pub fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// The token does not stand in a text.
pub fn keeps_token(text: &str) {
    assert!(!text.contains(TOKEN), "the token shows: {text:?}");
}

/// A text of at most so many characters, without the token.
pub fn bounded(text: &str, limit: usize) {
    assert!(text.chars().count() <= limit, "{} characters, not {limit}: {text:?}", text.chars().count());
    keeps_token(text);
}

/// A sentence for people: one line, bounded, without the token.
pub fn sentence(text: &str) {
    bounded(text, 1024);
    assert!(!text.trim().is_empty(), "nothing is said");
    assert!(!text.chars().any(hidden), "a control or invisible character: {text:?}");
}

/// Whether people do not see a character. A joiner may stand between two letters.
#[must_use]
pub fn hidden(c: char) -> bool {
    c.is_control() || is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// An id that can stand in a path as it is.
pub fn id(id: &OperationId) {
    assert_eq!(OperationId::parse(id.as_str()).as_ref(), Some(id));
}

/// An activity id is short, and letters, digits and dashes alone.
pub fn activity(id: Option<&str>) {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(id.is_none_or(|id| (1..=64).contains(&id.len()) && id.chars().all(safe)), "{id:?}");
}

/// A wait is bounded.
pub fn wait(wait: Option<Duration>) {
    assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT), "{wait:?}");
}

/// What is in the way is said in a sentence.
pub fn service_error(error: &ServiceError) {
    sentence(&error.message);
    wait(error.retry_after);
    activity(error.activity_id.as_deref());
}

/// A `Location` to look at leads to the host that was called, over TLS.
pub fn stays(location: &str, called: &Url) {
    let url = Url::parse(location).unwrap();
    assert_eq!((url.scheme(), url.host_str(), url.port()), (called.scheme(), called.host_str(), called.port()), "{location}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location}");
    bounded(location, 2048);
}

/// What was read of an operation is bounded, without the token.
pub fn operation(operation: &Operation) {
    let Operation {
        id: of,
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
    id(of);
    bounded(service_status, 64);
    bounded(refresh_type.as_deref().unwrap_or_default(), 64);
    assert!(objects.len() <= 50_000 && messages.len() <= 50);
    for object in objects {
        bounded(&object.name.table, 512);
        bounded(object.name.partition.as_deref().unwrap_or_default(), 512);
        bounded(&object.service_status, 64);
    }
    self::messages(messages);
    activity(activity_id.as_deref());
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
pub fn look(look: &PollResult, asked: &OperationId, called: &Url) {
    match look {
        PollResult::Found { operation: found, retry_after, location } => {
            assert_eq!(found.id, *asked);
            operation(found);
            wait(*retry_after);
            if let Some(location) = location {
                stays(location, called);
            }
        }
        PollResult::NotFound => {}
        PollResult::Failed(met) => service_error(met),
    }
}

/// What became of a submission is said so that a person can act on it.
pub fn submission(submission: &Submission, called: &Url) {
    match submission {
        Submission::Accepted { id: named, location, activity_id, retry_after } => {
            id(named);
            wait(*retry_after);
            activity(activity_id.as_deref());
            if let Some(location) = location {
                stays(location, called);
            }
        }
        Submission::NotStarted(refusal) => service_error(refusal),
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
    assert!(size <= LARGEST_STATUS, "a status of {size} bytes");
    plain(&written);
    readable(status);
}

/// How many bytes a value takes as the API server writes it, which escapes more than it must.
fn size(value: &Value) -> usize {
    value.to_string().chars().map(|c| if "<>&\u{2028}\u{2029}".contains(c) { 6 } else { c.len_utf8() }).sum()
}

/// A status is read as it was written.
pub fn readable(status: &Status) {
    let written = serde_json::to_value(status).unwrap();
    let read: Status = serde_json::from_value(written).unwrap();
    assert_eq!(read, *status);
}

/// No text in a JSON value has a control character or the token in it.
fn plain(value: &Value) {
    match value {
        Value::String(text) => {
            assert!(!text.chars().any(char::is_control), "a control character: {text:?}");
            keeps_token(text);
        }
        Value::Array(values) => values.iter().for_each(plain),
        Value::Object(fields) => fields.values().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
