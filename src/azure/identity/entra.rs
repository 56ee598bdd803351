//! Token requests to Entra ID, with `azure_identity` over the shared HTTP client.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, Body, ClientMethodOptions, ClientOptions, HttpClient, Request, RetryOptions, StatusCode, Transport,
};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
};
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::application::{Application, Credential, FieldNames};
use super::assertion::Claims;
use super::token::Token;
use super::token_response::{CredentialKind, PresentedCredential};
use super::{SecretText, token_response};
use crate::azure::cloud::Cloud;
use crate::azure::http::{Client, MAX_SHORT_BODY_BYTES, SendError};
use crate::operation::{CallTarget, IdentityKind, ServiceError, ServiceErrorKind};

/// Entra ID of one cloud.
pub(in crate::azure) struct Entra {
    authority: String,
    http: Client,
}

impl Entra {
    pub(in crate::azure) fn new(cloud: &Cloud, http: Client) -> Self {
        Self { authority: cloud.authority_host.clone(), http }
    }

    /// Requests a token, once.
    pub(super) async fn token(&self, application: &Application, kind: IdentityKind, scope: &str) -> Result<Token, ServiceError> {
        let presented = self.presented(application).await?;
        let text = presented.text.clone();
        let by_assertion = match presented.kind {
            CredentialKind::Secret => false,
            CredentialKind::Certificate { .. } | CredentialKind::Federated(_) => true,
        };
        let options = self.options(presented, kind);
        let (tenant, client) = (application.tenant_id.clone(), application.client_id.clone());
        let created: azure_core::Result<Arc<dyn TokenCredential>> = if by_assertion {
            let options = ClientAssertionCredentialOptions { client_options: options };
            ClientAssertionCredential::new(tenant, client, PreparedAssertion(text), Some(options))
                .map(|created| created as Arc<dyn TokenCredential>)
        } else {
            let options = ClientSecretCredentialOptions { client_options: options };
            let secret = Secret::new(text.expose().to_owned());
            ClientSecretCredential::new(&tenant, client, secret, Some(options)).map(|created| created as Arc<dyn TokenCredential>)
        };
        let credential = created.map_err(|_| {
            let FieldNames { tenant, client, .. } = application.field_names;
            token_response::credentials_refused(format!("the credentials are unusable: check {tenant} and {client}"))
        })?;
        let requested_at = Instant::now();
        let token = credential.get_token(&[scope], None).await.map_err(|error| error_in(&error))?;
        let lifetime = token.expires_on - OffsetDateTime::now_utc();
        let lifetime = Duration::try_from(lifetime).unwrap_or_default();
        Token::new(token.token.secret(), requested_at, lifetime).ok_or_else(unusable)
    }

    /// The credential of this request: the secret, or an assertion created for it.
    async fn presented(&self, application: &Application) -> Result<PresentedCredential, ServiceError> {
        let (text, kind) = match &application.credential {
            Credential::Secret(secret) => (secret.clone(), CredentialKind::Secret),
            Credential::Certificate(certificate) => {
                let endpoint = format!("{}/{}/oauth2/v2.0/token", self.authority, application.tenant_id);
                let assertion = certificate.assertion(&application.client_id, &endpoint, Timestamp::now());
                let assertion = assertion.map_err(|message| ServiceError::new(ServiceErrorKind::ServerError, message))?;
                (assertion, CredentialKind::Certificate { thumbprint: certificate.thumbprint() })
            }
            Credential::Federated(source) => {
                let assertion = source.assertion().await?;
                let claims = Claims::of(&assertion);
                (assertion, CredentialKind::Federated(claims))
            }
        };
        Ok(PresentedCredential { text, kind, field_names: application.field_names })
    }

    /// No retries (the cache implements backoff), our own transport, and the authority of the operator's cloud. Without the latter,
    /// `AZURE_AUTHORITY_HOST` in the environment would decide where secrets are sent.
    fn options(&self, presented: PresentedCredential, kind: IdentityKind) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.authority);
        let adapter =
            HttpClientAdapter { authority: self.authority.clone(), http: self.http.clone(), presented, target: CallTarget::Token(kind) };
        ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(adapter))),
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..ClientOptions::default()
        }
    }
}

/// A prepared assertion. A credential serves one request.
#[derive(Debug)]
struct PreparedAssertion(SecretText);

#[async_trait]
impl ClientAssertion for PreparedAssertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose().to_owned())
    }
}

/// Connects `azure_core` to our HTTP client.
///
/// It parses the response itself. `azure_identity` loses the status of a response that is not JSON. It also loses the code of a description
/// with an escaped character, such as the line breaks of Entra ID. It panics on an extremely long lifetime.
struct HttpClientAdapter {
    authority: String,
    http: Client,
    presented: PresentedCredential,
    target: CallTarget,
}

impl HttpClientAdapter {
    async fn exchange(&self, request: &Request) -> Result<String, ServiceError> {
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
                // Our user agent identifies the operator.
                if !name.as_str().eq_ignore_ascii_case("user-agent") {
                    call = call.header(name.as_str(), value.as_str());
                }
            }
            match self.http.send(self.target, call, deadline).await {
                Ok(incoming) => break incoming,
                // Repeating a token request does no harm, and a pooled connection may have been closed.
                Err(SendError::Lost(_)) if tries == 1 && Instant::now() < deadline => {}
                Err(fault) => return Err(unreachable(&fault.into_message())),
            }
        };
        let response = incoming.read(MAX_SHORT_BODY_BYTES).await;
        token_response::token_in(&response, &self.presented)
    }
}

#[async_trait]
impl HttpClient for HttpClientAdapter {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        match self.exchange(request).await {
            Ok(body) => Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), body)),
            Err(error) => Err(azure_core::Error::with_error(ErrorKind::Other, CarriedError(error), "no token")),
        }
    }
}

impl fmt::Debug for HttpClientAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientAdapter").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// Carries an error through `azure_core`.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct CarriedError(ServiceError);

/// The error of our transport inside a wrapped error.
fn error_in(error: &azure_core::Error) -> ServiceError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(CarriedError(error)) = error.downcast_ref::<CarriedError>() {
            return error.clone();
        }
        cause = error.source();
    }
    unusable()
}

fn unreachable(message: &str) -> ServiceError {
    ServiceError::new(ServiceErrorKind::Unreachable, format!("failed to request a token: {message}"))
}

fn unusable() -> ServiceError {
    let what = "the response of the identity provider contains no usable token";
    ServiceError::new(ServiceErrorKind::InvalidResponse, what)
}
