//! An identity of any kind.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::application::{Application, Credential, FieldNames};
use super::assertion::AssertionSource;
use super::certificate::Certificate;
use super::fingerprint::Fingerprint;
use super::secret::SecretText;
use super::value;
use crate::operation::IdentityKind;

/// An identity with its credential. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(super) kind: IdentityKind,
    pub(super) source: TokenSource,
}

/// The source of tokens.
#[derive(Clone, Debug)]
pub(super) enum TokenSource {
    /// Entra ID, with a credential.
    Application(Application),
    /// The machine, for the identity with this client id, or for its only one.
    Managed { client_id: Option<String> },
}

impl Identity {
    /// A service principal with a client secret. The secret is sent unchanged, except for the parts that [`super::value`] removes.
    ///
    /// # Errors
    /// One sentence with the name and the constraints of the value.
    pub fn service_principal_secret(tenant: &str, client: &str, secret: &str, field_names: FieldNames) -> Result<Self, String> {
        if value::is_empty(secret) {
            return Err(format!("{} is empty: it must be the value of a client secret of the application", field_names.secret));
        }
        if secret.contains("-----BEGIN ") {
            return Err(format!(
                "{} contains PEM: put a certificate and its private key into {}",
                field_names.secret, field_names.certificate
            ));
        }
        let secret = value::plain(secret).map_err(|fault| format!("{} {fault}", field_names.secret))?;
        let credential = Credential::Secret(SecretText::new(secret));
        Self::application(IdentityKind::ServicePrincipal, tenant, client, credential, field_names)
    }

    /// A service principal with a certificate: PEM text with the certificate, its RSA key and optionally its chain, in any order. `now`
    /// must be within the validity period of the certificate.
    ///
    /// # Errors
    /// One sentence with the name and the problem of the value.
    pub fn service_principal_certificate(
        tenant: &str,
        client: &str,
        pem: &str,
        now: Timestamp,
        field_names: FieldNames,
    ) -> Result<Self, String> {
        let certificate = Certificate::parse(pem, now).map_err(|fault| format!("{} {fault}", field_names.certificate))?;
        Self::application(IdentityKind::ServicePrincipal, tenant, client, Credential::Certificate(Arc::new(certificate)), field_names)
    }

    /// An application that authenticates with tokens of another issuer.
    ///
    /// # Errors
    /// One sentence with the name and the constraints of the value.
    pub fn workload_identity(
        tenant: &str,
        client: &str,
        source: Arc<dyn AssertionSource>,
        field_names: FieldNames,
    ) -> Result<Self, String> {
        Self::application(IdentityKind::WorkloadIdentity, tenant, client, Credential::Federated(source), field_names)
    }

    /// A managed identity of this machine: the user-assigned one with this client id, or the system-assigned one.
    #[must_use]
    pub fn managed(client_id: Option<&str>) -> Self {
        let client_id = client_id.map(|id| id.trim().to_ascii_lowercase());
        Self { kind: IdentityKind::ManagedIdentity, source: TokenSource::Managed { client_id } }
    }

    fn application(
        kind: IdentityKind,
        tenant: &str,
        client: &str,
        credential: Credential,
        field_names: FieldNames,
    ) -> Result<Self, String> {
        Ok(Self { kind, source: TokenSource::Application(Application::new(tenant, client, credential, field_names)?) })
    }

    /// The same identity, counted as the operator's own.
    pub(super) fn of_operator(self) -> Self {
        Self { kind: IdentityKind::Operator, ..self }
    }

    /// When the credential expires, if known: only for a certificate.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        match &self.source {
            TokenSource::Application(application) => match &application.credential {
                Credential::Certificate(certificate) => Some(certificate.expires()),
                Credential::Secret(_) | Credential::Federated(_) => None,
            },
            TokenSource::Managed { client_id: _ } => None,
        }
    }

    /// Identifies this identity. A changed secret or certificate is another identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match &self.source {
            TokenSource::Application(application) => application.fingerprint(),
            TokenSource::Managed { client_id } => {
                Fingerprint::of(&[b"managed identity", client_id.as_deref().unwrap_or_default().as_bytes()])
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, {:?})", self.kind, self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

    #[test]
    fn ids_are_validated_before_use_in_a_url() {
        let rows = [
            ("", GUID, "s", "tenantId"),
            ("common", GUID, "s", "tenantId"),
            ("../x", GUID, "s", "tenantId"),
            ("a.b/c", GUID, "s", "tenantId"),
            ("contoso..com", GUID, "s", "tenantId"),
            (GUID, "", "s", "clientId"),
            (GUID, "my-app", "s", "clientId"),
            (GUID, GUID, "", "clientSecret"),
            (GUID, GUID, "\n", "clientSecret"),
        ];
        for (tenant, client, secret, key) in rows {
            let message = Identity::service_principal_secret(tenant, client, secret, FieldNames::SECRET_KEYS).unwrap_err();
            assert!(message.starts_with(key), "{message}");
        }
        assert!(
            Identity::service_principal_secret(" contoso.onmicrosoft.com\n", &format!("{GUID}\n"), "s\n", FieldNames::SECRET_KEYS).is_ok()
        );
    }

    #[test]
    fn changed_secret_is_another_identity() {
        let of = |secret| Identity::service_principal_secret(GUID, GUID, secret, FieldNames::SECRET_KEYS).unwrap();
        assert_eq!(of("a").fingerprint(), of("a\n").fingerprint());
        assert_ne!(of("a").fingerprint(), of("b").fingerprint());
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }

    #[test]
    fn no_secret_is_printed() {
        let identity = Identity::service_principal_secret(GUID, GUID, "planted-secret", FieldNames::SECRET_KEYS).unwrap();
        assert!(!format!("{identity:?} {identity:#?}").contains("planted"));
    }
}
