//! Tokens of other issuers that Entra ID accepts instead of a secret (workload identity federation).

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::SecretText;
use crate::azure::http::text;
use crate::operation::ServiceError;

/// An issuer of tokens for an application, such as a cluster for one of its accounts.
#[async_trait]
pub trait AssertionSource: Send + Sync + fmt::Debug {
    /// Identifies the subject of the tokens. Sources with the same key may share tokens of Entra ID.
    fn key(&self) -> String;

    /// Returns a new token for the audience [`AUDIENCE`].
    ///
    /// # Errors
    /// The reason as a sentence with the remedy.
    async fn assertion(&self) -> Result<SecretText, ServiceError>;
}

/// The audience that Entra ID expects, unless the federated credential has another one.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The claims of a token, for messages. They are not verified.
#[derive(Debug)]
pub(in crate::azure) struct Claims {
    pub(in crate::azure) issuer: String,
    pub(in crate::azure) subject: String,
    pub(in crate::azure) audience: String,
}

impl Claims {
    /// Parses the claims. Missing ones are empty.
    pub(in crate::azure) fn of(token: &SecretText) -> Self {
        let payload = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let payload = payload.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).unwrap_or_default();
        let claim = |value: &Value| text::sanitize(value.as_str().unwrap_or_default(), 200);
        let audience = match &payload["aud"] {
            Value::Array(names) => names.first().map(claim).unwrap_or_default(),
            name => claim(name),
        };
        Self { issuer: claim(&payload["iss"]), subject: claim(&payload["sub"]), audience }
    }
}
