//! A token in the cache.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderValue;
use tokio::time::Instant;

/// A token, and the time until which it may be sent.
#[derive(Clone)]
pub(in crate::azure) struct Token {
    header: HeaderValue,
    pub(super) obtained: Instant,
    pub(super) renew_at: Instant,
    pub(super) expires: Instant,
    /// Whether a service rejected the token before it, and has accepted none since.
    pub(super) replaces_rejected: bool,
    /// What a service has accepted it for. All copies share this.
    accepted: Arc<Mutex<Accepted>>,
}

/// What a service has accepted a token for.
#[derive(Default)]
struct Accepted {
    /// Whether any call was accepted.
    any: bool,
    /// The models, each with the access.
    models: HashSet<(Arc<str>, Access)>,
}

/// The access to a model that a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::azure) enum Access {
    Read,
    Write,
}

/// Maximum number of models and types of access for which a token records that it was accepted: about 0.5 MiB. For more of them, the
/// first 401 after an early expiry counts as missing access until the next call.
const MAX_ACCEPTED: usize = 4096;

/// Maximum time before its expiry at which a token is renewed, as in Microsoft's own libraries.
const RENEWAL: Duration = Duration::from_mins(5);

/// Maximum time before its expiry at which a token is no longer sent. It must be valid until the call arrives.
const LAST_CALL: Duration = Duration::from_secs(10);

impl Token {
    /// Creates a token with this lifetime from the time of the request; `None` if it is not valid in a header.
    pub(super) fn new(secret: &str, requested_at: Instant, lifetime: Duration) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        header.set_sensitive(true);
        let expires = requested_at + lifetime;
        // Tokens with a lifetime of seconds exist in tests. They are also used for most of their lifetime.
        let renew_at = expires.checked_sub(RENEWAL.min(lifetime / 5)).unwrap_or(requested_at);
        let last_call = expires.checked_sub(LAST_CALL.min(lifetime / 10)).unwrap_or(requested_at);
        Some(Self { header, obtained: requested_at, renew_at, expires: last_call, replaces_rejected: false, accepted: Arc::default() })
    }

    /// The `Authorization` header, marked as sensitive so that no HTTP library prints it.
    pub(in crate::azure) fn authorization(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Records that a service has accepted it, and for which access to a model.
    pub(in crate::azure) fn accept(&self, model: &Arc<str>, access: Option<Access>) {
        let mut accepted = self.accepted.lock();
        accepted.any = true;
        if let Some(access) = access
            && accepted.models.len() < MAX_ACCEPTED
        {
            accepted.models.insert((Arc::clone(model), access));
        }
    }

    /// Whether a service has accepted it for any call.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted.lock().any
    }

    /// Whether a service has accepted it for this access to the model. A later rejection then means that the token has expired early, not
    /// that the identity lacks a permission. Access to another model proves neither.
    pub(in crate::azure) fn was_accepted(&self, model: &Arc<str>, access: Access) -> bool {
        self.accepted.lock().models.contains(&(Arc::clone(model), access))
    }

    /// How long it may still be sent.
    pub(in crate::azure) fn remaining(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_models_are_bounded() {
        let token = Token::new("a", Instant::now(), Duration::from_hours(1)).unwrap();
        let model = |n: usize| Arc::<str>::from(n.to_string());
        for n in 0..=MAX_ACCEPTED {
            token.accept(&model(n), Some(Access::Read));
        }
        assert!(token.was_accepted(&model(0), Access::Read) && !token.was_accepted(&model(0), Access::Write));
        assert!(!token.was_accepted(&model(MAX_ACCEPTED), Access::Read));
        assert_eq!(token.accepted.lock().models.len(), MAX_ACCEPTED);
    }
}
