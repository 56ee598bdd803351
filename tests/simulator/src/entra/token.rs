//! Access tokens: signed JWTs as Entra ID issues them, and what the services read from them.

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

/// So many tokens are remembered before those that have expired are forgotten.
const REMEMBERED: usize = 20_000;

/// The signing key could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the key that tokens are signed with")]
pub struct KeyError;

/// How an identity proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a secret that it shares with Entra ID.
    Secret,
    /// By the key of a certificate.
    Certificate,
    /// By a token of an issuer that it trusts.
    Federated,
    /// By the machine that it runs on.
    Managed,
}

impl Way {
    /// Its word in the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated",
            Self::Managed => "managed",
        }
    }

    /// The claim `appidacr`: 1 for a secret, 2 for anything that is signed.
    fn strength(self) -> &'static str {
        match self {
            Self::Secret => "1",
            Self::Certificate | Self::Federated | Self::Managed => "2",
        }
    }
}

/// Whom a token is issued to.
pub struct Principal<'a> {
    /// The tenant.
    pub tenant: &'a Arc<str>,
    /// The application, or the managed identity's client id.
    pub client: &'a Arc<str>,
    /// The service principal's id in the directory; one that is always the same where nobody has said.
    pub object: Option<&'a str>,
    /// The Azure resource that a managed identity is.
    pub resource: Option<&'a str>,
    /// How it has proved itself.
    pub way: Way,
    /// How long the token is valid, in seconds.
    pub lifetime: u64,
}

/// A token that was issued.
#[derive(Debug)]
pub struct Token {
    /// The resource that it is for.
    pub audience: &'static str,
    /// The tenant of the application.
    pub tenant: Arc<str>,
    /// The application.
    pub client: Arc<str>,
    /// The cloud whose authority has issued it.
    pub cloud: Cloud,
    /// How the application has proved itself.
    pub way: Way,
    /// When it expires.
    pub expires: Timestamp,
}

/// Issues tokens, and knows those that it has issued, so that checking one costs a look instead of a signature.
pub struct Mint {
    key: KeyPair,
    key_id: String,
    issued: RwLock<HashMap<String, Arc<Token>>>,
}

impl Mint {
    /// A mint with a key of its own.
    pub fn new() -> Result<Self, KeyError> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
        let key_id = URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
        Ok(Self { key, key_id, issued: RwLock::default() })
    }

    /// Issues a token with the claims of a version 1 access token, which is what both services get.
    pub fn issue(&self, principal: &Principal<'_>, audience: &'static str, cloud: Cloud, now: Timestamp) -> String {
        let Principal { tenant, client, object, resource, way, lifetime } = *principal;
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
            "appidacr": way.strength(),
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
        // With a buffer of the right length only a broken key could fail; the token is then as unsigned as it looks.
        let _ = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        let token = Token {
            audience,
            tenant: Arc::clone(tenant),
            client: Arc::clone(client),
            cloud,
            way,
            expires: Timestamp::from_second(expires).unwrap_or(Timestamp::MAX),
        };
        let mut all = self.issued.write();
        if all.len() >= REMEMBERED {
            all.retain(|_, token| token.expires > now);
        }
        all.insert(text.clone(), Arc::new(token));
        text
    }

    /// What a token says, if it was issued here.
    pub fn find(&self, text: &str) -> Option<Arc<Token>> {
        self.issued.read().get(text).cloned()
    }

    /// The public key, as `/discovery/v2.0/keys` shows it.
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
