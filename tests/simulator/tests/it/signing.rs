//! Keys and certificates of the tests, and JWTs signed with them.

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64},
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// A key and its certificate.
pub struct Signer {
    key: RsaKeyPair,
    pub pem: String,
    pub der: Vec<u8>,
}

impl Signer {
    fn new(key: &KeyPair, certificate: &Certificate) -> Self {
        Self { key: RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(), pem: certificate.pem(), der: certificate.der().to_vec() }
    }

    /// Creates a self-signed certificate.
    pub fn own(expired: bool) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let certificate = params.self_signed(&key).unwrap();
        Self::new(&key, &certificate)
    }

    /// Creates a certificate signed by an authority; also returns the authority's certificate.
    pub fn signed_by_authority() -> (Self, Vec<u8>) {
        let authority_key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let leaf = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::from_params(&params, &authority_key)).unwrap();
        (Self::new(&key, &leaf), authority.der().to_vec())
    }

    /// Its SHA-256 thumbprint, as `x5t#S256`.
    pub fn sha256(&self) -> String {
        BASE64.encode(digest::digest(&digest::SHA256, &self.der))
    }

    /// Its SHA-1 thumbprint, as `x5t`.
    pub fn sha1(&self) -> String {
        BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }

    /// A JWT signed with the algorithm in the header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let padding: &'static dyn RsaEncoding = if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", BASE64.encode(signature))
    }

    /// Its public key, as published by an issuer.
    pub fn jwks(&self, kid: &str) -> Value {
        let public = self.key.public_key();
        let part = |bytes: &[u8]| BASE64.encode(bytes);
        let (n, e) = (part(public.modulus().big_endian_without_leading_zero()), part(public.exponent().big_endian_without_leading_zero()));
        json!({"keys": [{"use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": e}]})
    }
}

/// A certificate in the encoding of `x5c`.
pub fn base64(der: &[u8]) -> String {
    STANDARD.encode(der)
}
