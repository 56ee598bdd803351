//! The identities of resources, with a cache.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::{CredentialError, blocker};
use super::rbac_hint::RbacHint;
use super::{secret, service_account};
use crate::api::{Credentials, ManagedIdentity, Reason};
use crate::azure::identity::{Environment, Identity};
use crate::engine::reconcile::Freshness;
use crate::engine::{Blocker, Remedy};
use crate::fair_semaphore::FairSemaphore;

/// How long a cached identity serves polls.
const CACHE_TTL: Duration = Duration::from_mins(1);
/// How long it serves submissions, so that concurrent ones read it once.
const FRESH_TTL: Duration = Duration::from_secs(1);
/// How long an identity counts as in use after it was read: a resource may run once a day.
const IN_USE: Duration = Duration::from_hours(36);
/// The maximum number of cached identities. Beyond it, the namespace with the most loses its oldest, so namespaces do not evict each other.
pub(super) const CACHE_CAPACITY: usize = 20_000;

/// A namespace, and the credentials of a resource in it; `None` is the identity of the operator.
type Key = (String, Option<Credentials>);

/// The identities of resources, with a cache.
pub(crate) struct CredentialResolver {
    client: Client,
    request_limiter: FairSemaphore,
    rbac_hint: RbacHint,
    operator: OperatorIdentity,
    pub(super) cache: Mutex<HashMap<Key, (Identity, Instant)>>,
}

/// The identities of the operator and of its nodes, and the namespaces that may use them.
pub(crate) struct OperatorIdentity {
    /// The environment that describes the identity of the operator.
    pub(crate) environment: Environment,
    /// The namespaces whose resources may use them.
    pub(crate) namespaces: Vec<String>,
}

impl CredentialResolver {
    pub(crate) fn new(client: Client, request_limiter: FairSemaphore, operator: OperatorIdentity) -> Self {
        Self { rbac_hint: RbacHint::new(client.clone()), client, request_limiter, operator, cache: Mutex::default() }
    }

    /// The identity for a resource in `namespace` with these `credentials`; `None` is the identity of the operator.
    pub(crate) async fn resolve(
        &self,
        namespace: &str,
        credentials: Option<&Credentials>,
        freshness: Freshness,
    ) -> Result<Identity, CredentialError> {
        if let Some(blocker) = self.forbidden(namespace, credentials) {
            return Err(CredentialError::Blocker(blocker));
        }
        let key = (namespace.to_owned(), credentials.cloned());
        if let Some(identity) = self.cached(&key, freshness) {
            return Ok(identity);
        }
        let _permit = match CredentialSource::of(credentials) {
            CredentialSource::Operator | CredentialSource::Managed(_) => None,
            CredentialSource::Secret(_) | CredentialSource::ServiceAccount(_) => self.request_limiter.acquire(namespace).await,
        };
        // An earlier holder of the permit may have read the same object.
        if let Some(identity) = self.cached(&key, freshness) {
            return Ok(identity);
        }
        let cached_identity = self.cache.lock().get(&key).map(|(identity, _)| identity.clone());
        match self.read(namespace, credentials).await {
            Ok(identity) => {
                self.insert(key, &identity);
                Ok(identity)
            }
            Err(CredentialError::Blocker(blocker)) => match cached_identity {
                Some(identity) if freshness == Freshness::LastKnown => Ok(identity),
                Some(_) | None => Err(CredentialError::Blocker(blocker)),
            },
            Err(CredentialError::Unavailable(error)) => match cached_identity {
                // The Kubernetes API is not available: the cached identity still serves to poll.
                Some(identity) if freshness != Freshness::Fresh => Ok(identity),
                Some(_) | None => Err(CredentialError::Unavailable(error)),
            },
        }
    }

    /// The cached identity, if it is fresh enough.
    fn cached(&self, key: &Key, freshness: Freshness) -> Option<Identity> {
        let ttl = match freshness {
            Freshness::Fresh => FRESH_TTL,
            Freshness::Cached | Freshness::LastKnown => CACHE_TTL,
        };
        let cache = self.cache.lock();
        cache.get(key).filter(|(_, at)| at.elapsed() < ttl).map(|(identity, _)| identity.clone())
    }

