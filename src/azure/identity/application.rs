//! An application of Entra ID, and its credential.

use std::sync::Arc;

use super::certificate::Certificate;
use super::{AssertionSource, Fingerprint, SecretText, value};
use crate::azure::cloud::is_dns_label;

/// An application. Its ids always have a format that is safe in a URL.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) tenant_id: String,
    pub(super) client_id: String,
    pub(super) credential: Credential,
    pub(super) field_names: FieldNames,
}

/// The credential of an application.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    Secret(SecretText),
    Certificate(Arc<Certificate>),
    Federated(Arc<dyn AssertionSource>),
}

/// The names of the values of an identity in the user's configuration, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldNames {
    /// Name of the tenant id.
    pub tenant: &'static str,
    /// Name of the application's (client) id.
    pub client: &'static str,
    /// Name of the client secret.
    pub secret: &'static str,
    /// Name of the certificate with its key.
    pub certificate: &'static str,
}

impl FieldNames {
    /// The keys of a Secret.
    pub const SECRET_KEYS: Self = Self { tenant: "tenantId", client: "clientId", secret: "clientSecret", certificate: "clientCertificate" };

    /// The environment variables of Microsoft's own libraries.
    pub const VARIABLES: Self = Self {
        tenant: "AZURE_TENANT_ID",
        client: "AZURE_CLIENT_ID",
        secret: "AZURE_CLIENT_SECRET",
        certificate: "the file in AZURE_CLIENT_CERTIFICATE_PATH",
    };
}

impl Application {
    pub(super) fn new(tenant: &str, client: &str, credential: Credential, field_names: FieldNames) -> Result<Self, String> {
        let tenant_id = value::id(
            tenant,
            |id| value::is_guid(id) || is_domain(id),
            "must be the tenant's GUID or its domain, such as contoso.onmicrosoft.com",
        )
        .map_err(|fault| format!("{} {fault}", field_names.tenant))?;
        Ok(Self { tenant_id, client_id: client_id(client, field_names)?, credential, field_names })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let (tenant, client) = (self.tenant_id.as_bytes(), self.client_id.as_bytes());
        match &self.credential {
            Credential::Secret(secret) => Fingerprint::of(&[b"secret", tenant, client, secret.expose().as_bytes()]),
            Credential::Certificate(certificate) => {
                let parts: Vec<&[u8]> = [b"certificate".as_slice(), tenant, client].into_iter().chain(certificate.parts()).collect();
                Fingerprint::of(&parts)
            }
            Credential::Federated(source) => Fingerprint::of(&[b"federated", tenant, client, source.key().as_bytes()]),
        }
    }
}

/// Parses the (client) id of an application or a managed identity.
pub(super) fn client_id(text: &str, field_names: FieldNames) -> Result<String, String> {
    value::id(text, value::is_guid, "must be the application's (client) id, a GUID")
        .map_err(|fault| format!("{} {fault}", field_names.client))
}

/// Whether a text is a domain name with at least two labels.
fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').count() >= 2 && text.split('.').all(is_dns_label)
}
