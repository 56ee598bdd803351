//! What a resource refers to: the Secret with its credentials, read by name and never listed or watched.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::call::{CallError, bounded};
use super::records::CALL;
use crate::api::{Credentials, Reason};
use crate::engine::{Cure, Fault};
use crate::service::identity::Identity;

/// How long a Secret that was read serves the looks at a run.
const FRESH: Duration = Duration::from_mins(1);
/// How long it serves submissions: many at once read it once.
const JUST_READ: Duration = Duration::from_secs(1);
/// How many identities are remembered.
const REMEMBERED: usize = 20_000;

/// Why there is no identity.
#[derive(Debug)]
pub(super) enum NoIdentity {
    /// Something is wrong that a user can mend.
    Fault(Fault),
    /// The Kubernetes API gave no answer.
    Call(CallError),
}

/// The identities of resources, with what was read of them lately.
pub(super) struct Identities {
    client: Client,
    lately: Mutex<HashMap<(String, String), (Identity, Instant)>>,
}

/// How an identity is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// As the Secret stands now: something is to begin.
    Now,
    /// As it stood lately: something is to be looked at.
    Lately,
    /// As it stood last, where the Secret is gone: something is to be cancelled, and its Secret may be deleted with it.
    Last,
}

impl Identities {
    pub(super) fn new(client: Client) -> Self {
        Self { client, lately: Mutex::default() }
    }

    /// Who to be at the service for a resource of `namespace` that asks for `credentials`; `None` is the operator's own.
    pub(super) async fn of(
        &self,
        namespace: &str,
        credentials: Option<&Credentials>,
        freshness: Freshness,
    ) -> Result<Identity, NoIdentity> {
        let reference = credentials.and_then(|credentials| credentials.service_principal_ref.as_ref());
        let Some(reference) = reference else {
            let message = unsupported(credentials).unwrap_or_default();
            return Err(NoIdentity::Fault(Fault { reason: Reason::Unsupported, message, cure: Cure::Spec }));
        };
        let key = (namespace.to_owned(), reference.name.clone());
        let remembered = self.lately.lock().get(&key).cloned();
        let fresh = match freshness {
            Freshness::Now => JUST_READ,
            Freshness::Lately | Freshness::Last => FRESH,
        };
        if let Some((identity, at)) = &remembered
            && at.elapsed() < fresh
        {
            return Ok(identity.clone());
        }
        match self.read(&key.0, &key.1).await {
            Ok(identity) => {
                self.remember(key, &identity);
                Ok(identity)
            }
            Err(NoIdentity::Fault(fault)) => match remembered {
                Some((identity, _)) if freshness == Freshness::Last => Ok(identity),
                Some(_) | None => Err(NoIdentity::Fault(fault)),
            },
            Err(NoIdentity::Call(error)) => match remembered {
                // The Kubernetes API is away: what was read last still serves to look.
                Some((identity, _)) if freshness != Freshness::Now => Ok(identity),
                Some(_) | None => Err(NoIdentity::Call(error)),
            },
        }
    }

    /// Forgets what was read for such credentials, since the service or Entra ID refused them.
    pub(super) fn refused(&self, namespace: &str, credentials: Option<&Credentials>) {
        let Some(reference) = credentials.and_then(|credentials| credentials.service_principal_ref.as_ref()) else { return };
        if let Some((_, at)) = self.lately.lock().get_mut(&(namespace.to_owned(), reference.name.clone())) {
            // Old enough to be read again, and still there for a cancellation.
            *at = at.checked_sub(FRESH).unwrap_or(*at);
        }
    }

    fn remember(&self, key: (String, String), identity: &Identity) {
        let mut lately = self.lately.lock();
        if lately.len() >= REMEMBERED {
            lately.clear();
        }
        lately.insert(key, (identity.clone(), Instant::now()));
    }

    async fn read(&self, namespace: &str, name: &str) -> Result<Identity, NoIdentity> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let fault = |reason, message| NoIdentity::Fault(Fault { reason, message, cure: Cure::Cluster });
        let secret = match bounded(CALL, secrets.get(name)).await {
            Ok(secret) => secret,
            Err(error) if error.is_not_found() => {
                let message = format!(
                    "the Secret {name} is not in namespace {namespace}: create it with the keys tenantId, clientId and clientSecret, or mend \
                     spec.credentials.servicePrincipalRef.name"
                );
                return Err(fault(Reason::SecretNotFound, message));
            }
            Err(error) if error.status() == Some(403) => {
                let message = format!(
                    "the operator may not read the Secret {name}: an administrator can grant it with kubectl create role tabular-operator-secrets \
                     --namespace {namespace} --verb=get --resource=secrets --resource-name={name}, and a RoleBinding to the operator's ServiceAccount"
                );
                return Err(fault(Reason::SecretForbidden, message));
            }
            Err(error) => return Err(NoIdentity::Call(error)),
        };
        identity_of(name, &secret).map_err(|message| fault(Reason::SecretInvalid, message))
    }
}

/// The service principal that a Secret holds, or one sentence for what is wrong with it.
fn identity_of(name: &str, secret: &Secret) -> Result<Identity, String> {
    let data = secret.data.as_ref();
    let value = |key: &str| -> Result<Option<String>, String> {
        let Some(bytes) = data.and_then(|data| data.get(key)) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| format!("the key {key} of the Secret {name} is not text"))?;
        // A trailing line break comes with many a `--from-file`.
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    };
    let required = |key: &str| {
        value(key)?.ok_or_else(|| format!("the Secret {name} has no {key}: it needs the keys tenantId, clientId and clientSecret"))
    };
    let (tenant, client) = (required("tenantId")?, required("clientId")?);
    if value("clientSecret")?.is_none() && value("clientCertificate")?.is_some() {
        return Err(format!("the Secret {name} has a clientCertificate: this version of the operator reads clientSecret alone"));
    }
    let secret = required("clientSecret")?;
    Identity::service_principal_secret(&tenant, &client, &secret).map_err(|error| format!("the Secret {name} cannot be used: {error}"))
}

/// What this version of the operator cannot do with the credentials that a resource asks for.
pub(super) fn unsupported(credentials: Option<&Credentials>) -> Option<String> {
    let what = match credentials {
        None => "the operator's own identity",
        Some(Credentials { service_principal_ref: Some(_), workload_identity: _, managed_identity: _ }) => return None,
        Some(Credentials { service_principal_ref: None, workload_identity: _, managed_identity: _ }) => {
            "workloadIdentity or managedIdentity"
        }
    };
    Some(format!("this version of the operator does not use {what}: name a Secret in spec.credentials.servicePrincipalRef"))
}