    /// The earliest expiry of the certificates in use.
    pub(crate) fn earliest_certificate_expiry(&self) -> Option<Timestamp> {
        let cache = self.cache.lock();
        cache.values().filter(|(_, at)| at.elapsed() < IN_USE).filter_map(|(identity, _)| identity.expires()).min()
    }

    /// Number of cached identities.
    pub(crate) fn cached_identities(&self) -> usize {
        self.cache.lock().len()
    }

    /// Expires the cached identity of credentials that the service or Entra ID refused.
    pub(crate) fn expire(&self, namespace: &str, credentials: Option<&Credentials>) {
        if let Some((_, at)) = self.cache.lock().get_mut(&(namespace.to_owned(), credentials.cloned())) {
            // It is read again, but stays available for a cancellation.
            *at = at.checked_sub(CACHE_TTL).unwrap_or(*at);
        }
    }

    /// Why a namespace is not allowed to use these credentials. Depends only on the settings of the operator, so it needs no request.
    pub(crate) fn forbidden(&self, namespace: &str, credentials: Option<&Credentials>) -> Option<Blocker> {
        let what = match CredentialSource::of(credentials) {
            CredentialSource::Operator => "the identity of the operator, which a resource without spec.credentials uses,",
            CredentialSource::Managed(_) => "a managed identity, which belongs to the nodes or pod of the operator,",
            CredentialSource::Secret(_) | CredentialSource::ServiceAccount(_) => return None,
        };
        if self.operator.namespaces.iter().any(|allowed| allowed == namespace) {
            return None;
        }
        let message = format!(
            "{what} is not allowed for namespace {namespace}: set spec.credentials.servicePrincipalRef or spec.credentials.workloadIdentity, \
             or have the operator's administrator add --operator-identity-namespace {namespace}"
        );
        Some(Blocker { reason: Reason::IdentityNotAllowed, message, remedy: Remedy::SpecChange })
    }

    pub(super) fn insert(&self, key: Key, identity: &Identity) {
        let mut cache = self.cache.lock();
        if cache.len() >= CACHE_CAPACITY && !cache.contains_key(&key) {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for (namespace, _) in cache.keys() {
                *counts.entry(namespace).or_default() += 1;
            }
            let largest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(namespace, _)| namespace);
            let of_it = cache.iter().filter(|((namespace, _), _)| Some(namespace.as_str()) == largest);
            let oldest = of_it.min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            oldest.map(|key| cache.remove(&key));
        }
        cache.insert(key, (identity.clone(), Instant::now()));
    }

    async fn read(&self, namespace: &str, credentials: Option<&Credentials>) -> Result<Identity, CredentialError> {
        match CredentialSource::of(credentials) {
            CredentialSource::Operator => {
                let identity = self.operator.environment.identity(Timestamp::now());
                identity.map_err(|why| blocker(Reason::OperatorIdentityInvalid, format!("the operator has no usable identity: {why}")))
            }
            CredentialSource::Managed(managed) => Ok(Identity::managed(managed.client_id.as_deref())),
            CredentialSource::Secret(name) => secret::read(&self.client, &self.rbac_hint, namespace, name).await,
            CredentialSource::ServiceAccount(name) => service_account::read(&self.client, &self.rbac_hint, namespace, name).await,
        }
    }
}

/// The source of an identity.
enum CredentialSource<'a> {
    Operator,
    Managed(&'a ManagedIdentity),
    Secret(&'a str),
    ServiceAccount(&'a str),
}

impl<'a> CredentialSource<'a> {
    /// Admission ensures that exactly one is set.
    fn of(credentials: Option<&'a Credentials>) -> Self {
        let Some(Credentials { service_principal_ref, workload_identity, managed_identity }) = credentials else { return Self::Operator };
        match (service_principal_ref, workload_identity, managed_identity) {
            (Some(reference), _, _) => Self::Secret(&reference.name),
            (None, Some(workload), _) => Self::ServiceAccount(&workload.service_account_name),
            (None, None, Some(managed)) => Self::Managed(managed),
            (None, None, None) => Self::Operator,
        }
    }
}
