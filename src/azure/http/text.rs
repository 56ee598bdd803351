//! Sanitizes external texts: short, plain, and without parts that differ between retries.

use std::borrow::Cow;

use crate::operation::REDACTED;
use crate::text::plain as plain_line;

/// Truncates a text to `limit` characters, with an ellipsis.
pub(in crate::azure) fn truncate(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A text as one plain line of at most `limit` characters, without tokens.
pub(in crate::azure) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut left = limit.saturating_add(1);
    for word in plain_line(text).split_whitespace() {
        let word = if contains_token(word) { "[redacted]" } else { word };
        let blank = if line.is_empty() { "" } else { " " };
        for c in blank.chars().chain(word.chars()).take(left) {
            line.push(c);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    truncate(&line, limit)
}

/// Starts of the part of a message that is specific to one call (Entra ID and Analysis Services append it).
const TRAILERS: [&str; 7] =
    ["technical details", "trace id", "correlation id", "rootactivityid", "activity id", "timestamp:", "date (utc)"];

/// Sanitizes an external message into one plain line of at most `limit` characters. Redacts words that look like tokens, and removes the
/// part that is specific to one call.
pub(in crate::azure) fn sanitize(text: &str, limit: usize) -> String {
    let short = truncate(text, 4 * limit);
    let plain = plain_line(&short);
    let words: Vec<&str> = plain.split_whitespace().map(|word| if contains_token(word) { REDACTED } else { word }).collect();
    let line = words.join(" ");
    // Lower case in ASCII keeps all byte positions, so they are valid in the original.
    let lower = line.to_ascii_lowercase();
    let end = TRAILERS.iter().filter_map(|trailer| lower.find(trailer)).min().unwrap_or(line.len());
    truncate(line.get(..end).unwrap_or(&line).trim_end_matches([' ', ',', ';', ':', '(', '[', '-']), limit)
}

/// A text in which words that are or contain tokens are redacted. Everything else is unchanged.
pub(in crate::azure) fn redact_tokens(text: &str) -> Cow<'_, str> {
    if !text.split(' ').any(contains_token) {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split(' ').map(|word| if contains_token(word) { REDACTED } else { word }).collect();
    Cow::Owned(words.join(" "))
}

/// Repairs JSON text in which a single invalid character would make the complete response unreadable. Half a surrogate pair as an escape,
/// which a .NET service writes if it truncates a text between the halves, becomes the replacement character. So do bytes that are not
/// UTF-8. Raw control characters become spaces, and `NaN` and the infinities become `null`. Everything else is unchanged.
pub(in crate::azure) fn repair_json(json: Vec<u8>) -> Vec<u8> {
    let mut json = String::from_utf8(without_control_characters(utf16_to_utf8(json)))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        .into_bytes();
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += found;
        match (escape(&json, at), escape(&json, at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => at += 12,
            (Some(0xD800..0xE000), _) => {
                json.splice(at..at + 6, *b"\\uFFFD");
                at += 6;
            }
            // Skips the escaped character, which may be a backslash.
            _ => at += 2,
        }
    }
    without_non_numbers(json)
}

/// Converts a text in UTF-16 to UTF-8. Detects UTF-16 by its byte order mark or by the zeros in its first character. Other texts are
/// unchanged.
fn utf16_to_utf8(text: Vec<u8>) -> Vec<u8> {
    let (first, from): (fn([u8; 2]) -> u16, usize) = match text.as_slice() {
        [0xff, 0xfe, ..] => (u16::from_le_bytes, 2),
        [0xfe, 0xff, ..] => (u16::from_be_bytes, 2),
        [b'{' | b'[' | b'"' | b'<', 0, ..] => (u16::from_le_bytes, 0),
        [0, b'{' | b'[' | b'"' | b'<', ..] => (u16::from_be_bytes, 0),
        _ => return text,
    };
    let (units, _) = text.get(from..).unwrap_or_default().as_chunks::<2>();
    let units = units.iter().map(|unit| first(*unit));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}

/// JSON without raw control characters. Outside strings they are whitespace. Inside strings they are invalid, but some services write them.
fn without_control_characters(mut text: Vec<u8>) -> Vec<u8> {
    if may_be_json(&text) {
        text.iter_mut().filter(|byte| **byte < b' ').for_each(|byte| *byte = b' ');
    }
    text
}

/// JSON without the words that some serializers write for numbers that JSON does not have.
fn without_non_numbers(json: Vec<u8>) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    if !may_be_json(&json) || !json.windows(3).any(|part| part == b"NaN" || part == b"Inf") {
        return json;
    }
    let (mut repaired, mut rest, mut in_text) = (Vec::with_capacity(json.len()), json.as_slice(), false);
    while let [byte, after @ ..] = rest {
        if let Some(after) = WORDS.iter().filter(|_| !in_text).find_map(|word| rest.strip_prefix(*word)) {
            repaired.extend_from_slice(b"null");
            rest = after;
            continue;
        }
        repaired.push(*byte);
        rest = after;
        match (byte, after) {
            (b'"', _) => in_text = !in_text,
            // An escaped quotation mark does not end the text.
            (b'\\', [escaped, after @ ..]) if in_text => {
                repaired.push(*escaped);
                rest = after;
            }
            _ => {}
        }
    }
    repaired
}

/// Whether a text starts like a JSON object, list or string.
fn may_be_json(text: &[u8]) -> bool {
    let first = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start().first();
    matches!(first, Some(b'{' | b'[' | b'"'))
}

/// The number of the escape `\uXXXX` at a position, if there is one.
fn escape(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// Whether a word is or contains a signed token: its base64 starts with `eyJ`, for `{"`.
pub(in crate::azure) fn contains_token(word: &str) -> bool {
    word.find("eyJ").and_then(|at| word.get(at..)).is_some_and(|rest| rest.len() > 20)
}

/// The id of a call, if the text is a valid one.
pub(in crate::azure) fn call_id(text: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=64).contains(&text.len()) && text.chars().all(safe)).then(|| text.to_owned())
}

