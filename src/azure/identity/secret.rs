//! A text that must not be visible.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::spelling;
use super::value::is_guid;

/// A secret. It prints as `[redacted]`, is compared by its SHA-256 so that timing reveals nothing, and is erased from memory when dropped.
#[derive(Clone)]
pub struct SecretText(Arc<Zeroizing<String>>);

impl SecretText {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for its only use.
    pub(in crate::azure) fn expose(&self) -> &str {
        &self.0
    }

    /// Why this may not be the value of a client secret, for the sentence of a refusal. Reveals no part of the secret.
    pub(in crate::azure) fn likely_mistake(&self) -> &'static str {
        let text = self.expose();
        let decoded = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
        if is_guid(text.trim()) {
            ", which has the format of an id"
        } else if text.starts_with(' ') || text.ends_with(' ') {
            ", which starts or ends with whitespace"
        } else if ['"', '\''].iter().any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote)) {
            ", which is in quotes"
        } else if decoded.len() >= 8 && decoded.trim_ascii().iter().all(u8::is_ascii_graphic) {
            // Entra ID never generates such a secret.
            ", which seems to be base64 of another text"
        } else {
            ""
        }
    }

    /// An external text with this secret redacted, in every spelling.
    pub(in crate::azure) fn redact(&self, text: &str) -> String {
        // A secret of a few letters would match parts of ordinary words, and thereby be revealed.
        if self.0.len() < 6 { text.to_owned() } else { spelling::redact(text, self.expose()) }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(other.0.as_bytes())
    }
}

impl Eq for SecretText {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_never_printed() {
        let secret = SecretText::new("planted-secret");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.redact("the planted-secret is wrong"), "the [redacted] is wrong");
        assert_eq!(secret.redact("the planted%2dsecret is wrong"), "the [redacted] is wrong");
        assert_eq!(SecretText::new("is").redact("this is wrong"), "this is wrong");
        assert!(secret == SecretText::new("planted-secret") && secret != SecretText::new("planted"));
    }

    #[test]
    fn text_unlike_a_client_secret_is_explained() {
        let rows = [
            ("f089354e-8366-4e18-aea3-4cb4a3a50b48", "the format of an id"),
            ("planted~secret ", "whitespace"),
            (" planted~secret", "whitespace"),
            ("cGxhbnRlZH5zZWNyZXQK", "base64"),
            ("\"planted~secret\"", "quotes"),
            ("'planted~secret'", "quotes"),
            ("planted~'secret'", ""),
            ("planted~secret", ""),
            ("planted secret", ""),
            // Random bytes, as in older secrets.
            ("8J+YgPCfmIDwn5iA8J+YgPCfmIA=", ""),
            ("", ""),
        ];
        for (text, expected) in rows {
            let mistake = SecretText::new(text).likely_mistake();
            assert!(mistake.contains(expected) && mistake.is_empty() == expected.is_empty(), "{text}: {mistake}");
        }
    }
}
