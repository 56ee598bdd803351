//! The certificate of an application with its private key, and the assertions signed with it.
//!
//! Microsoft identity platform documentation, "application authentication certificate credentials": `PS256`, the certificate identified by
//! `x5t#S256`, the token endpoint as audience, and a lifetime of minutes.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::der::{self, Content};
use super::pem::{self, Block};
use super::{SecretText, value};

/// Lifetime of an assertion. The documentation recommends "at most 5-10 minutes".
const LIFETIME_SECONDS: i64 = 600;

/// Minimum size of an RSA key, in bits. NIST allows no smaller one.
const MIN_KEY_BITS: usize = 2048;

/// A valid certificate, and its key.
pub(super) struct Certificate {
    key: KeyPair,
    /// The certificate, then its chain, as far as given. DER.
    chain: Vec<Vec<u8>>,
    /// When the certificate expires.
    expires: Timestamp,
}

impl Certificate {
    /// Parses certificates and the private key of one of them, in any order, and validates them as far as possible without a request.
    ///
    /// # Errors
    /// The problem, as the rest of a sentence that starts with the name of the text: `contains no certificate: …`.
    pub(super) fn parse(pem: &str, now: Timestamp) -> Result<Self, String> {
        let Contents { certificates, key } = Contents::of(pem)?;
        let parsed: Vec<X509Certificate<'_>> =
            certificates.iter().filter_map(|der| X509Certificate::from_der(der).ok()).map(|(_, certificate)| certificate).collect();
        let is_its_key =
            |certificate: &&X509Certificate<'_>| *certificate.public_key().subject_public_key.data == *key.public_key().as_ref();
        // A renewed certificate may have the key of the previous one.
        let in_time = |certificate: &&X509Certificate<'_>| check_validity(certificate, now).is_ok();
        let lasts = |certificate: &&X509Certificate<'_>| certificate.validity().not_after.timestamp();
        let own =
            parsed.iter().filter(is_its_key).max_by_key(|certificate| (in_time(certificate), lasts(certificate))).ok_or_else(|| {
                let rsa = parsed.iter().any(|certificate| matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(_))));
                if rsa {
                    "contains a private key that belongs to none of its certificates: put a certificate and its own key into it".to_owned()
                } else {
                    NOT_RSA.to_owned()
                }
            })?;
        check_validity(own, now)?;
        let expires = Timestamp::from_second(own.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        let chain = chain(own, &parsed).into_iter().map(|certificate| certificate.as_raw().to_vec()).collect();
        Ok(Self { key, chain, expires })
    }

    /// When the certificate expires.
    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Signs an assertion that the sender is `client_id`, for the token endpoint `audience` only.
    ///
    /// Includes the chain of the certificate if it was given (`x5c`). With the chain, an application can trust a subject name and its
    /// issuer, so a renewed certificate needs no registration.
    ///
    /// # Errors
    /// If the random number generator of the machine fails.
    pub(super) fn assertion(&self, client_id: &str, audience: &str, now: Timestamp) -> Result<SecretText, String> {
        let mut header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(self.digest(&SHA256))});
        if self.chain.len() > 1 {
            header["x5c"] = self.chain.iter().map(|der| STANDARD.encode(der)).collect();
        }
        let seconds = now.as_second();
        let claims = json!({
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "jti": uuid::Uuid::new_v4().to_string(),
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + LIFETIME_SECONDS,
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "failed to sign the assertion: the machine provides no random numbers".to_owned())?;
        Ok(SecretText::new(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// The SHA-1 thumbprint, which the portal displays.
    pub(super) fn thumbprint(&self) -> String {
        self.digest(&SHA1_FOR_LEGACY_USE_ONLY).as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        })
    }

    /// The parts that identify the credential: the certificate and its chain.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(Vec::as_slice)
    }

    fn digest(&self, algorithm: &'static digest::Algorithm) -> digest::Digest {
        digest::digest(algorithm, self.chain.first().map_or(&[], Vec::as_slice))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, key [redacted])", self.thumbprint())
    }
}

const NOT_RSA: &str = "contains a key that is not an RSA key: Entra ID accepts only certificates with RSA keys";
const ENCRYPTED: &str = "holds an encrypted private key: write the key without its passphrase ('openssl pkey -in FILE'), for the Secret \
                         or the file that it is in is what protects it";

/// The relevant content of a PEM text: certificates, and one private key.
struct Contents {
    certificates: Vec<Vec<u8>>,
    key: KeyPair,
}

