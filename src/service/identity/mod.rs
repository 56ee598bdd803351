//! Whom the services are called as.

mod cache;
pub(super) mod entra;
mod refusal;
mod secret;
pub(super) mod tokens;

use sha2::{Digest, Sha256};

pub use secret::SecretText;

/// An identity that tokens are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An application of Entra ID with a client secret.
    ServicePrincipalSecret(ServicePrincipalSecret),
}

/// An application of Entra ID with a client secret. Made by [`Identity::service_principal_secret`] alone, so that
/// its ids are always of a shape that may stand in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePrincipalSecret {
    tenant_id: String,
    client_id: String,
    client_secret: SecretText,
}

impl Identity {
    /// A service principal with a client secret. Blanks around the ids, and a line break after the secret, are what
    /// editors and shells leave behind, and are taken off.
    ///
    /// # Errors
    /// One sentence that names the key (`tenantId`, `clientId` or `clientSecret`) and says what it must be.
    pub fn service_principal_secret(tenant_id: &str, client_id: &str, client_secret: &str) -> Result<Self, String> {
        let (tenant_id, client_id) = (tenant_id.trim(), client_id.trim());
        if !guid(tenant_id) && !domain(tenant_id) {
            return Err("tenantId must be the tenant's GUID or its domain, like contoso.onmicrosoft.com".to_owned());
        }
        if !guid(client_id) {
            return Err("clientId must be the application's (client) id, a GUID".to_owned());
        }
        let client_secret = client_secret.trim_end_matches(['\r', '\n']);
        if client_secret.is_empty() {
            return Err("clientSecret is empty: it must be the value of a client secret of the application".to_owned());
        }
        Ok(Self::ServicePrincipalSecret(ServicePrincipalSecret {
            tenant_id: tenant_id.to_ascii_lowercase(),
            client_id: client_id.to_ascii_lowercase(),
            client_secret: SecretText::new(client_secret),
        }))
    }

    /// What tells this identity from every other; a changed secret is another identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::ServicePrincipalSecret(principal) => Fingerprint::of(&[
                b"service principal secret",
                principal.tenant_id.as_bytes(),
                principal.client_id.as_bytes(),
                principal.client_secret.expose().as_bytes(),
            ]),
        }
    }
}

/// A SHA-256 of all that an identity consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length before it, no part can be taken for the end of the one before.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Whether a text is a GUID, 8-4-4-4-12 hexadecimal digits.
fn guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Whether a text is a domain name of two labels or more.
fn domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').count() >= 2 && text.split('.').all(super::cloud::dns_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

    #[test]
    fn ids_are_checked_before_they_stand_in_a_url() {
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
            let message = Identity::service_principal_secret(tenant, client, secret).unwrap_err();
            assert!(message.starts_with(key), "{message}");
        }
        assert!(Identity::service_principal_secret(" contoso.onmicrosoft.com\n", &format!("{GUID}\n"), "s\n").is_ok());
    }

    #[test]
    fn a_changed_secret_is_another_identity() {
        let of = |secret| Identity::service_principal_secret(GUID, GUID, secret).unwrap();
        assert_eq!(of("a").fingerprint(), of("a\n").fingerprint());
        assert_ne!(of("a").fingerprint(), of("b").fingerprint());
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }

    #[test]
    fn no_secret_is_printed() {
        let identity = Identity::service_principal_secret(GUID, GUID, "planted-secret").unwrap();
        assert!(!format!("{identity:?} {identity:#?}").contains("planted"));
    }
}
