//! Assertions by certificate: JWTs that an application signs with its certificate's key.
//!
//! Source: "Microsoft identity platform application authentication certificate credentials": `RS256` or `PS256`, the certificate by `x5t`
//! or `x5t#S256`, `aud` the authority, `iss` and `sub` the application, a `jti`, `nbf` and `exp`.

use aws_lc_rs::signature::UnparsedPublicKey;

use super::{
    certificate::{self, Certificate, hexadecimal},
    directory::Application,
    error::{KeyFault, Refusal},
    jwt::{Header, Jwt},
};
use crate::{
    call::Call,
    hosts::{self, Cloud},
};

/// Supported signature algorithms of a certificate's key.
const ALGORITHMS: &[&str] = &["RS256", "PS256"];

/// Checks that `application` signed the assertion for the called authority, and that the assertion is currently valid.
///
/// # Errors
/// When one of these does not hold.
pub fn check(jwt: &Jwt<'_>, application: &Application, call: &Call, cloud: Cloud) -> Result<(), Refusal> {
    let algorithm = jwt.algorithm(ALGORITHMS)?;
    let thumbprint = thumbprint(&jwt.header).ok_or(Refusal::NoThumbprint)?;
    let client = &*application.client;
    let wrong = |fault| Refusal::WrongKey { fault, thumbprint: thumbprint.clone(), client: client.to_owned() };

    let certificate = application
        .certificates()
        .iter()
        .find(|certificate| is_named(certificate, &jwt.header))
        .ok_or_else(|| wrong(KeyFault::NotRegistered))?;
    if let Some(fault) = jwt.header.x5c.as_ref().and_then(|x5c| certificate::chain_fault(x5c, certificate)) {
        return Err(Refusal::MalformedAssertion(fault.to_owned()));
    }
    let validity = (certificate.not_before, certificate.not_after);
    if certificate.not_after < call.now.as_second() {
        return Err(wrong(KeyFault::Expired(validity)));
    }
    UnparsedPublicKey::new(algorithm, &certificate.public_key)
        .verify(jwt.signed, &jwt.signature)
        .map_err(|_| wrong(KeyFault::Signature(validity)))?;

    let claims = &jwt.claims;
    if !(claims.iss.eq_ignore_ascii_case(client) && claims.sub.eq_ignore_ascii_case(client)) {
        return Err(Refusal::AssertionIssuer);
    }
    if !claims.aud.names().iter().any(|audience| is_authority(audience, cloud, &application.tenant)) {
        return Err(Refusal::AssertionAudience);
    }
    // That this claim is required is assumed: the documentation lists it among the claims, and every library sends it.
    if claims.jti.as_ref().is_none_or(String::is_empty) {
        return Err(Refusal::MalformedAssertion("It has no 'jti'.".to_owned()));
    }
    jwt.check_time(call.now)
}

/// The thumbprint of the certificate in the header, in hexadecimal digits.
fn thumbprint(header: &Header) -> Option<String> {
    match (&header.x5t_s256, &header.x5t, &header.kid) {
        (Some(sha256), ..) => Some(hexadecimal(sha256)),
        (None, Some(sha1), _) => Some(hexadecimal(sha1)),
        (None, None, kid) => kid.clone(),
    }
}

fn is_named(certificate: &Certificate, header: &Header) -> bool {
    match (&header.x5t_s256, &header.x5t, &header.kid) {
        (Some(sha256), ..) => *sha256 == certificate.sha256,
        (None, Some(sha1), _) => *sha1 == certificate.sha1,
        // Older libraries send the hexadecimal thumbprint as the key id.
        (None, None, Some(kid)) => *kid == certificate.sha1 || kid.eq_ignore_ascii_case(&hexadecimal(&certificate.sha1)),
        (None, None, None) => false,
    }
}

/// Whether `audience` is the token endpoint or the issuer of the tenant at an authority of the cloud.
fn is_authority(audience: &str, cloud: Cloud, tenant: &str) -> bool {
    let audience = audience.to_lowercase();
    let tenant = tenant.to_lowercase();
    let Some(rest) = audience.strip_prefix("https://") else {
        return false;
    };
    let Some((host, path)) = rest.split_once('/') else {
        return false;
    };
    let Some(path) = path.strip_prefix(&tenant) else {
        return false;
    };
    hosts::is_authority(host, cloud) && matches!(path, "" | "/" | "/v2.0" | "/oauth2/token" | "/oauth2/v2.0/token")
}
