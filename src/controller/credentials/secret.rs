//! A service principal in a Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::error::{CredentialError, blocker, unavailable};
use super::rbac_hint::RbacHint;
use crate::api::Reason;
use crate::azure::identity::{FieldNames, Identity, value};
use crate::controller::cluster::resource_api::REQUEST_TIMEOUT;
use crate::controller::cluster::timeout::with_timeout;

const KEYS: &str = "the keys tenantId, clientId and one of clientSecret and clientCertificate";

/// The longest id or client secret, in bytes, so that cached Secrets stay small compared with the memory limit.
const LONGEST_VALUE: usize = 4 * 1024;
/// The longest PEM text, in bytes. A certificate with its chain and its key has up to 12 KiB.
const LONGEST_CERTIFICATE: usize = 32 * 1024;

pub(super) async fn read(client: &Client, rbac_hint: &RbacHint, namespace: &str, name: &str) -> Result<Identity, CredentialError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match with_timeout(REQUEST_TIMEOUT, secrets.get(name)).await {
        Ok(secret) => secret,
        Err(error) if error.is_not_found() => {
            let message = format!(
                "Secret {name} not found in namespace {namespace}: create it with {KEYS}, or correct spec.credentials.servicePrincipalRef.name"
            );
            return Err(blocker(Reason::SecretNotFound, message));
        }
        Err(error) if error.status() == Some(403) => {
            let command = rbac_hint.secret(namespace, name).await;
            let message =
                format!("the operator is not allowed to read Secret {name}: have an administrator of the namespace run: {command}");
            return Err(blocker(Reason::SecretForbidden, message));
        }
        Err(error) => return Err(unavailable(&format!("Secret {name}"), &error)),
    };
    if secret.data.as_ref().is_none_or(BTreeMap::is_empty) {
        // Some controllers create a Secret first and fill it later.
        let message = format!("Secret {name} in namespace {namespace} has no keys yet: add {KEYS}");
        return Err(blocker(Reason::SecretNotFound, message));
    }
    identity_of(name, &secret, Timestamp::now()).map_err(|message| blocker(Reason::SecretInvalid, message))
}

/// The service principal in a Secret, or one sentence that states the fault of the Secret.
pub(crate) fn identity_of(name: &str, secret: &Secret, now: Timestamp) -> Result<Identity, String> {
    let text = |key: &str| -> Result<Option<&str>, String> {
        let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
        let most = if key == "clientCertificate" { LONGEST_CERTIFICATE } else { LONGEST_VALUE };
        if bytes.0.len() > most {
            return Err(format!("Secret {name} cannot be used: {key} is longer than {most} bytes: replace it with the expected value"));
        }
        let text = value::text(&bytes.0).map_err(|what| format!("Secret {name} cannot be used: {key} {what}"))?;
        Ok((!value::is_empty(text)).then_some(text))
    };
    let required = |key: &str| text(key)?.ok_or_else(|| format!("Secret {name} has no {key}: add {KEYS}"));
    let (tenant, client) = (required("tenantId")?, required("clientId")?);
    let keys = FieldNames::SECRET_KEYS;
    let identity = match (text("clientSecret")?, text("clientCertificate")?) {
        (Some(_), Some(_)) => {
            return Err(format!("Secret {name} has both a clientSecret and a clientCertificate: keep only the one to use"));
        }
        (None, None) => return Err(format!("Secret {name} has neither a clientSecret nor a clientCertificate: add {KEYS}")),
        (Some(secret), None) => Identity::service_principal_secret(tenant, client, secret, keys),
        (None, Some(pem)) => Identity::service_principal_certificate(tenant, client, pem, now, keys),
    };
    identity.map_err(|error| format!("Secret {name} cannot be used: {error}"))
}
