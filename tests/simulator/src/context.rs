//! What a service needs to answer a request, besides the request itself.

use uuid::Uuid;

use crate::{call::Call, entra::Token, hosts::Site};

/// What answering a request takes.
pub struct Context<'a> {
    /// The request.
    pub call: &'a Call,
    /// The host that it was sent to.
    pub site: Site,
    /// What its token says, if Entra ID has issued it.
    pub token: Option<&'a Token>,
    /// Where the ledger has it.
    pub sequence: u64,
    /// The id under which the service's support would find it.
    pub activity: Uuid,
}

impl Context<'_> {
    /// The token, if it is for this service of this cloud; it may have expired.
    #[must_use]
    pub fn known_token(&self) -> Option<&Token> {
        self.token.filter(|token| self.site.accepts(token.audience))
    }

    /// The token, if it is for this service, of this cloud, and has not expired.
    #[must_use]
    pub fn valid_token(&self) -> Option<&Token> {
        self.known_token().filter(|token| token.expires > self.call.now)
    }
}
