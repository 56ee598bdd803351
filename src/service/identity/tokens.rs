//! Tokens for an identity and a scope, asked for as seldom as can be.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::cache::{Cache, Key};
use super::entra::Entra;
use super::managed::Metadata;
use super::{Identity, Way};
use crate::operation::Trouble;

/// A token, ready to be sent, and until when it is worth sending.
#[derive(Clone)]
pub(in crate::service) struct Token {
    header: HeaderValue,
    pub(super) obtained: Instant,
    pub(super) renew_at: Instant,
    pub(super) expires: Instant,
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
        Some(Self { header, obtained: asked, renew_at, expires: last_call })
    }

    /// The `Authorization` header; it is marked, so that no HTTP library prints it.
    pub(in crate::service) fn authorization(&self) -> HeaderValue {
        self.header.clone()
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

/// The tokens of every identity.
pub(in crate::service) struct Tokens {
    entra: Entra,
    metadata: Metadata,
    cache: Cache,
}

impl Tokens {
    pub(in crate::service) fn new(entra: Entra, metadata: Metadata) -> Self {
        Self { entra, metadata, cache: Cache::default() }
    }

    /// A token that is still valid, from the cache or from whoever gives this identity its tokens.
    pub(in crate::service) async fn token(&self, identity: &Identity, scope: &str) -> Result<Token, Trouble> {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.get(&key, || self.ask(identity, scope)).await
    }

    async fn ask(&self, identity: &Identity, scope: &str) -> Result<Token, Trouble> {
        match &identity.way {
            Way::Application(application) => self.entra.token(application, identity.kind, scope).await,
            Way::Managed { client_id } => self.metadata.token(client_id.as_deref(), identity.kind, scope).await,
        }
    }

    /// Forgets a token that a service refused, so that the next call asks for a fresh one.
    pub(in crate::service) fn forget(&self, identity: &Identity, scope: &str, refused: &Token) {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.forget(&key, refused);
    }
}
