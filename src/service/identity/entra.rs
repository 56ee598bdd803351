//! Tokens from Entra ID, asked for with `azure_identity` over the shared HTTP client.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Request, RetryOptions, StatusCode, Transport};
use azure_core::time::OffsetDateTime;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use tokio::time::Instant;
use url::Url;

use super::tokens::Token;
use super::{Identity, SecretText, ServicePrincipalSecret, refusal};
use crate::operation::{Trouble, TroubleKind};
use crate::service::cloud::Cloud;
use crate::service::http::{Client, Fault, LARGEST_WORD, Route};

const ROUTE: Route = Route { name: "POST token", host_kind: "entra-id" };

/// Entra ID of one cloud.
pub(in crate::service) struct Entra {
    authority: String,
    http: Client,
}

impl Entra {
    pub(in crate::service) fn new(cloud: &Cloud, http: Client) -> Self {
        Self { authority: cloud.authority_host.clone(), http }
    }

    /// Asks for a token, once.
    pub(super) async fn token(&self, identity: &Identity, scope: &str) -> Result<Token, Trouble> {
        match identity {
            Identity::ServicePrincipalSecret(principal) => self.by_secret(principal, scope).await,
        }
    }

    async fn by_secret(&self, principal: &ServicePrincipalSecret, scope: &str) -> Result<Token, Trouble> {
        let secret = &principal.client_secret;
        let options = ClientSecretCredentialOptions { client_options: self.options(secret) };
        let made = ClientSecretCredential::new(
            &principal.tenant_id,
            principal.client_id.clone(),
            Secret::new(secret.expose().to_owned()),
            Some(options),
        );
        let credential =
            made.map_err(|_| refusal::refused("the credentials cannot be used: check tenantId, clientId and clientSecret".to_owned()))?;
        let asked = Instant::now();
        let token = credential.get_token(&[scope], None).await.map_err(|error| trouble(&error))?;
        let lifetime = token.expires_on - OffsetDateTime::now_utc();
        let lifetime = Duration::try_from(lifetime).unwrap_or_default();
        Token::new(token.token.secret(), asked, lifetime).ok_or_else(unusable)
    }

    /// No retries (the cache paces them), our own transport, and the authority of the operator's cloud: without the
    /// last, `AZURE_AUTHORITY_HOST` in the environment would decide where secrets are sent.
    fn options(&self, secret: &SecretText) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.authority);
        let relay = Relay { authority: self.authority.clone(), http: self.http.clone(), secret: secret.clone() };
        ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(relay))),
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..ClientOptions::default()
        }
    }
}

/// `azure_core`'s way to our HTTP client.
///
/// It reads the answer itself, since `azure_identity` loses the status of an answer that is not JSON and the code of
/// a description with an escaped character in it (as Entra ID's line breaks are), and panics on a lifetime of ages.
struct Relay {
    authority: String,
    http: Client,
    secret: SecretText,
}

impl Relay {
    async fn exchange(&self, request: &Request) -> Result<String, Trouble> {
        let url = Url::parse(request.url().as_str()).map_err(|_| unusable())?;
        let allowed = Url::parse(&self.authority).is_ok_and(|authority| authority.origin() == url.origin());
        let Body::Bytes(body) = request.body() else {
            return Err(unusable());
        };
        if !allowed {
            return Err(unusable());
        }
        let deadline = self.http.deadline();
        let mut tries = 0;
        let incoming = loop {
            tries += 1;
            let mut call = self.http.request(reqwest::Method::POST, url.clone()).body(body.clone());
            for (name, value) in request.headers().iter() {
                // Ours names the operator.
                if !name.as_str().eq_ignore_ascii_case("user-agent") {
                    call = call.header(name.as_str(), value.as_str());
                }
            }
            match self.http.send(ROUTE, call, deadline).await {
                Ok(incoming) => break incoming,
                // Asking twice for a token does no harm, and a pooled connection may have been dead.
                Err(Fault::Lost(_)) if tries == 1 && Instant::now() < deadline => {}
                Err(fault) => return Err(unreachable(&fault.into_message())),
            }
        };
        let answer = incoming.read(LARGEST_WORD).await;
        refusal::granted(&answer, &self.secret)
    }
}

#[async_trait]
impl HttpClient for Relay {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        match self.exchange(request).await {
            Ok(body) => Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), body)),
            Err(trouble) => Err(azure_core::Error::with_error(ErrorKind::Other, Carried(trouble), "no token")),
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A trouble on its way through `azure_core`.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Carried(Trouble);

/// The trouble that our transport put into an error, however deep it has been wrapped.
fn trouble(error: &azure_core::Error) -> Trouble {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(Carried(trouble)) = error.downcast_ref::<Carried>() {
            return trouble.clone();
        }
        cause = error.source();
    }
    unusable()
}

fn unreachable(message: &str) -> Trouble {
    Trouble {
        kind: TroubleKind::Unreachable,
        message: format!("no token could be asked for: {message}"),
        retry_after: None,
        activity_id: None,
    }
}

fn unusable() -> Trouble {
    Trouble {
        kind: TroubleKind::InvalidAnswer,
        message: "the answer of the identity provider holds no token that can be used".to_owned(),
        retry_after: None,
        activity_id: None,
    }
}
