//! The context of a request: everything besides the request that a service needs to handle it.

use uuid::Uuid;

use crate::{call::Call, entra::Token, hosts::Site};

/// The context of a request.
pub struct Context<'a> {
    /// The request.
    pub call: &'a Call,
    /// The service and cloud of the addressed host.
    pub site: Site,
    /// The claims of its token, if Entra ID issued it.
    pub token: Option<&'a Token>,
    /// Its sequence number in the ledger.
    pub sequence: u64,
    /// The id that the service's support would use to find it.
    pub activity: Uuid,
}

impl Context<'_> {
    /// The token, if its audience is this service in this cloud; it may have expired.
    #[must_use]
    pub fn known_token(&self) -> Option<&Token> {
        // Compares names, because a declared cloud may have been replaced since.
        self.token.filter(|token| self.site.accepts(token.audience) && token.cloud.name() == self.site.cloud.name())
    }

    /// The token, if its audience is this service in this cloud and it has not expired.
    #[must_use]
    pub fn valid_token(&self) -> Option<&Token> {
        self.known_token().filter(|token| token.expires > self.call.now)
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Method};
    use jiff::Timestamp;

    use super::*;
    use crate::{
        entra::CredentialKind,
        hosts::{Cloud, site},
    };

    #[test]
    fn token_is_valid_for_one_service_of_one_cloud() {
        let site = site("westus.asazure.windows.net").unwrap();
        let now = Timestamp::now();
        let call = Call {
            host: "westus.asazure.windows.net".into(),
            method: Method::GET,
            path: "/".into(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            now,
        };
        let token = |audience, cloud, expires| Token {
            audience,
            tenant: "t".into(),
            client: "c".into(),
            cloud,
            credential: CredentialKind::Secret,
            expires,
        };
        let (audience, power_bi) = ("https://*.asazure.windows.net", "https://analysis.windows.net/powerbi/api");
        for (token, known, valid) in [
            (token(audience, Cloud::Public, Timestamp::MAX), true, true),
            (token(audience, Cloud::Public, now), true, false),
            (token(audience, Cloud::China, Timestamp::MAX), false, false),
            (token(power_bi, Cloud::Public, Timestamp::MAX), false, false),
        ] {
            let context = Context { call: &call, site, token: Some(&token), sequence: 0, activity: Uuid::nil() };
            assert_eq!((context.known_token().is_some(), context.valid_token().is_some()), (known, valid), "{token:?}");
        }
    }
}
