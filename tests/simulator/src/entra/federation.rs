//! Federated credentials: an application trusts the tokens that an issuer elsewhere gives to one subject, such as a service
//! account of a Kubernetes cluster.
//!
//! Sources: "Workload identity federation" of Entra ID for what is compared (issuer, subject and audience, each letter for
//! letter) and for RS256 alone; the codes and sentences as users report them to azure-workload-identity and azure/login. The
//! order in which the real one compares is assumed: the issuer, the subject, the audience, then the signature and the time.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{directory::Application, error::Refusal, jwt::Jwt};
use crate::call::Call;

/// What an issuer's key may sign with.
const ALGORITHMS: &[&str] = &["RS256"];

/// The audience that a token for Entra ID has unless the credential says otherwise.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// A token of someone else's that an application takes for its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// Who issues it: the token's `iss`.
    pub issuer: String,
    /// Whom it is issued to: the token's `sub`, `system:serviceaccount:<namespace>:<name>` for Kubernetes.
    pub subject: String,
    /// What it is for: one of them has to be in the token's `aud`. Default `api://AzureADTokenExchange`.
    #[serde(default = "exchange")]
    pub audiences: Vec<String>,
}

fn exchange() -> Vec<String> {
    vec![EXCHANGE.to_owned()]
}

/// An issuer and the keys that it publishes. The body of `PUT /issuers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerKeys {
    /// The issuer, as in its tokens' `iss`.
    pub issuer: String,
    /// The document that it publishes at its `jwks_uri`.
    pub jwks: KeySet,
}

/// A JSON Web Key Set; what is not needed of it is not looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

/// An issuer's keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the keys of the issuer '{0}' hold no RSA key with a kid, n and e in base64url, which is all that Entra ID takes")]
pub struct NoKey(String);

type PublicKey = RsaPublicKeyComponents<Vec<u8>>;

/// The issuers that Entra ID can reach, with their keys by id.
#[derive(Default)]
pub struct Issuers(RwLock<HashMap<String, HashMap<String, Arc<PublicKey>>>>);

impl Issuers {
    /// Sets what an issuer publishes.
    ///
    /// # Errors
    /// When that holds no key that can be used.
    pub fn put(&self, issuer: IssuerKeys) -> Result<(), NoKey> {
        let IssuerKeys { issuer, jwks } = issuer;
        let keys: HashMap<_, _> = jwks.keys.into_iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err(NoKey(issuer));
        }
        self.0.write().insert(issuer, keys);
        Ok(())
    }
}

fn usable(key: Key) -> Option<(String, Arc<PublicKey>)> {
    let Key { kty, kid, n, e } = key;
    let (n, e) = (URL_SAFE_NO_PAD.decode(n).ok()?, URL_SAFE_NO_PAD.decode(e).ok()?);
    (kty == "RSA" && !n.is_empty() && !e.is_empty()).then_some((kid?, Arc::new(RsaPublicKeyComponents { n, e })))
}

/// Checks that the assertion is a token that one of the application's federated credentials means.
///
/// # Errors
/// When it is not.
pub fn check(jwt: &Jwt<'_>, application: &Application, issuers: &Issuers, call: &Call) -> Result<(), Refusal> {
    let trusted = matching(jwt, application)?;
    let algorithm = jwt.algorithm(ALGORITHMS)?;
    let keys = issuers.0.read();
    let keys = keys.get(&trusted.issuer).ok_or(Refusal::IssuerUnreachable)?;
    let kid = jwt.header.kid.as_deref().unwrap_or_default();
    let key = keys.get(kid).ok_or_else(|| Refusal::UnknownIssuerKey { key: kid.to_owned(), issuer: trusted.issuer.clone() })?;
    key.verify(algorithm, jwt.signed, &jwt.signature).map_err(|_| Refusal::FederatedSignature)?;
    jwt.check_time(call.now)
}

/// The credential that the assertion fits in issuer, subject and audience.
fn matching<'a>(jwt: &Jwt<'_>, application: &'a Application) -> Result<&'a FederatedCredential, Refusal> {
    let claims = &jwt.claims;
    let all = application.federated_credentials();
    if all.is_empty() {
        return Err(Refusal::NotFederated(application.client.to_string()));
    }
    let of_issuer: Vec<_> = all.iter().filter(|credential| credential.issuer == claims.iss).collect();
    if of_issuer.is_empty() {
        return Err(Refusal::FederatedIssuer(claims.iss.clone()));
    }
    let of_subject: Vec<_> = of_issuer.iter().filter(|credential| credential.subject == claims.sub).collect();
    if of_subject.is_empty() {
        let case_alone = of_issuer.iter().any(|credential| credential.subject.eq_ignore_ascii_case(&claims.sub));
        return Err(Refusal::FederatedSubject { subject: claims.sub.clone(), case_alone });
    }
    let meant = |credential: &&&&FederatedCredential| claims.aud.names().iter().any(|audience| credential.audiences.contains(audience));
    let fitting = of_subject.iter().find(meant);
    fitting.map(|credential| **credential).ok_or_else(|| Refusal::FederatedAudience(claims.aud.names().join(", ")))
}
