//! Client assertions: JWTs that an application signs with the key of a registered certificate.
//!
//! Source: "Microsoft identity platform application authentication certificate credentials": `RS256` or `PS256`, the
//! certificate by `x5t` or `x5t#S256`, `aud` the authority, `iss` and `sub` the application.

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    directory::{Application, Certificate},
    error::Refusal,
};
use crate::{call::Call, hosts};

/// How far the clocks may be apart, in seconds.
const SKEW: i64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    x5t: Option<String>,
    #[serde(default, rename = "x5t#S256")]
    x5t_s256: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
}

/// Checks that `application` itself has signed `assertion`, for the authority that was called, and lately.
pub fn check(assertion: &str, application: &Application, call: &Call) -> Result<(), Refusal> {
    let mut pieces = assertion.splitn(3, '.');
    let (Some(header), Some(claims), Some(signature)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(Refusal::MalformedAssertion("It does not have three segments.".to_owned()));
    };
    let signed = &assertion[..header.len() + 1 + claims.len()];
    let header: Header = decode(header)?;
    let claims: Claims = decode(claims)?;
    let signature =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::MalformedAssertion("Its signature is no base64url.".to_owned()))?;

    let algorithm = match header.alg.as_str() {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        other => {
            return Err(Refusal::MalformedAssertion(format!("Its algorithm '{other}' is not supported.")));
        }
    };
    let thumbprint = header.x5t_s256.as_ref().or(header.x5t.as_ref()).or(header.kid.as_ref()).cloned().unwrap_or_default();
    let wrong = |reason| Refusal::WrongAssertion { reason, thumbprint: thumbprint.clone() };
    let certificate = application
        .certificates()
        .iter()
        .find(|certificate| is_named(certificate, &header))
        .ok_or_else(|| wrong("The key was not found."))?;
    if certificate.not_after < call.now.as_second() {
        return Err(wrong("The key used is expired."));
    }
    UnparsedPublicKey::new(algorithm, &certificate.public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| wrong("The provided signature value did not match the expected signature value."))?;

    let client = &*application.client;
    if !(claims.iss.eq_ignore_ascii_case(client) && claims.sub.eq_ignore_ascii_case(client)) {
        return Err(Refusal::AssertionIssuer(client.to_owned()));
    }
    if !is_authority(&claims.aud, call, &application.tenant) {
        return Err(Refusal::AssertionAudience(claims.aud));
    }
    let now = call.now.as_second();
    if claims.exp < now - SKEW || claims.nbf.is_some_and(|nbf| nbf > now + SKEW) {
        return Err(Refusal::AssertionTime);
    }
    Ok(())
}

fn is_named(certificate: &Certificate, header: &Header) -> bool {
    match (&header.x5t_s256, &header.x5t, &header.kid) {
        (Some(sha256), ..) => *sha256 == certificate.sha256,
        (None, Some(sha1), _) => *sha1 == certificate.sha1,
        // Older libraries name the certificate by the thumbprint in hexadecimal digits.
        (None, None, Some(kid)) => *kid == certificate.sha1 || kid.eq_ignore_ascii_case(&hexadecimal(&certificate.sha1)),
        (None, None, None) => false,
    }
}

fn hexadecimal(base64url: &str) -> String {
    use std::fmt::Write as _;
    URL_SAFE_NO_PAD.decode(base64url).unwrap_or_default().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether `audience` is the token endpoint or the issuer of the tenant at the authority that was called.
fn is_authority(audience: &str, call: &Call, tenant: &str) -> bool {
    let audience = audience.to_lowercase();
    let tenant = tenant.to_lowercase();
    let Some(rest) = audience.strip_prefix("https://") else {
        return false;
    };
    let Some((host, path)) = rest.split_once('/') else {
        return false;
    };
    let same_cloud = hosts::site(host).zip(hosts::site(&call.host)).is_some_and(|(named, called)| named == called);
    let Some(path) = path.strip_prefix(&tenant) else {
        return false;
    };
    same_cloud && matches!(path, "" | "/" | "/v2.0" | "/oauth2/token" | "/oauth2/v2.0/token")
}

fn decode<T: DeserializeOwned>(piece: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(piece).map_err(|_| Refusal::MalformedAssertion("A segment is no base64url.".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::MalformedAssertion(format!("A segment cannot be read: {error}.")))
}
