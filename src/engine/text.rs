//! Bounded text: whatever a service or a user writes, the status stays small and readable.

use sha2::{Digest, Sha256};

/// The longest sentence in a condition or a message, in bytes.
pub(super) const SENTENCE: usize = 1024;
/// The longest name of a table, a partition or a code, in bytes.
pub(super) const NAME: usize = 256;
/// The longest value of a token or an annotation that is kept as it is, in bytes.
const TOKEN: usize = 256;

/// `text` in one line without control characters, cut to at most `limit` bytes at a character.
#[must_use]
pub(super) fn bounded(text: &str, limit: usize) -> String {
    // A quote, a backslash or a character beyond U+FFFF grows when it is written as JSON, but never beyond six bytes
    // for each byte; control characters, which always do, become blanks.
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > limit.saturating_sub(3) {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// The value of a token or an annotation, or a digest of it where it is long: only whether it changed counts.
#[must_use]
pub(super) fn token(value: &str) -> String {
    if value.len() <= TOKEN && !value.chars().any(char::is_control) {
        return value.to_owned();
    }
    let digest = Sha256::digest(value.as_bytes());
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
