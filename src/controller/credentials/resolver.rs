//! The identities of resources, with a cache.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::{NoIdentity, blocker};
use super::rbac_hint::Grants;
use super::{secret, service_account};
use crate::api::{Credentials, ManagedIdentity, Reason};
use crate::azure::identity::{Environment, Identity};
use crate::controller::cluster::fair_semaphore::Shares;
use crate::engine::reconcile::Freshness;
use crate::engine::{Blocker, Remedy};

/// How long a cached identity serves polls.
const FRESH: Duration = Duration::from_mins(1);
/// How long it serves submissions, so that concurrent ones read it once.
const JUST_READ: Duration = Duration::from_secs(1);
/// How long an identity counts as in use after it was read: a resource may run once a day.
const IN_USE: Duration = Duration::from_hours(36);
/// The maximum number of cached identities. Beyond it, the namespace with the most loses its oldest, so namespaces do not evict each other.
pub(super) const REMEMBERED: usize = 20_000;

/// A namespace, and the credentials of a resource in it; `None` is the identity of the operator.
type Key = (String, Option<Credentials>);

/// The identities of resources, with a cache.
pub(crate) struct Identities {
    client: Client,
    places: Shares,
    grants: Grants,
    own: OwnIdentity,
    pub(super) lately: Mutex<HashMap<Key, (Identity, Instant)>>,
}

/// The identities of the operator and of its nodes, and the namespaces that may use them.
pub(crate) struct OwnIdentity {
    /// The environment that describes the identity of the operator.
    pub(crate) environment: Environment,
    /// The namespaces whose resources may use them.
    pub(crate) namespaces: Vec<String>,
}

impl Identities {
    pub(crate) fn new(client: Client, places: Shares, own: OwnIdentity) -> Self {
        Self { grants: Grants::new(client.clone()), client, places, own, lately: Mutex::default() }
    }

    /// The identity for a resource in `namespace` with these `credentials`; `None` is the identity of the operator.
    pub(crate) async fn of(
        &self,
        namespace: &str,
        credentials: Option<&Credentials>,
        freshness: Freshness,
    ) -> Result<Identity, NoIdentity> {
        if let Some(blocker) = self.forbidden(namespace, credentials) {
            return Err(NoIdentity::Blocker(blocker));
        }
        let key = (namespace.to_owned(), credentials.cloned());
        if let Some(identity) = self.just_read(&key, freshness) {
            return Ok(identity);
        }
        let _place = match Asked::of(credentials) {
            Asked::Own | Asked::Managed(_) => None,
            Asked::Secret(_) | Asked::Account(_) => self.places.take(namespace).await,
        };
        // An earlier holder of the permit may have read the same object.
        if let Some(identity) = self.just_read(&key, freshness) {
            return Ok(identity);
        }
        let remembered = self.lately.lock().get(&key).map(|(identity, _)| identity.clone());
        match self.read(namespace, credentials).await {
            Ok(identity) => {
                self.remember(key, &identity);
                Ok(identity)
            }
            Err(NoIdentity::Blocker(blocker)) => match remembered {
                Some(identity) if freshness == Freshness::LastKnown => Ok(identity),
                Some(_) | None => Err(NoIdentity::Blocker(blocker)),
            },
            Err(NoIdentity::Unread(error)) => match remembered {
                // The Kubernetes API is not available: the cached identity still serves to poll.
                Some(identity) if freshness != Freshness::Fresh => Ok(identity),
                Some(_) | None => Err(NoIdentity::Unread(error)),
            },
        }
    }

    /// The cached identity, if it is fresh enough.
    fn just_read(&self, key: &Key, freshness: Freshness) -> Option<Identity> {
        let fresh = match freshness {
            Freshness::Fresh => JUST_READ,
            Freshness::Cached | Freshness::LastKnown => FRESH,
        };
        let lately = self.lately.lock();
        lately.get(key).filter(|(_, at)| at.elapsed() < fresh).map(|(identity, _)| identity.clone())
    }

    /// The earliest expiry of the certificates in use.
    pub(crate) fn first_expiry(&self) -> Option<Timestamp> {
        let lately = self.lately.lock();
        lately.values().filter(|(_, at)| at.elapsed() < IN_USE).filter_map(|(identity, _)| identity.expires()).min()
    }

    /// Expires the cached identity of credentials that the service or Entra ID refused.
    pub(crate) fn refused(&self, namespace: &str, credentials: Option<&Credentials>) {
        if let Some((_, at)) = self.lately.lock().get_mut(&(namespace.to_owned(), credentials.cloned())) {
            // It is read again, but stays available for a cancellation.
            *at = at.checked_sub(FRESH).unwrap_or(*at);
        }
    }

    /// Why a namespace is not allowed to use these credentials. Depends only on the settings of the operator, so it needs no request.
    pub(crate) fn forbidden(&self, namespace: &str, credentials: Option<&Credentials>) -> Option<Blocker> {
        let what = match Asked::of(credentials) {
            Asked::Own => "the identity of the operator, which a resource without spec.credentials uses,",
            Asked::Managed(_) => "a managed identity, which belongs to the nodes or pod of the operator,",
            Asked::Secret(_) | Asked::Account(_) => return None,
        };
        if self.own.namespaces.iter().any(|allowed| allowed == namespace) {
            return None;
        }
        let message = format!(
            "{what} is not allowed for namespace {namespace}: set spec.credentials.servicePrincipalRef or spec.credentials.workloadIdentity, \
             or have the operator's administrator add --operator-identity-namespace {namespace}"
        );
        Some(Blocker { reason: Reason::IdentityNotAllowed, message, remedy: Remedy::SpecChange })
    }

    pub(super) fn remember(&self, key: Key, identity: &Identity) {
        let mut lately = self.lately.lock();
        if lately.len() >= REMEMBERED && !lately.contains_key(&key) {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for (namespace, _) in lately.keys() {
                *counts.entry(namespace).or_default() += 1;
            }
            let largest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(namespace, _)| namespace);
            let of_it = lately.iter().filter(|((namespace, _), _)| Some(namespace.as_str()) == largest);
            let oldest = of_it.min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            oldest.map(|key| lately.remove(&key));
        }
        lately.insert(key, (identity.clone(), Instant::now()));
    }

    async fn read(&self, namespace: &str, credentials: Option<&Credentials>) -> Result<Identity, NoIdentity> {
        match Asked::of(credentials) {
            Asked::Own => {
                let identity = self.own.environment.identity(Timestamp::now());
                identity.map_err(|why| blocker(Reason::OperatorIdentityInvalid, format!("the operator has no usable identity: {why}")))
            }
            Asked::Managed(managed) => Ok(Identity::managed(managed.client_id.as_deref())),
            Asked::Secret(name) => secret::read(&self.client, &self.grants, namespace, name).await,
            Asked::Account(name) => service_account::read(&self.client, &self.grants, namespace, name).await,
        }
    }
}

/// The source of an identity.
enum Asked<'a> {
    Own,
    Managed(&'a ManagedIdentity),
    Secret(&'a str),
    Account(&'a str),
}

impl<'a> Asked<'a> {
    /// Admission ensures that exactly one is set.
    fn of(credentials: Option<&'a Credentials>) -> Self {
        let Some(Credentials { service_principal_ref, workload_identity, managed_identity }) = credentials else { return Self::Own };
        match (service_principal_ref, workload_identity, managed_identity) {
            (Some(reference), _, _) => Self::Secret(&reference.name),
            (None, Some(workload), _) => Self::Account(&workload.service_account_name),
            (None, None, Some(managed)) => Self::Managed(managed),
            (None, None, None) => Self::Own,
        }
    }
}
