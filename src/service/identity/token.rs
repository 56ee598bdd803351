//! A token, as it is kept and sent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

/// A token, ready to be sent, and until when it is worth sending.
#[derive(Clone)]
pub(in crate::service) struct Token {
    header: HeaderValue,
    pub(super) obtained: Instant,
    pub(super) renew_at: Instant,
    pub(super) expires: Instant,
    /// Whether a service has taken it once. All copies share it.
    accepted: Arc<AtomicBool>,
}

/// The longest before its end that a token is renewed, as Microsoft's own libraries do.
const RENEWAL: Duration = Duration::from_mins(5);

/// The longest before its end that a token is no longer sent: it must live until the call arrives.
const LAST_CALL: Duration = Duration::from_secs(10);

impl Token {
    /// A token that lives so long from the moment on when it was asked for; `None` where it cannot be a header.
    pub(super) fn new(secret: &str, asked: Instant, lifetime: Duration) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        header.set_sensitive(true);
        let expires = asked + lifetime;
        // Tokens of a few seconds exist in tests: they too are used for most of their life.
        let renew_at = expires.checked_sub(RENEWAL.min(lifetime / 5)).unwrap_or(asked);
        let last_call = expires.checked_sub(LAST_CALL.min(lifetime / 10)).unwrap_or(asked);
        Some(Self { header, obtained: asked, renew_at, expires: last_call, accepted: Arc::default() })
    }

    /// The `Authorization` header; it is marked, so that no HTTP library prints it.
    pub(in crate::service) fn authorization(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Notes that a service has taken it.
    pub(in crate::service) fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// Whether a service has taken it once: then a refusal is of the token, which has come to its end before its time, and not of
    /// whose it is.
    pub(in crate::service) fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Whether both are the same token.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.obtained == other.obtained
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}
