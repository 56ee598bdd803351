//! A federated `ServiceAccount`: its annotations name its identity in Entra ID, and its tokens authenticate it.
//!
//! The annotations are those of Azure Workload Identity. A tenant can set them freely, so they grant nothing: an application accepts
//! this account only if its owner created a federated credential for it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};

use super::error::{CredentialError, blocker, unavailable};
use super::rbac_hint::RbacHint;
use crate::api::Reason;
use crate::azure::identity::{AUDIENCE, AssertionSource, FieldNames, Identity, SecretText, value};
use crate::controller::cluster::resource_api::REQUEST_TIMEOUT;
use crate::controller::cluster::timeout::with_timeout;
use crate::operation::{ServiceError, ServiceErrorKind};

const CLIENT: &str = "azure.workload.identity/client-id";
const TENANT: &str = "azure.workload.identity/tenant-id";

/// The names of the annotations in messages. There is neither a secret nor a certificate.
const ANNOTATIONS: FieldNames = FieldNames {
    tenant: "its annotation azure.workload.identity/tenant-id",
    client: "its annotation azure.workload.identity/client-id",
    secret: "no secret",
    certificate: "no certificate",
};

/// The validity of a token of the account, in seconds: the minimum that Kubernetes allows. It serves one exchange.
const TOKEN_SECONDS: i64 = 600;

pub(super) async fn read(client: &Client, rbac_hint: &RbacHint, namespace: &str, name: &str) -> Result<Identity, CredentialError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = match with_timeout(REQUEST_TIMEOUT, accounts.get(name)).await {
        Ok(account) => account,
        Err(error) if error.is_not_found() => {
            let message = format!(
                "ServiceAccount {name} not found in namespace {namespace}: create it with the annotations {CLIENT} and {TENANT}, or \
                 correct spec.credentials.workloadIdentity.serviceAccountName"
            );
            return Err(blocker(Reason::ServiceAccountNotFound, message));
        }
        Err(error) if error.status() == Some(403) => {
            let command = rbac_hint.tokens(namespace, name).await;
            let message =
                format!("the operator is not allowed to read ServiceAccount {name}: have an administrator of the namespace run: {command}");
            return Err(blocker(Reason::ServiceAccountForbidden, message));
        }
        Err(error) => return Err(unavailable(&format!("ServiceAccount {name}"), &error)),
    };
    let uid = account.uid().unwrap_or_default();
    let source = Tokens { accounts, namespace: namespace.to_owned(), name: name.to_owned(), uid, rbac_hint: rbac_hint.clone() };
    identity_of(&account, Arc::new(source)).map_err(|message| blocker(Reason::ServiceAccountInvalid, message))
}

/// The identity that the annotations of an account name, or one sentence that states their fault.
pub(super) fn identity_of(account: &ServiceAccount, source: Arc<dyn AssertionSource>) -> Result<Identity, String> {
    let name = account.name_any();
    let annotation = |key: &str, what: &str| {
        let text = account.annotations().get(key).filter(|text| !value::is_empty(text));
        text.ok_or_else(|| format!("ServiceAccount {name} has no annotation {key}: set it to {what}"))
    };
    let client = annotation(CLIENT, "the client id of the application or managed identity that it is federated with")?;
    let tenant = annotation(TENANT, "the id of the tenant that has the application or managed identity")?;
    Identity::workload_identity(tenant, client, source, ANNOTATIONS)
        .map_err(|error| format!("ServiceAccount {name} cannot be used: {error}"))
}

/// The tokens of one account.
struct Tokens {
    accounts: Api<ServiceAccount>,
    namespace: String,
    name: String,
    /// Distinguishes accounts of the same name.
    uid: String,
    rbac_hint: RbacHint,
}

#[async_trait]
impl AssertionSource for Tokens {
    fn key(&self) -> String {
        format!("ServiceAccount {}/{} {}", self.namespace, self.name, self.uid)
    }

    async fn assertion(&self) -> Result<SecretText, ServiceError> {
        let spec = TokenRequestSpec {
            audiences: vec![AUDIENCE.to_owned()],
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let name = &self.name;
        match with_timeout(REQUEST_TIMEOUT, self.accounts.create_token_request(name, &PostParams::default(), &request)).await {
            Ok(response) => {
                let token = response.status.map(|status| zeroize::Zeroizing::new(status.token)).filter(|token| !token.is_empty());
                let nothing =
                    || ServiceError::new(ServiceErrorKind::InvalidResponse, "the Kubernetes API returned a response without a token");
                token.map(|token| SecretText::new(&token)).ok_or_else(nothing)
            }
            Err(error) if error.status() == Some(403) => {
                let command = self.rbac_hint.tokens(&self.namespace, name).await;
                let message = format!(
                    "the operator is not allowed to request a token of ServiceAccount {name}: have an administrator of the namespace run: {command}"
                );
                Err(ServiceError::new(ServiceErrorKind::AssertionRefused, message))
            }
            Err(error) if error.is_not_found() => {
                let message = format!("ServiceAccount {name} no longer exists in namespace {}", self.namespace);
                Err(ServiceError::new(ServiceErrorKind::AssertionRefused, message))
            }
            Err(error) => Err(ServiceError::new(
                ServiceErrorKind::Unreachable,
                format!("failed to request a token of ServiceAccount {name}: {error}"),
            )),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({}/{})", self.namespace, self.name)
    }
}
