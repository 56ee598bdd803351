//! Federated credentials: an application trusts the tokens that an external issuer gives to one subject, such as a service account of a
//! Kubernetes cluster.
//!
//! Sources: "Workload identity federation" of Entra ID for the comparison (issuer, subject and audience, case-sensitive) and for the
//! restriction to RS256; the codes and texts are from reports of users of azure-workload-identity and azure/login. The order of the
//! comparisons is assumed: the issuer, the subject, the audience, then the signature and the time.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{directory::Application, error::Refusal, jwt::Jwt};
use crate::call::Call;

/// Supported signature algorithms of an issuer's key.
const ALGORITHMS: &[&str] = &["RS256"];

/// The default audience of a token for Entra ID.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// A federated credential: an external token that authenticates an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// The token's issuer: its `iss`.
    pub issuer: String,
    /// The token's subject: its `sub`, `system:serviceaccount:<namespace>:<name>` for Kubernetes.
    pub subject: String,
    /// Accepted audiences: the token's `aud` must contain one of them. Default `api://AzureADTokenExchange`.
    #[serde(default = "exchange")]
    pub audiences: Vec<String>,
}

fn exchange() -> Vec<String> {
    vec![EXCHANGE.to_owned()]
}

/// An issuer and its published keys. The body of `PUT /issuers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerKeys {
    /// The issuer, as in its tokens' `iss`.
    pub issuer: String,
    /// The document at its `jwks_uri`.
    pub jwks: KeySet,
}

/// A JSON Web Key Set; unneeded fields are ignored.
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

/// An issuer's keys are invalid.
#[derive(Debug, thiserror::Error)]
#[error("the issuer '{0}' needs an RSA key with a kid, n and e in base64url: Entra ID accepts no other keys")]
pub struct InvalidIssuerKey(String);

type PublicKey = RsaPublicKeyComponents<Vec<u8>>;

/// The issuers that Entra ID can reach, with their keys by id.
#[derive(Default)]
pub struct Issuers(RwLock<HashMap<String, HashMap<String, Arc<PublicKey>>>>);

impl Issuers {
    /// Sets the keys that an issuer publishes.
    ///
    /// # Errors
    /// When none of the keys is valid.
    pub fn put(&self, issuer: IssuerKeys) -> Result<(), InvalidIssuerKey> {
        let IssuerKeys { issuer, jwks } = issuer;
        let keys: HashMap<_, _> = jwks.keys.into_iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err(InvalidIssuerKey(issuer));
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

/// Checks that the assertion matches one of the application's federated credentials.
///
/// # Errors
/// When it does not.
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

/// The credential that matches the assertion's issuer, subject and audience.
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
