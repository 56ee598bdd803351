//! Access tokens: signed JWTs as Entra ID issues them, and the claims that the services read.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::hosts::{self, Cloud};

/// Number of remembered tokens above which expired ones are removed.
const REMEMBERED: usize = 20_000;

/// The signing key could not be created.
#[derive(Debug, thiserror::Error)]
#[error("failed to create the key that signs tokens")]
pub struct KeyError;

/// The kind of credential of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A secret shared with Entra ID.
    Secret,
    /// The key of a certificate.
    Certificate,
    /// A token of a trusted issuer.
    Federated,
    /// The machine that the identity runs on.
    Managed,
}

impl CredentialKind {
    /// Its name in the ledger.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated",
            Self::Managed => "managed",
        }
    }

    /// The claim `appidacr`: 1 for a secret, 2 for signed credentials.
    fn strength(self) -> &'static str {
        match self {
            Self::Secret => "1",
            Self::Certificate | Self::Federated | Self::Managed => "2",
        }
    }
}

/// The subject of a token.
pub struct Principal<'a> {
    /// The tenant.
    pub tenant: &'a Arc<str>,
    /// The application, or the managed identity's client id.
    pub client: &'a Arc<str>,
    /// The service principal's id in the directory; a constant if unset.
    pub object: Option<&'a str>,
    /// The Azure resource of a managed identity.
    pub resource: Option<&'a str>,
    /// The kind of its credential.
    pub credential: CredentialKind,
    /// The lifetime of the token, in seconds.
    pub lifetime: u64,
}

/// An issued token.
#[derive(Debug)]
pub struct Token {
    /// Its audience.
    pub audience: &'static str,
    /// The tenant of the application.
    pub tenant: Arc<str>,
    /// The application.
    pub client: Arc<str>,
    /// The cloud of the issuing authority.
    pub cloud: Cloud,
    /// The kind of credential that the application used.
    pub credential: CredentialKind,
    /// When it expires.
    pub expires: Timestamp,
}

/// Issues tokens and stores them, so that a check is a map access instead of a signature verification.
pub struct TokenIssuer {
    key: KeyPair,
    key_id: String,
    issued: RwLock<HashMap<String, Arc<Token>>>,
}

impl TokenIssuer {
    /// Creates an issuer with its own key.
    pub fn new() -> Result<Self, KeyError> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
        let key_id = URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
        Ok(Self { key, key_id, issued: RwLock::default() })
    }

    /// Issues a token with the claims of a version 1 access token, the kind that both services receive.
    pub fn issue(&self, principal: &Principal<'_>, audience: &'static str, cloud: Cloud, now: Timestamp) -> String {
        let Principal { tenant, client, object, resource, credential, lifetime } = *principal;
        let since = now.as_second();
        let expires = since.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX));
        let issuer = format!("https://{}/{tenant}/", hosts::issuer_host(cloud));
        let object = object.map_or_else(
            || Uuid::from_u128(client.bytes().fold(0_u128, |sum, byte| sum.rotate_left(7) ^ u128::from(byte))).to_string(),
            ToOwned::to_owned,
        );
        let header = json!({"typ": "JWT", "alg": "RS256", "x5t": self.key_id, "kid": self.key_id});
        let mut claims = json!({
            "aud": audience,
            "iss": issuer,
            "iat": since,
            "nbf": since,
            "exp": expires,
            "aio": URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes()),
            "appid": client,
            "appidacr": credential.strength(),
            "idp": issuer,
            "idtyp": "app",
            "oid": object,
            "sub": object,
            "tid": tenant,
            "uti": URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes()),
            "ver": "1.0",
        });
        if let Some(resource) = resource {
            claims["xms_mirid"] = resource.into();
        }
        let mut text = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        // With a buffer of the right length, only a broken key could fail; the token then has an invalid signature.
        let _ = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        let token = Token {
            audience,
            tenant: Arc::clone(tenant),
            client: Arc::clone(client),
            cloud,
            credential,
            expires: Timestamp::from_second(expires).unwrap_or(Timestamp::MAX),
        };
        let mut all = self.issued.write();
        if all.len() >= REMEMBERED {
            all.retain(|_, token| token.expires > now);
        }
        all.insert(text.clone(), Arc::new(token));
        text
    }

    /// The claims of a token, if it was issued here.
    pub fn find(&self, text: &str) -> Option<Arc<Token>> {
        self.issued.read().get(text).cloned()
    }

    /// The public key, as in `/discovery/v2.0/keys`.
    pub fn published_keys(&self) -> Value {
        let public = self.key.public_key();
        let (modulus, exponent) = (public.modulus(), public.exponent());
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(modulus.big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(exponent.big_endian_without_leading_zero()),
        }]})
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
