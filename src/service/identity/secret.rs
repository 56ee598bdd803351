//! A text that must not be seen.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

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
}
