//! The applications that are registered with Entra ID, and their credentials.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use serde::Deserialize;
use x509_parser::{pem::Pem, public_key::PublicKey};

use super::{DEFAULT_LIFETIME, error::Refusal};

/// An application to register. The body of `PUT /applications`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// The tenant's id; a tenant exists as soon as it has an application.
    pub tenant_id: String,
    /// The application's (client's) id.
    pub client_id: String,
    /// Its secret. Absent: it has none.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Its certificates, as PEM.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// How long its tokens are valid, in seconds. Default 3599.
    #[serde(default)]
    pub token_lifetime_seconds: Option<u64>,
    /// Whether its secret has expired.
    #[serde(default)]
    pub secret_expired: bool,
}

/// A registered application.
pub struct Application {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// The application's id.
    pub client: Arc<str>,
    /// How long its tokens are valid, in seconds.
    pub token_lifetime: u64,
    secret: Option<String>,
    secret_expired: bool,
    certificates: Vec<Certificate>,
}

/// What is kept of a registered certificate.
pub struct Certificate {
    /// Its SHA-1 thumbprint, as in a JWT's `x5t`.
    pub sha1: String,
    /// Its SHA-256 thumbprint, as in a JWT's `x5t#S256`.
    pub sha256: String,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
    /// Its public key, as a PKCS#1 `RSAPublicKey`.
    pub public_key: Vec<u8>,
}

/// Why a certificate cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not PEM.
    #[error("failed to read a certificate: it is no PEM file with a CERTIFICATE block")]
    NoPem,
    /// It is not X.509.
    #[error("failed to read a certificate: it is no X.509 certificate")]
    NoX509,
    /// Its key is not an RSA key, which is all that Entra ID takes.
    #[error("failed to read a certificate: its key is no RSA key")]
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
        let certificate = pem.parse_x509().map_err(|_| CertificateError::NoX509)?;
        let key = certificate.public_key();
        if !matches!(key.parsed(), Ok(PublicKey::RSA(_))) {
            return Err(CertificateError::NoRsa);
        }
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &pem.contents));
        Ok(Self {
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
            not_after: certificate.validity().not_after.timestamp(),
            public_key: key.subject_public_key.data.to_vec(),
        })
    }
}

impl Application {
    /// Checks the secret.
    pub(super) fn check_secret(&self, secret: &str) -> Result<(), Refusal> {
        let registered = self
            .secret
            .as_ref()
            .filter(|registered| constant_time::verify_slices_are_equal(registered.as_bytes(), secret.as_bytes()).is_ok());
        match registered {
            None => Err(Refusal::WrongSecret(self.client.to_string())),
            Some(_) if self.secret_expired => Err(Refusal::ExpiredSecret(self.client.to_string())),
            Some(_) => Ok(()),
        }
    }

    /// Its certificates.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

/// All registered applications, by tenant. Ids are compared without regard to case.
#[derive(Default)]
pub struct Directory {
    tenants: RwLock<HashMap<String, HashMap<String, Arc<Application>>>>,
}

impl Directory {
    /// Registers an application, or changes it. Tokens that it has stay valid.
    ///
    /// # Errors
    /// When one of its certificates cannot be used.
    pub fn put(&self, registration: Registration) -> Result<(), CertificateError> {
        let Registration { tenant_id, client_id, client_secret, certificates, token_lifetime_seconds, secret_expired } = registration;
        let application = Application {
            tenant: tenant_id.as_str().into(),
            client: client_id.as_str().into(),
            token_lifetime: token_lifetime_seconds.unwrap_or(DEFAULT_LIFETIME),
            secret: client_secret,
            secret_expired,
            certificates: certificates.iter().map(|pem| Certificate::from_pem(pem)).collect::<Result<_, _>>()?,
        };
        let mut tenants = self.tenants.write();
        tenants.entry(tenant_id.to_lowercase()).or_default().insert(client_id.to_lowercase(), Arc::new(application));
        Ok(())
    }

    /// Whether the tenant exists.
    #[must_use]
    pub fn has_tenant(&self, tenant: &str) -> bool {
        self.tenants.read().contains_key(&tenant.to_lowercase())
    }

    /// An application of a tenant.
    #[must_use]
    pub fn find(&self, tenant: &str, client: &str) -> Option<Arc<Application>> {
        self.tenants.read().get(&tenant.to_lowercase())?.get(&client.to_lowercase()).cloned()
    }
}
