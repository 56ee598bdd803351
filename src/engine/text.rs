//! Bounded text: the status stays small and readable, whatever a service or a user writes.

use crate::api::{MAX_VALUE_BYTES, value_digest};
use crate::text::plain;

/// The longest sentence in a condition or a message, in bytes.
pub(super) const SENTENCE: usize = 1024;
/// The longest message of a step of a check, in bytes.
pub(super) const STEP: usize = 512;
/// The longest name of a table or a partition, in bytes.
pub(super) const NAME: usize = 256;
/// The longest value of a service, such as a code or a status, in bytes.
pub(super) const WORD: usize = 128;
/// The longest `Location` that is kept, in bytes.
const LOCATION: usize = 2048;

/// The bytes of a character in JSON as the API server writes it. The API server escapes more characters than JSON requires.
fn json_len(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        c => c.len_utf8(),
    }
}

/// `text` in one [plain] line, cut at a character so that it takes at most `limit` bytes in JSON.
#[must_use]
pub(super) fn bounded(text: &str, limit: usize) -> String {
    let (mut out, mut size, mut cut) = (String::with_capacity(text.len().min(limit)), 0, 0);
    for c in plain(text).trim().chars() {
        size += json_len(c);
        if size > limit {
            out.truncate(cut);
            // A trailing joiner is not plain.
            out.truncate(out.trim_end_matches(['\u{200c}', '\u{200d}']).len());
            out.push('…');
            break;
        }
        out.push(c);
        if size <= limit.saturating_sub('…'.len_utf8()) {
            cut = out.len();
        }
    }
    out
}

/// `text` as one sentence of a condition or an event: in one line, readable, and at most 1024 bytes in JSON.
#[must_use]
pub fn sentence(text: &str) -> String {
    bounded(text, SENTENCE)
}

/// The value of a token or an annotation, or a digest of it where it is long: only whether it changed counts. Argo CD, Flux and
/// `kubectl wait` compare the value itself, so it is kept if at all possible. In JSON, a character may take six bytes.
#[must_use]
pub fn token(value: &str) -> String {
    let json_len = value.chars().map(json_len).sum::<usize>();
    let is_kept = value.len() <= MAX_VALUE_BYTES && json_len <= 2 * MAX_VALUE_BYTES && !value.chars().any(char::is_control);
    if is_kept { value.to_owned() } else { value_digest(value) }
}

/// Whether a value of [`token`] was recorded. Earlier builds recorded digests of shorter values.
#[must_use]
pub(super) fn is_recorded(value: &str, recorded: Option<&String>) -> bool {
    recorded.is_some_and(|recorded| recorded == value || recorded.starts_with("sha256:") && *recorded == value_digest(value))
}

/// The `Location` if it can be stored unchanged; `None` otherwise, because a truncated one is of no use.
#[must_use]
pub(super) fn location(value: &str) -> Option<String> {
    let fits = value.chars().map(json_len).sum::<usize>() <= LOCATION && !value.chars().any(char::is_control);
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_trigger_is_kept_up_to_its_length_in_bytes() {
        // Argo CD, Flux and `kubectl wait` compare it with the annotation.
        let url = format!("https://ci.example/build?{}", "a=1&".repeat(50));
        assert_eq!(token(&url), url);
        assert!(token(&"a".repeat(257)).starts_with("sha256:"));
    }

    #[test]
    fn value_is_recorded_as_itself_or_as_its_digest() {
        let recorded_as = |recorded: &str| is_recorded("a", Some(&recorded.to_owned()));
        assert!(recorded_as("a") && recorded_as(&value_digest("a")));
        assert!(!recorded_as("b") && !recorded_as(&value_digest("b")) && !is_recorded("a", None));
    }

    #[test]
    fn service_text_becomes_one_plain_line() {
        let rows = [
            ("line one\r\nline two", "line one  line two"),
            ("\u{1b}[31mred\u{202e} evil\u{2066}", "[31mred evil"),
            ("\u{feff} all\u{200b}ow\u{2060}ed \u{200f}", "allowed"),
        ];
        for (text, expected) in rows {
            assert_eq!(bounded(text, 100), expected);
        }
    }
}
