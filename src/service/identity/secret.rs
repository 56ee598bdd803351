//! A text that must not be seen.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::application::guid;

/// A secret: it prints as `[redacted]`, is compared by its SHA-256, so that the time tells nothing, and is wiped from
/// memory when nobody has it any more.
#[derive(Clone)]
pub struct SecretText(Arc<Zeroizing<String>>);

impl SecretText {
    /// Takes a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the one place that needs it.
    pub(in crate::service) fn expose(&self) -> &str {
        &self.0
    }

    /// What makes it doubtful that this is the value of a client secret, for the sentence of a refusal: nothing of what it is.
    pub(in crate::service) fn doubt(&self) -> &'static str {
        let text = self.expose();
        let decoded = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
        if guid(text.trim()) {
            ", which has the form of an id"
        } else if text.starts_with(' ') || text.ends_with(' ') {
            ", which begins or ends with a blank"
        } else if ['"', '\''].iter().any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote)) {
            ", which is in quotes"
        } else if decoded.len() >= 8 && decoded.trim_ascii().iter().all(u8::is_ascii_graphic) {
            // What Entra ID makes never is.
            ", which seems to be base64 of another text"
        } else {
            ""
        }
    }

    /// A text from outside without this secret in it.
    pub(in crate::service) fn scrub(&self, text: &str) -> String {
        // A secret of a few letters would tear ordinary words apart, and say by that what it is.
        if self.0.len() < 6 { text.to_owned() } else { text.replace(self.expose(), "[redacted]") }
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
    fn it_prints_as_nothing() {
        let secret = SecretText::new("planted-secret");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.scrub("the planted-secret is wrong"), "the [redacted] is wrong");
        assert!(secret == SecretText::new("planted-secret") && secret != SecretText::new("planted"));
    }

    #[test]
    fn what_is_doubtful_is_what_no_client_secret_looks_like() {
        let rows = [
            ("f089354e-8366-4e18-aea3-4cb4a3a50b48", "the form of an id"),
            ("planted~secret ", "a blank"),
            (" planted~secret", "a blank"),
            ("cGxhbnRlZH5zZWNyZXQK", "base64"),
            ("\"planted~secret\"", "quotes"),
            ("'planted~secret'", "quotes"),
            ("planted~'secret'", ""),
            ("planted~secret", ""),
            ("planted secret", ""),
            // Random bytes, as older secrets are.
            ("8J+YgPCfmIDwn5iA8J+YgPCfmIA=", ""),
            ("", ""),
        ];
        for (text, expected) in rows {
            let doubt = SecretText::new(text).doubt();
            assert!(doubt.contains(expected) && doubt.is_empty() == expected.is_empty(), "{text}: {doubt}");
        }
    }
}
