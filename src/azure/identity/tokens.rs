//! The tokens for an identity and a scope, with as few requests as possible.

use super::cache::{Cache, Key};
use super::entra::Entra;
use super::identities::{Identity, Way};
use super::managed::Metadata;
use super::token::Token;
use crate::operation::ServiceError;

/// The tokens of all identities.
pub(in crate::azure) struct Tokens {
    entra: Entra,
    metadata: Metadata,
    cache: Cache,
}

impl Tokens {
    pub(in crate::azure) fn new(entra: Entra, metadata: Metadata) -> Self {
        Self { entra, metadata, cache: Cache::default() }
    }

    /// Returns a valid token, from the cache or from the issuer for this identity.
    pub(in crate::azure) async fn token(&self, identity: &Identity, scope: &str) -> Result<Token, ServiceError> {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.get(&key, || self.ask(identity, scope)).await
    }

    async fn ask(&self, identity: &Identity, scope: &str) -> Result<Token, ServiceError> {
        match &identity.way {
            Way::Application(application) => self.entra.token(application, identity.kind, scope).await,
            Way::Managed { client_id } => self.metadata.token(client_id.as_deref(), identity.kind, scope).await,
        }
    }

    /// Drops a token that a service rejected, so that the next call requests a new one. Returns whether the next call uses another token.
    pub(in crate::azure) fn forget(&self, identity: &Identity, scope: &str, refused: &Token) -> bool {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.forget(&key, refused)
    }
}
