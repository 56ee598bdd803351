//! Tokens of others that Entra ID takes in place of a secret (workload identity federation).

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::SecretText;
use crate::operation::Trouble;
use crate::service::text;

/// Who issues the tokens by which an application is known, such as a cluster for one of its accounts.
#[async_trait]
pub trait AssertionSource: Send + Sync + fmt::Debug {
    /// What tells whom the tokens are of from everybody else. Two sources of the same key may be given each other's
    /// tokens of Entra ID.
    fn key(&self) -> String;

    /// A fresh token, for the audience [`AUDIENCE`].
    ///
    /// # Errors
    /// Why there is none, as a sentence that says what to do.
    async fn assertion(&self) -> Result<SecretText, Trouble>;
}

/// The audience that Entra ID expects of such a token, where the federated credential names no other.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// What a token says of itself, for messages. Nobody has checked it.
#[derive(Debug)]
pub(in crate::service) struct Claims {
    pub(in crate::service) issuer: String,
    pub(in crate::service) subject: String,
    pub(in crate::service) audience: String,
}

impl Claims {
    /// Reads them; what is not there is empty.
    pub(in crate::service) fn of(token: &SecretText) -> Self {
        let payload = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let payload = payload.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).unwrap_or_default();
        let said = |value: &Value| text::tidy(value.as_str().unwrap_or_default(), 200);
        let audience = match &payload["aud"] {
            Value::Array(names) => names.first().map(said).unwrap_or_default(),
            name => said(name),
        };
        Self { issuer: said(&payload["iss"]), subject: said(&payload["sub"]), audience }
    }
}
