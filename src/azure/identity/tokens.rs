//! The tokens for an identity and a scope, with as few requests as possible.

use super::cache::{Cache, Key};
use super::entra::Entra;
use super::identities::{Identity, TokenSource};
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
        self.cache.get(&key, || self.request(identity, scope)).await
    }

    /// The same for the check of a user: a refusal that is remembered does not prevent a request.
    pub(in crate::azure) async fn token_for_check(&self, identity: &Identity, scope: &str) -> Result<Token, ServiceError> {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.get_for_check(&key, || self.request(identity, scope)).await
    }

    async fn request(&self, identity: &Identity, scope: &str) -> Result<Token, ServiceError> {
        match &identity.source {
            TokenSource::Application(application) => self.entra.token(application, identity.kind, scope).await,
            TokenSource::Managed { client_id } => self.metadata.token(client_id.as_deref(), identity.kind, scope).await,
        }
    }

    /// Removes the unused tokens and failures, and returns the number of the others.
    pub(in crate::azure) fn purge(&self) -> usize {
        self.cache.purge()
    }

    /// Drops a token that a service rejected, so that the next call requests a new one. Returns whether the next call uses another token,
    /// which may be accepted.
    pub(in crate::azure) fn invalidate(&self, identity: &Identity, scope: &str, rejected: &Token) -> bool {
        let key = Key { identity: identity.fingerprint(), scope: scope.to_owned() };
        self.cache.invalidate(&key, rejected)
    }
}
