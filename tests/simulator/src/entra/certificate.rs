//! Certificates of applications: registered ones, and those included in an assertion.

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use x509_parser::{parse_x509_certificate, pem::Pem, public_key::PublicKey};

/// The stored data of a registered certificate.
pub struct Certificate {
    /// Its SHA-1 thumbprint, as in a JWT's `x5t`.
    pub sha1: String,
    /// Its SHA-256 thumbprint, as in a JWT's `x5t#S256`.
    pub sha256: String,
    /// Start of its validity, in seconds since 1970.
    pub not_before: i64,
    /// End of its validity, in seconds since 1970.
    pub not_after: i64,
    /// Its public key, as a PKCS#1 `RSAPublicKey`.
    pub public_key: Vec<u8>,
}

/// Reason to refuse a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not PEM.
    #[error("failed to read a certificate: it is not a PEM file with a CERTIFICATE block")]
    NoPem,
    /// It is not X.509.
    #[error("failed to read a certificate: it is not an X.509 certificate")]
    NoX509,
    /// Its key is not an RSA key, the only kind that Entra ID accepts.
    #[error("failed to read a certificate: its key is not an RSA key")]
    NoRsa,
}

impl Certificate {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// When there is none, or none with an RSA key.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let pem = Pem::iter_from_buffer(text.as_bytes())
            .filter_map(Result::ok)
            .find(|pem| pem.label == "CERTIFICATE")
            .ok_or(CertificateError::NoPem)?;
        Self::from_der(&pem.contents)
    }

    fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = parse_x509_certificate(der).map_err(|_| CertificateError::NoX509)?;
        let key = certificate.public_key();
        if !matches!(key.parsed(), Ok(PublicKey::RSA(_))) {
            return Err(CertificateError::NoRsa);
        }
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, der));
        Ok(Self {
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            public_key: key.subject_public_key.data.to_vec(),
        })
    }
}

/// A thumbprint as in Entra ID's messages: upper-case hexadecimal digits.
#[must_use]
pub fn hexadecimal(thumbprint: &str) -> String {
    use std::fmt::Write as _;
    URL_SAFE_NO_PAD.decode(thumbprint).unwrap_or_default().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// The reason to refuse the certificates of an assertion's `x5c`. Returns `None` if `named` comes first and each certificate is signed by
/// the next.
///
/// The real handling of a broken chain is assumed. Without subject name authentication, Entra ID identifies an application by its
/// certificate's thumbprint, but a broken chain indicates an error of the client.
#[must_use]
pub fn chain_fault(x5c: &[String], named: &Certificate) -> Option<&'static str> {
    let Some(ders) = x5c.iter().map(|one| STANDARD.decode(one).ok().map(to_der)).collect::<Option<Vec<_>>>() else {
        return Some("A certificate of 'x5c' is not base64.");
    };
    let Some(chain) = ders.iter().map(|der| parse_x509_certificate(der).ok()).collect::<Option<Vec<_>>>() else {
        return Some("A certificate of 'x5c' is not an X.509 certificate.");
    };
    if ders.first().is_none_or(|first| URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, first)) != named.sha256) {
        return Some("The first certificate of 'x5c' does not match the thumbprint.");
    }
    let is_chain_valid = chain.windows(2).all(|pair| pair[0].1.verify_signature(Some(pair[1].1.public_key())).is_ok());
    (!is_chain_valid).then_some("A certificate of 'x5c' is not signed by the next.")
}

/// The certificate in `bytes`: DER, or a PEM file, which .NET accepts too and `azure_identity` for Rust sends.
fn to_der(bytes: Vec<u8>) -> Vec<u8> {
    let pem = Pem::iter_from_buffer(&bytes).next().and_then(Result::ok);
    pem.map_or(bytes, |pem| pem.contents)
}
