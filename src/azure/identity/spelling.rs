//! Redacts a secret in an external text, in every spelling: as it is, in a form or a URL (`%7E`, `+`), and in JSON (`\u007e`).
//!
//! A proxy or an identity provider may repeat the form of a token request in its error.

use crate::operation::REDACTED;

/// Maximum number of readings of one text. Only a secret with `%` or `\` has several.
const MAX_READINGS: usize = 8;

/// The parameters of a token request that contain a secret.
const SECRET_PARAMETERS: [&str; 2] = ["client_secret=", "client_assertion="];

/// A text with each spelling of a secret redacted.
pub(super) fn redact(text: &str, secret: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        if let Some(after) = after_secret(rest, secret) {
            shown.push_str(REDACTED);
            rest = after;
        } else {
            shown.push(c);
            rest = rest.strip_prefix(c).unwrap_or_default();
        }
    }
    shown
}

/// A text with the values of secret parameters redacted, even if they were truncated or have an unknown spelling.
pub(super) fn redact_parameters(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = SECRET_PARAMETERS.iter().filter_map(|name| Some(rest.find(name)? + name.len())).min() {
        let (before, value) = rest.split_at(at);
        let end = value.find(|c: char| matches!(c, '&' | '"' | '\'') || c.is_whitespace()).unwrap_or(value.len());
        shown.push_str(before);
        shown.push_str(if end == 0 { "" } else { REDACTED });
        rest = value.get(end..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// The rest of a text that starts with a secret, which is not empty.
fn after_secret<'a>(text: &'a str, secret: &str) -> Option<&'a str> {
    let mut rests = vec![text];
    for c in secret.chars() {
        rests = rests.into_iter().flat_map(|rest| after_character(rest, c)).collect();
        rests.sort_unstable_by_key(|rest| rest.len());
        rests.dedup_by_key(|rest| rest.len());
        rests.truncate(MAX_READINGS);
        if rests.is_empty() {
            return None;
        }
    }
    rests.first().copied()
}

/// The rests of a text that starts with a character, for each of its spellings.
fn after_character(text: &str, c: char) -> impl Iterator<Item = &str> {
    let plus = if c == ' ' { text.strip_prefix('+') } else { None };
    [text.strip_prefix(c), plus, after_percent(text, c), after_escape(text, c)].into_iter().flatten()
}

/// The same for the spelling of a URL: `%` and two digits for each byte.
fn after_percent(text: &str, c: char) -> Option<&str> {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes).bytes().try_fold(text, |rest, byte| {
        let (digits, rest) = rest.strip_prefix('%')?.split_at_checked(2)?;
        (hexadecimal(digits)? == u32::from(byte)).then_some(rest)
    })
}

/// The same for the escapes of JSON.
fn after_escape(text: &str, c: char) -> Option<&str> {
    let rest = text.strip_prefix('\\')?;
    if let Some(digits) = rest.strip_prefix('u') {
        let (digits, rest) = digits.split_at_checked(4)?;
        return (hexadecimal(digits)? == u32::from(c)).then_some(rest);
    }
    if matches!(c, '"' | '\\' | '/' | '\'') { rest.strip_prefix(c) } else { None }
}

fn hexadecimal(digits: &str) -> Option<u32> {
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_secret_is_redacted() {
        let secret = "Ab8Q~x+y z/\"\\ü%7E";
        let spellings = [
            secret,
            "Ab8Q%7Ex%2By+z%2F%22%5C%C3%BC%257E",
            "Ab8Q%7ex%2by%20z%2f%22%5c%c3%bc%257E",
            "%41%62%38%51%7E%78%2B%79%20%7A%2F%22%5C%C3%BC%25%37%45",
            r#"Ab8Q~x+y z\/\"\\ü%7E"#,
            r"Ab8Q\u007ex\u002By z/\u0022\u005C\u00fc%7E",
            r"Ab8Q~x%2By z/%22%5Cü\u00257E",
        ];
        for spelling in spellings {
            let text = format!("ü: client_id=1&x={spelling}&y=2, again {spelling}");
            assert_eq!(redact(&text, secret), "ü: client_id=1&x=[redacted]&y=2, again [redacted]", "{spelling}");
        }
        for other in ["", "Ab8Q", "Ab8Q%7Ex%2By+z%2F%22%5C%C3%BC%257", "Ab8Q%7", "Ab8Q\\u00", "100% \\ue", "%%%\\\\"] {
            assert_eq!(redact(other, secret), other);
        }
    }

    #[test]
    fn secret_with_several_readings_is_redacted() {
        for (secret, spelling) in [("%25%25", "%25%25"), ("%25%25", "%2525%2525"), ("\\\\\\\\", "\\\\\\\\\\\\\\\\")] {
            assert_eq!(redact(&format!("a {spelling} b"), secret), "a [redacted] b", "{spelling}");
        }
    }

    #[test]
    fn value_of_a_secret_parameter_is_redacted() {
        let rows = [
            ("scope=x&client_secret=Ab8Q%7", "scope=x&client_secret=[redacted]"),
            (
                "client_assertion_type=urn%3Aietf&client_assertion=eyJ.x.y&client_secret=a b",
                "client_assertion_type=urn%3Aietf&client_assertion=[redacted]&client_secret=[redacted] b",
            ),
            ("the form \"client_secret=a\" is 'client_secret='", "the form \"client_secret=[redacted]\" is 'client_secret='"),
            ("the parameter 'client_secret' is missing", "the parameter 'client_secret' is missing"),
        ];
        for (text, expected) in rows {
            assert_eq!(redact_parameters(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn text_without_secret_is_unchanged(text in "\\PC*") {
            proptest::prop_assert_eq!(redact(&text, "planted\u{0}secret"), text);
        }

        #[test]
        fn encoded_secret_is_redacted(secret in "a\\PC{6,20}") {
            let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let json = serde_json::to_string(&secret).unwrap();
            proptest::prop_assert_eq!(redact(&form, &secret), REDACTED);
            proptest::prop_assert_eq!(redact(&json, &secret), format!("\"{REDACTED}\""));
        }
    }
}
