//! The applications registered with Entra ID, and their credentials.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::constant_time;
use parking_lot::RwLock;
use serde::Deserialize;

use super::{
    DEFAULT_LIFETIME,
    certificate::{Certificate, CertificateError},
    error::Refusal,
    federation::FederatedCredential,
};
use crate::hosts::Cloud;

/// Registration of an application. The body of `PUT /applications`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// The tenant's id; a tenant exists once it has an application.
    pub tenant_id: String,
    /// The name of the tenant's cloud. If all applications of a tenant omit it, every cloud knows the tenant.
    #[serde(default)]
    pub cloud: Option<String>,
    /// The application's (client's) id.
    pub client_id: String,
    /// Its secret. Absent: no secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Its certificates, as PEM.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Its federated credentials.
    #[serde(default)]
    pub federated_credentials: Vec<FederatedCredential>,
    /// Lifetime of its tokens, in seconds. Default 3599.
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
    /// Lifetime of its tokens, in seconds.
    pub token_lifetime: u64,
    secret: Option<String>,
    secret_expired: bool,
    certificates: Vec<Certificate>,
    federated_credentials: Vec<FederatedCredential>,
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

    /// Its federated credentials.
    pub(super) fn federated_credentials(&self) -> &[FederatedCredential] {
        &self.federated_credentials
    }
}

/// Reason to refuse a registration.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// One of its certificates is invalid.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its tenant already belongs to another cloud.
    #[error("the tenant '{0}' already belongs to another cloud")]
    OtherCloud(String),
}

/// The location of a tenant from the view of one cloud's authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantLocation {
    /// In this cloud.
    Here,
    /// In another cloud that this one knows: the public cloud and that of the US government know each other's tenants.
    Elsewhere,
    /// In no cloud that this one knows.
    Unknown,
}

#[derive(Default)]
struct Tenant {
    /// A name, because a declared cloud may be replaced.
    cloud: Option<String>,
    applications: HashMap<String, Arc<Application>>,
}

/// All registered applications, by tenant. Ids are case-insensitive.
#[derive(Default)]
pub struct Directory {
    tenants: RwLock<HashMap<String, Tenant>>,
}

impl Directory {
    /// Registers an application, or changes it. Its existing tokens stay valid.
    ///
    /// # Errors
    /// When one of its certificates is invalid, or its tenant belongs to another cloud.
    pub fn put(&self, registration: Registration) -> Result<(), RegistrationError> {
        let Registration {
            tenant_id,
            cloud,
            client_id,
            client_secret,
            certificates,
            federated_credentials,
            token_lifetime_seconds,
            secret_expired,
        } = registration;
        let application = Application {
            tenant: tenant_id.as_str().into(),
            client: client_id.as_str().into(),
            token_lifetime: token_lifetime_seconds.unwrap_or(DEFAULT_LIFETIME),
            secret: client_secret,
            secret_expired,
            certificates: certificates.iter().map(|pem| Certificate::from_pem(pem)).collect::<Result<_, _>>()?,
            federated_credentials,
        };
        let mut tenants = self.tenants.write();
        let tenant = tenants.entry(tenant_id.to_lowercase()).or_default();
        if cloud.as_ref().zip(tenant.cloud.as_ref()).is_some_and(|(given, known)| given != known) {
            return Err(RegistrationError::OtherCloud(tenant_id));
        }
        tenant.cloud = tenant.cloud.take().or(cloud);
        tenant.applications.insert(client_id.to_lowercase(), Arc::new(application));
        Ok(())
    }

    /// The location of a tenant from the view of `cloud`.
    #[must_use]
    pub fn locate(&self, tenant: &str, cloud: Cloud) -> TenantLocation {
        let tenants = self.tenants.read();
        let Some(tenant) = tenants.get(&tenant.to_lowercase()) else {
            return TenantLocation::Unknown;
        };
        let Some(home) = &tenant.cloud else {
            return TenantLocation::Here;
        };
        let friends = [Cloud::Public, Cloud::UsGovernment];
        if home == cloud.name() {
            TenantLocation::Here
        } else if friends.contains(&cloud) && friends.iter().any(|friend| friend.name() == home) {
            TenantLocation::Elsewhere
        } else {
            TenantLocation::Unknown
        }
    }

    /// An application of a tenant.
    #[must_use]
    pub fn find(&self, tenant: &str, client: &str) -> Option<Arc<Application>> {
        self.tenants.read().get(&tenant.to_lowercase())?.applications.get(&client.to_lowercase()).cloned()
    }
}
