//! The simulator's certificate authority, created at startup; it issues a certificate per host name on demand.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Failure to create a certificate or its TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate could not be created.
    #[error("failed to create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate could not be used for TLS.
    #[error("failed to set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The authority. Its private key exists only in this process.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    configurations: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    /// Creates a new authority, valid from last year to the year after next.
    ///
    /// # Errors
    /// When the key or the certificate cannot be created.
    pub fn new() -> Result<Self, Error> {
        let mut params = params(Vec::new(), "Tabular simulator authority")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate, configurations: Mutex::default() })
    }

    /// The authority's certificate as PEM, for the trust store of clients.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The TLS configuration for `host`: a certificate for this name only, HTTP/2 and HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// When the certificate cannot be created, for example for an invalid name.
    pub fn server_config(&self, host: &str) -> Result<Arc<ServerConfig>, Error> {
        if let Some(config) = self.configurations.lock().get(host) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.new_server_config(host)?);
        self.configurations.lock().insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn new_server_config(&self, host: &str) -> Result<ServerConfig, Error> {
        let mut params = params(vec![host.to_owned()], host)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = vec![CertificateDer::from(leaf), self.certificate.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Common parameters of all certificates. Public clients reject certificates that are valid for more than 825 days, so the validity is
/// short.
fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, Error> {
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    let mut params = CertificateParams::new(names)?;
    params.not_before = rcgen::date_time_ymd(year, 1, 1) - std::time::Duration::from_hours(24);
    params.not_after = rcgen::date_time_ymd(year + 1, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
