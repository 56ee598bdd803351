//! Texts from outside: made short, plain, and free of what differs from one try to the next.

use std::borrow::Cow;

use crate::operation::REDACTED;
use crate::text::plain as plain_line;

/// At most `limit` characters of a text, with an ellipsis where it was cut.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A text as one plain line of at most `limit` characters, without tokens.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut left = limit.saturating_add(1);
    for word in plain_line(text).split_whitespace() {
        let word = if token_like(word) { "[redacted]" } else { word };
        let blank = if line.is_empty() { "" } else { " " };
        for c in blank.chars().chain(word.chars()).take(left) {
            line.push(c);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    cut(&line, limit)
}

/// Where the part of a message begins that only its call has (Entra ID and Analysis Services both append such).
const TRAILERS: [&str; 7] =
    ["technical details", "trace id", "correlation id", "rootactivityid", "activity id", "timestamp:", "date (utc)"];

/// A message from outside as one plain line of at most `limit` characters: what looks like a token is taken out, and so is the tail
/// that names this one call.
pub(super) fn tidy(text: &str, limit: usize) -> String {
    let short = cut(text, 4 * limit);
    let plain = plain_line(&short);
    let words: Vec<&str> = plain.split_whitespace().map(|word| if token_like(word) { REDACTED } else { word }).collect();
    let line = words.join(" ");
    // Lower case in ASCII alone keeps every byte where it was, so the positions fit the original.
    let lower = line.to_ascii_lowercase();
    let end = TRAILERS.iter().filter_map(|trailer| lower.find(trailer)).min().unwrap_or(line.len());
    cut(line.get(..end).unwrap_or(&line).trim_end_matches([' ', ',', ';', ':', '(', '[', '-']), limit)
}

/// A text without the words that are, or carry, a token; all else as it is.
pub(super) fn without_tokens(text: &str) -> Cow<'_, str> {
    if !text.split(' ').any(token_like) {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split(' ').map(|word| if token_like(word) { REDACTED } else { word }).collect();
    Cow::Owned(words.join(" "))
}

/// JSON text in which every character is one. Some things make a whole answer unreadable that are no more than a spoilt letter in
/// a message: half of a surrogate pair as an escape, as a .NET service writes where it cuts a text between the two, and bytes
/// that are not UTF-8, which become the replacement character; and raw control characters, which become blanks. All else stays as it is.
pub(super) fn mended(json: Vec<u8>) -> Vec<u8> {
    let mut json = String::from_utf8(plain(narrowed(json)))
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
            // Whatever is escaped is passed over: a backslash may be.
            _ => at += 2,
        }
    }
    json
}

/// A text in UTF-8 that came in UTF-16, as its byte order mark or the zeros in its first character tell; all else as it is.
fn narrowed(text: Vec<u8>) -> Vec<u8> {
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

/// JSON without raw control characters: outside its texts they are blanks, and inside they may not stand, but some services let them.
fn plain(mut text: Vec<u8>) -> Vec<u8> {
    let first = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start().first();
    if matches!(first, Some(b'{' | b'[' | b'"')) {
        text.iter_mut().filter(|byte| **byte < b' ').for_each(|byte| *byte = b' ');
    }
    text
}

/// The number of the escape `\uXXXX` at a place, if there is one.
fn escape(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// Whether a word is, or carries, a signed token: its base64 begins with `eyJ`, for `{"`.
pub(super) fn token_like(word: &str) -> bool {
    word.find("eyJ").and_then(|at| word.get(at..)).is_some_and(|rest| rest.len() > 20)
}

/// An id of a call, if a text is one.
pub(super) fn id(text: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=64).contains(&text.len()) && text.chars().all(safe)).then(|| text.to_owned())
}

/// The innermost cause of an error, which says the most; the outer ones repeat the address.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    tidy(&cause.to_string(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("häß", 3), "häß");
        assert_eq!(cut("häßlich", 3), "hä…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn what_differs_from_call_to_call_is_left_out() {
        let rows = [
            ("AADSTS1: No. Trace ID: 1-2 Correlation ID: 3 Timestamp: 2020-01-01", "AADSTS1: No."),
            ("AADSTS1: No. Trace\r\n  ID: 1-2", "AADSTS1: No."),
            ("It failed.\r\n\r\nTechnical Details:\r\nRootActivityId: 5", "It failed."),
            ("Bearer eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y refused", "Bearer [redacted] refused"),
            ("  a\tb\nc ", "a b c"),
            ("Bearer e\u{200b}yJ0eXAiOiJKV1QiLCJhbGciOi.x.y\u{202e} refused", "Bearer [redacted] refused"),
        ];
        for (text, expected) in rows {
            assert_eq!(tidy(text, 100), expected);
        }
    }

    #[test]
    fn what_is_half_a_character_is_mended_and_all_else_stays() {
        let rows: [(&[u8], &[u8]); 12] = [
            (br#"{"a":"plain \u00e4 \n"}"#, br#"{"a":"plain \u00e4 \n"}"#),
            (br#""\ud83d\ude00""#, br#""\ud83d\ude00""#),
            (br#""cut \uD83D""#, br#""cut \uFFFD""#),
            (br#""\ude00 \ud83d\ud83d\ude00""#, br#""\uFFFD \uFFFD\ud83d\ude00""#),
            (br#""\\ud83d""#, br#""\\ud83d""#),
            (br#""\ud83"#, br#""\ud83"#),
            (b" {\"a\":\n\"no\0way\n\t!\"}", b" {\"a\": \"no way  !\"}"),
            (b"[\"\x1b[0m\"]", b"[\" [0m\"]"),
            (b"a\nb", b"a\nb"),
            (b"\\", b"\\"),
            (b"\"K\xf6ln\"", "\"K\u{fffd}ln\"".as_bytes()),
            (b"", b""),
        ];
        for (json, expected) in rows {
            assert_eq!(mended(json.to_vec()), expected, "{}", String::from_utf8_lossy(json));
        }
    }

    #[test]
    fn a_token_is_taken_out_and_all_else_stays() {
        let rows = [
            ("Dim  Customer\t1 ", "Dim  Customer\t1 "),
            ("eyJust a word", "eyJust a word"),
            ("a  token=eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y, b", "a  [redacted] b"),
        ];
        for (text, expected) in rows {
            assert_eq!(without_tokens(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_json_is_mended_into_itself(text in "\\PC*") {
            let json = serde_json::to_vec(&text).unwrap();
            proptest::prop_assert_eq!(mended(json.clone()), json);
        }

        #[test]
        fn any_text_of_escapes_is_readable_in_the_end(halves in proptest::collection::vec(0u16..=0xFFFF, 0..20)) {
            let escapes: Vec<String> = halves.iter().map(|half| format!("\\u{half:04x}")).collect();
            let json = format!("\"{}\"", escapes.concat());
            proptest::prop_assert!(serde_json::from_slice::<String>(&mended(json.into_bytes())).is_ok());
        }

        #[test]
        fn any_text_is_tidied_within_its_limit(text in "\\PC*", limit in 1usize..50) {
            assert!(tidy(&text, limit).chars().count() <= limit);
        }
    }
}
