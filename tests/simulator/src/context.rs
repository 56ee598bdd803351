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
        // By name, since a declared cloud may have been declared anew in between.
        self.token.filter(|token| self.site.accepts(token.audience) && token.cloud.name() == self.site.cloud.name())
    }

    /// The token, if it is for this service, of this cloud, and has not expired.
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
        entra::Way,
        hosts::{Cloud, site},
    };

    #[test]
    fn a_token_is_for_one_service_of_one_cloud() {
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
        let token = |audience, cloud, expires| Token { audience, tenant: "t".into(), client: "c".into(), cloud, way: Way::Secret, expires };
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