impl Contents {
    fn of(text: &str) -> Result<Self, String> {
        let blocks = pem::blocks(text)?;
        if blocks.is_empty() {
            return Err(value::describe_non_pem(text));
        }
        let (mut certificates, mut keys, mut others) = (Vec::<Vec<u8>>::new(), Vec::<KeyPair>::new(), Vec::new());
        for Block { label, der, encrypted } in &blocks {
            let content = if *encrypted { Some(Content::EncryptedKey) } else { Content::of(der) };
            match content {
                Some(Content::EncryptedKey) => return Err(ENCRYPTED.to_owned()),
                Some(Content::OtherKey) => return Err(NOT_RSA.to_owned()),
                Some(Content::OpenSshKey) => {
                    return Err(format!("contains {}: {}", Content::OpenSshKey.name(), Content::OpenSshKey.conversion()));
                }
                // `openssl` writes parameters next to them. Two numbers may also be a public key.
                None | Some(Content::PublicKey) if label.ends_with("PARAMETERS") || label.ends_with("CRL") => {}
                None => return Err(pem::damaged(label)),
                Some(_) if !der::is_complete(der) => return Err(pem::damaged(label)),
                Some(Content::Certificate) => {
                    others.push((*label, Content::Certificate));
                    if !certificates.contains(der) {
                        certificates.push(der.to_vec());
                    }
                }
                Some(content @ (Content::RsaPkcs8 | Content::RsaPkcs1)) => {
                    others.push((*label, content));
                    let key = key_pair(der, content)?;
                    if keys.iter().all(|known| known.public_key().as_ref() != key.public_key().as_ref()) {
                        keys.push(key);
                    }
                }
                Some(content @ (Content::PublicKey | Content::Request | Content::Bundle | Content::Pfx)) => others.push((*label, content)),
            }
        }
        let Some(key) = keys.pop() else { return Err(missing("private key", "PRIVATE KEY", &others)) };
        if !keys.is_empty() {
            return Err("contains more than one private key: keep only the key of the application's certificate".to_owned());
        }
        if certificates.is_empty() {
            return Err(missing("certificate", "CERTIFICATE", &others));
        }
        Ok(Self { certificates, key })
    }
}

/// The error for a missing certificate or private key, with the block that is present instead.
fn missing(what: &str, label: &str, others: &[(&str, Content)]) -> String {
    let in_its_place = others.iter().find(|(found, _)| found.ends_with(label));
    let related = |(_, content): &&(&str, Content)| match content {
        Content::PublicKey => label == "PRIVATE KEY",
        Content::Request | Content::Bundle => label == "CERTIFICATE",
        Content::Pfx => true,
        Content::Certificate | Content::RsaPkcs8 | Content::RsaPkcs1 | Content::OtherKey | Content::OpenSshKey | Content::EncryptedKey => {
            false
        }
    };
    let Some((found, content)) = in_its_place.or_else(|| others.iter().find(related)) else {
        return format!("contains no {what}: it must contain the certificate and its private key, both in PEM");
    };
    let though = if in_its_place.is_some() { format!(", although it starts with BEGIN {found}") } else { String::new() };
    let converts = matches!(content, Content::Pfx | Content::Bundle);
    let remedy = if converts { content.conversion() } else { "put the certificate and its private key there, both in PEM" };
    format!("contains no {what}: the block contains {}{though}; {remedy}", content.name())
}

fn key_pair(der: &[u8], content: Content) -> Result<KeyPair, String> {
    let read = if content == Content::RsaPkcs1 { KeyPair::from_der(der) } else { KeyPair::from_pkcs8(der) };
    let too_small =
        || format!("contains an RSA key of less than {MIN_KEY_BITS} bits: create a certificate with a key of {MIN_KEY_BITS} bits or more");
    let key = read.map_err(|rejected| match rejected.to_string().as_str() {
        "TooSmall" => too_small(),
        _ => "contains an invalid private key: it must be an RSA key of 2048 to 8192 bits, as PKCS#8 or PKCS#1".to_owned(),
    })?;
    if key.public_modulus_len() * 8 < MIN_KEY_BITS { Err(too_small()) } else { Ok(key) }
}

fn check_validity(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), String> {
    let validity = certificate.validity();
    let shown = |seconds: i64| Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if now.as_second() > until {
        return Err(format!("contains a certificate that expired on {}: create a new one, register it and put it here", shown(until)));
    }
    if now.as_second() < from {
        return Err(format!("contains a certificate that is not valid before {}: wait for that time, or use another one", shown(from)));
    }
    Ok(())
}

/// The certificate, followed by the issuer of each one, as far as they are in `all`.
fn chain<'a, 'x>(own: &'a X509Certificate<'x>, all: &'a [X509Certificate<'x>]) -> Vec<&'a X509Certificate<'x>> {
    let mut chain = vec![own];
    let mut last = own;
    // A self-signed certificate has no other issuer, even if there are others with its name.
    while chain.len() < all.len() && last.subject().as_raw() != last.issuer().as_raw() {
        let above = |next: &&X509Certificate<'_>| next.subject().as_raw() == last.issuer().as_raw() && !chain.contains(next);
        let Some(next) = all.iter().find(above) else { break };
        chain.push(next);
        last = next;
    }
    chain
}

#[cfg(test)]
mod tests;
