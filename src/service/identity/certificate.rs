//! An application's certificate with its private key, and the assertions that are signed with it.
//!
//! Microsoft identity platform documentation, "application authentication certificate credentials": `PS256`, the
//! certificate named by `x5t#S256`, the token endpoint as audience, and a life of minutes.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::SecretText;

/// How long an assertion is good for. The documentation says "at most 5-10 minutes".
const LIFE_SECONDS: i64 = 600;

/// The least of an RSA key that is signed with, in bits; NIST allows none below.
const LEAST_BITS: usize = 2048;

/// `rsaEncryption` in DER, by which a PKCS#8 key says that it is one (RFC 8017, appendix A.1).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

/// How far into a PKCS#8 key its algorithm stands: after two lengths and a version.
const RSA_WITHIN: usize = 40;

/// A certificate that is valid, and its key.
pub(super) struct Certificate {
    key: KeyPair,
    /// The certificate itself, then those that vouch for it, as far as they were given. DER.
    chain: Vec<Vec<u8>>,
    /// When it expires.
    expires: Timestamp,
}

impl Certificate {
    /// Reads certificates and the private key of one of them, in any order, and checks all that can be checked here.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the name of the text: `holds no certificate: …`.
    pub(super) fn parse(pem: &str, now: Timestamp) -> Result<Self, String> {
        let (certificates, key) = sections(pem)?;
        let key = key_pair(&key)?;
        if certificates.is_empty() {
            return Err("holds no certificate: it must hold the certificate and its private key, both in PEM".to_owned());
        }
        let parsed: Vec<X509Certificate<'_>> = certificates
            .iter()
            .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
            .collect::<Result<_, _>>()
            .map_err(|_| "holds a certificate that cannot be read: it is no X.509 certificate".to_owned())?;
        let is_its_key =
            |certificate: &&X509Certificate<'_>| *certificate.public_key().subject_public_key.data == *key.public_key().as_ref();
        let own = parsed.iter().find(is_its_key).ok_or_else(|| {
            let rsa = parsed.iter().any(|certificate| matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(_))));
            if rsa {
                "holds a private key that belongs to none of its certificates: put a certificate and its own key into it".to_owned()
            } else {
                NOT_RSA.to_owned()
            }
        })?;
        in_its_time(own, now)?;
        let expires = Timestamp::from_second(own.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        let chain = chain(own, &parsed).into_iter().map(|certificate| certificate.as_raw().to_vec()).collect();
        Ok(Self { key, chain, expires })
    }

    /// When it expires.
    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// A signed statement that whoever sends it is `client_id`, for the token endpoint `audience` alone.
    ///
    /// Where certificates were given that vouch for the certificate, they go along (`x5c`): with them an application can
    /// trust a subject name and its issuer, and a renewed certificate needs no registration.
    ///
    /// # Errors
    /// Where the random generator of the machine fails.
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
            "exp": seconds + LIFE_SECONDS,
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "the assertion could not be signed: the machine gives no random numbers".to_owned())?;
        Ok(SecretText::new(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// Its SHA-1, by which the portal lists it.
    pub(super) fn thumbprint(&self) -> String {
        self.digest(&SHA1_FOR_LEGACY_USE_ONLY).as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        })
    }

    /// What tells it from every other: the certificate, and who vouches for it.
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

/// A private key as PEM has it.
enum Key {
    Pkcs1(Zeroizing<Vec<u8>>),
    Pkcs8(Zeroizing<Vec<u8>>),
}

const NOT_RSA: &str = "holds a key that is not an RSA key: Entra ID takes certificates with RSA keys alone";

/// The certificates (DER) and the one private key of a PEM text.
fn sections(pem: &str) -> Result<(Vec<Vec<u8>>, Key), String> {
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("holds an encrypted private key: write the key without its passphrase ('openssl pkey -in FILE'), for the Secret \
                    or the file that it is in is what protects it"
            .to_owned());
    }
    let (mut certificates, mut keys) = (Vec::new(), Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
        let (kind, der) = section.map_err(|_| "is not PEM: a block in it is damaged".to_owned())?;
        match kind {
            SectionKind::Certificate => certificates.push(der),
            SectionKind::RsaPrivateKey => keys.push(Key::Pkcs1(Zeroizing::new(der))),
            SectionKind::PrivateKey => keys.push(Key::Pkcs8(Zeroizing::new(der))),
            SectionKind::EcPrivateKey => return Err(NOT_RSA.to_owned()),
            // `openssl` writes parameters and the like beside them.
            _ => {}
        }
    }
    let Some(key) = keys.pop() else {
        return Err(if certificates.is_empty() {
            "is not PEM with a certificate and a private key; a PFX file becomes such by 'openssl pkcs12 -in FILE -nodes'".to_owned()
        } else {
            "holds no private key: it must hold the certificate and its private key, both in PEM".to_owned()
        });
    };
    if !keys.is_empty() {
        return Err("holds more than one private key: leave the key of the application's certificate alone in it".to_owned());
    }
    Ok((certificates, key))
}

fn key_pair(key: &Key) -> Result<KeyPair, String> {
    let read = match key {
        Key::Pkcs1(der) => KeyPair::from_der(der),
        Key::Pkcs8(der) if !der.iter().take(RSA_WITHIN).copied().collect::<Vec<_>>().windows(RSA.len()).any(|part| part == RSA) => {
            return Err(NOT_RSA.to_owned());
        }
        Key::Pkcs8(der) => KeyPair::from_pkcs8(der),
    };
    let too_small =
        || format!("holds an RSA key of less than {LEAST_BITS} bits: make a certificate with a key of {LEAST_BITS} bits or more");
    let key = read.map_err(|rejected| match rejected.to_string().as_str() {
        "TooSmall" => too_small(),
        _ => "holds a private key that cannot be read: it must be an RSA key of 2048 to 8192 bits, as PKCS#8 or PKCS#1".to_owned(),
    })?;
    if key.public_modulus_len() * 8 < LEAST_BITS { Err(too_small()) } else { Ok(key) }
}

fn in_its_time(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), String> {
    let validity = certificate.validity();
    let shown = |seconds: i64| Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if now.as_second() > until {
        return Err(format!("holds a certificate that expired on {}: make a new one, register it and put it here", shown(until)));
    }
    if now.as_second() < from {
        return Err(format!("holds a certificate that is not valid before {}: wait for that time, or use another", shown(from)));
    }
    Ok(())
}

/// The certificate, and above it whoever vouches for the one below, as far as they are among `all`.
fn chain<'a, 'x>(own: &'a X509Certificate<'x>, all: &'a [X509Certificate<'x>]) -> Vec<&'a X509Certificate<'x>> {
    let mut chain = vec![own];
    let mut last = own;
    while chain.len() < all.len() {
        let above = |next: &&X509Certificate<'_>| next.subject().as_raw() == last.issuer().as_raw() && !chain.contains(next);
        let Some(next) = all.iter().find(above) else { break };
        chain.push(next);
        last = next;
    }
    chain
}

#[cfg(test)]
mod tests;