/// The innermost cause of an error, which has the most details. The outer ones repeat the URL.
pub(in crate::azure) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    sanitize(&cause.to_string(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_between_characters() {
        assert_eq!(truncate("häß", 3), "häß");
        assert_eq!(truncate("häßlich", 3), "hä…");
        assert_eq!(truncate("", 0), "");
    }

    #[test]
    fn call_specific_parts_are_removed() {
        let rows = [
            ("AADSTS1: No. Trace ID: 1-2 Correlation ID: 3 Timestamp: 2020-01-01", "AADSTS1: No."),
            ("AADSTS1: No. Trace\r\n  ID: 1-2", "AADSTS1: No."),
            ("It failed.\r\n\r\nTechnical Details:\r\nRootActivityId: 5", "It failed."),
            ("Bearer eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y refused", "Bearer [redacted] refused"),
            ("  a\tb\nc ", "a b c"),
            ("Bearer e\u{200b}yJ0eXAiOiJKV1QiLCJhbGciOi.x.y\u{202e} refused", "Bearer [redacted] refused"),
        ];
        for (text, expected) in rows {
            assert_eq!(sanitize(text, 100), expected);
        }
    }

    #[test]
    fn invalid_characters_in_json_are_repaired() {
        let rows: [(&[u8], &[u8]); 16] = [
            (br#"{"a":"plain \u00e4 \n"}"#, br#"{"a":"plain \u00e4 \n"}"#),
            (br#""\ud83d\ude00""#, br#""\ud83d\ude00""#),
            (br#""cut \uD83D""#, br#""cut \uFFFD""#),
            (br#""\ude00 \ud83d\ud83d\ude00""#, br#""\uFFFD \uFFFD\ud83d\ude00""#),
            (br#""\\ud83d""#, br#""\\ud83d""#),
            (br#""\ud83"#, br#""\ud83"#),
            (b" {\"a\":\n\"no\0way\n\t!\"}", b" {\"a\": \"no way  !\"}"),
            (b"[\"\x1b[0m\"]", b"[\" [0m\"]"),
            (b"a\nb", b"a\nb"),
            (b"{\"a\":NaN,\"b\":[Infinity, -Infinity]}", b"{\"a\":null,\"b\":[null, null]}"),
            (b"[\"NaN \\\" Infinity\",NaN,\"\\\\\",NaN]", b"[\"NaN \\\" Infinity\",null,\"\\\\\",null]"),
            (b"{\"a\":NaN,\"b", b"{\"a\":null,\"b"),
            (b"NaN and Infinity", b"NaN and Infinity"),
            (b"\\", b"\\"),
            (b"\"K\xf6ln\"", "\"K\u{fffd}ln\"".as_bytes()),
            (b"", b""),
        ];
        for (json, expected) in rows {
            assert_eq!(repair_json(json.to_vec()), expected, "{}", String::from_utf8_lossy(json));
        }
    }

    #[test]
    fn tokens_are_redacted_and_other_text_is_kept() {
        let rows = [
            ("Dim  Customer\t1 ", "Dim  Customer\t1 "),
            ("eyJust a word", "eyJust a word"),
            ("a  token=eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y, b", "a  [redacted] b"),
        ];
        for (text, expected) in rows {
            assert_eq!(redact_tokens(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn valid_json_is_unchanged_by_repair(text in "\\PC*") {
            let json = serde_json::to_vec(&text).unwrap();
            proptest::prop_assert_eq!(repair_json(json.clone()), json);
        }

        #[test]
        fn repaired_escapes_are_readable(halves in proptest::collection::vec(0u16..=0xFFFF, 0..20)) {
            let escapes: Vec<String> = halves.iter().map(|half| format!("\\u{half:04x}")).collect();
            let json = format!("\"{}\"", escapes.concat());
            proptest::prop_assert!(serde_json::from_slice::<String>(&repair_json(json.into_bytes())).is_ok());
        }

        #[test]
        fn sanitized_text_is_within_its_limit(text in "\\PC*", limit in 1usize..50) {
            assert!(sanitize(&text, limit).chars().count() <= limit);
        }
    }
}
