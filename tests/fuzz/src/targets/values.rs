//! Single values in responses and specs: locations, times, messages, schedules.

use jiff::Timestamp;
use jiff::tz::Offset;
use tabular_operator::azure::fuzzing;
use tabular_operator::engine::Schedule;
use url::Url;

use crate::invariants;
use crate::response::line;

/// A `Location`. The operator sends a token only to the host that was called.
pub fn location(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for call_url in ["https://westus.asazure.windows.net/servers/s/models/m/refreshes", "https://api.example.com:8443/v1.0/myorg/groups"] {
        let call_url = Url::parse(call_url).unwrap();
        let Some(url) = fuzzing::location(text, &call_url) else { continue };
        assert_eq!(url.origin(), call_url.origin(), "{text:?}");
        assert!(url.username().is_empty() && url.password().is_none(), "{text:?}");
        // Parsing the result again returns the same URL.
        assert_eq!(fuzzing::location(url.as_str(), &call_url).as_ref(), Some(&url), "{text:?}");
    }
}

/// A time or a `Retry-After`. A parsed time is equal after it is written and parsed again, and a `Retry-After` is bounded.
pub fn timestamp(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for read in [fuzzing::parse_timestamp(text), fuzzing::clock(text)].into_iter().flatten() {
        let written = read.to_string();
        assert_eq!(written.parse::<Timestamp>().ok(), Some(read));
        // The operator rejects years before the services existed and years in the far future.
        let possible = (2010..9000).contains(&Offset::UTC.to_datetime(read).year());
        assert_eq!(fuzzing::parse_timestamp(&written), Some(read).filter(|_| possible), "{text:?}: {written}");
    }
    for now in [Timestamp::MIN, invariants::now(), Timestamp::MAX] {
        invariants::retry_after(fuzzing::wait(text, now));
    }
}

/// A message is one line of visible characters, bounded and without a token.
pub fn sentence(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for limit in [1, 20, 300] {
        let tidy = fuzzing::sanitize(text, limit);
        invariants::bounded(&tidy, limit);
        assert!(!tidy.chars().any(invariants::is_hidden), "{tidy:?}");
    }
}

/// An error in any format. The result is bounded, plain and without a token, and equal if the error is quoted as a JSON string. A text is
/// never lost.
pub fn error(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = fuzzing::errors(text);
    let (messages, sentence) = &read;
    assert!(messages.len() <= 50);
    invariants::messages(messages);
    invariants::bounded(sentence, 600);
    assert!(!sentence.chars().any(invariants::is_hidden), "{sentence:?}");
    // Excludes inputs that are nested deeper than the operator parses.
    let deep = text.matches(['{', '[']).count() > 12 || text.contains("\\\\\\\\\\\\\\\\") || text.len() > 10_000;
    if !deep {
        assert_eq!(fuzzing::errors(&serde_json::to_string(text).unwrap()), read, "{text:?}");
    }
    if !text.contains(['{', '[', '"', '<']) && text.trim() != "null" && text.contains(char::is_alphabetic) {
        assert!(!messages.is_empty(), "no message for {text:?}");
    }
}

/// A schedule and, on the second line, its time zone. Its times ascend, and the latest one is one of its times.
pub fn schedule(input: &[u8]) {
    let (expression, zone) = line(input);
    let (Ok(expression), Ok(zone)) = (std::str::from_utf8(expression), std::str::from_utf8(zone)) else { return };
    let schedule = match Schedule::parse(expression, Some(zone).filter(|zone| !zone.is_empty())) {
        Ok(schedule) => schedule,
        Err(message) => {
            assert!(message.starts_with("spec.trigger."), "{message}");
            return;
        }
    };
    for after in [Timestamp::UNIX_EPOCH, invariants::now(), Timestamp::MIN, Timestamp::MAX] {
        let Some(first) = schedule.next(after) else { continue };
        assert!(first > after, "{first} is not after {after}");
        let Some(second) = schedule.next(first) else { continue };
        assert!(second > first, "{second} is not after {first}");
        assert_eq!(schedule.latest(after, first), Some(first));
        assert_eq!(schedule.latest(after, second), Some(second));
    }
    if let Some(latest) = schedule.latest(Timestamp::UNIX_EPOCH, invariants::now()) {
        assert!(latest <= invariants::now() && schedule.next(latest).is_none_or(|next| next > invariants::now()));
    }
}
