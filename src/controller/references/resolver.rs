//! The identities of resources, with what was read of them lately.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::failure::{NoIdentity, fault};
use super::grants::Grants;
use super::{account, secret};
use crate::api::{Credentials, ManagedIdentity, Reason};
use crate::controller::shares::Shares;
use crate::engine::reconcile::Freshness;
use crate::engine::{Cure, Fault};
use crate::service::identity::{Environment, Identity};

/// How long what was read serves the looks at a run.
const FRESH: Duration = Duration::from_mins(1);
/// How long it serves submissions: many at once read it once.
const JUST_READ: Duration = Duration::from_secs(1);
/// How long after it was read an identity counts as in use: a resource may run once a day.
const IN_USE: Duration = Duration::from_hours(36);
/// How many identities are remembered. Beyond it the namespace with the most forgets its oldest, so no namespace makes another forget.
pub(super) const REMEMBERED: usize = 20_000;

/// A namespace, and the credentials that a resource in it asks for; none is the operator's own identity.
type Key = (String, Option<Credentials>);

/// The identities of resources, with what was read of them lately.
pub(in crate::controller) struct Identities {
    client: Client,
    places: Shares,
    grants: Grants,
    own: OwnIdentity,
    pub(super) lately: Mutex<HashMap<Key, (Identity, Instant)>>,
}

/// The identity of the operator itself and of the machine that it runs on, and who may use them.
pub(in crate::controller) struct OwnIdentity {
    /// What describes it.
    pub(in crate::controller) environment: Environment,
    /// The namespaces whose resources may.
    pub(in crate::controller) namespaces: Vec<String>,
}

impl Identities {
    pub(in crate::controller) fn new(client: Client, places: Shares, own: OwnIdentity) -> Self {
        Self { grants: Grants::new(client.clone()), client, places, own, lately: Mutex::default() }
    }

    /// Who to be at the service for a resource of `namespace` that asks for `credentials`; `None` is the operator's own.
    pub(in crate::controller) async fn of(
        &self,
        namespace: &str,
        credentials: Option<&Credentials>,
        freshness: Freshness,
    ) -> Result<Identity, NoIdentity> {
        if let Some(fault) = self.forbidden(namespace, credentials) {
            return Err(NoIdentity::Fault(fault));
        }
        let key = (namespace.to_owned(), credentials.cloned());
        if let Some(identity) = self.just_read(&key, freshness) {
            return Ok(identity);
        }
        let _place = match Asked::of(credentials) {
            Asked::Own | Asked::Managed(_) => None,
            Asked::Secret(_) | Asked::Account(_) => self.places.take(namespace).await,
        };
        // Those who had a place before may have read the same.
        if let Some(identity) = self.just_read(&key, freshness) {
            return Ok(identity);
        }
        let remembered = self.lately.lock().get(&key).map(|(identity, _)| identity.clone());
        match self.read(namespace, credentials).await {
            Ok(identity) => {
                self.remember(key, &identity);
                Ok(identity)
            }
            Err(NoIdentity::Fault(fault)) => match remembered {
                Some(identity) if freshness == Freshness::LastKnown => Ok(identity),
                Some(_) | None => Err(NoIdentity::Fault(fault)),
            },
            Err(NoIdentity::Unread(trouble)) => match remembered {
                // The Kubernetes API is away: what was read last still serves to look.
                Some(identity) if freshness != Freshness::Fresh => Ok(identity),
                Some(_) | None => Err(NoIdentity::Unread(trouble)),
            },
        }
    }

    /// What was read, where that is as fresh as it is wanted.
    fn just_read(&self, key: &Key, freshness: Freshness) -> Option<Identity> {
        let fresh = match freshness {
            Freshness::Fresh => JUST_READ,
            Freshness::Cached | Freshness::LastKnown => FRESH,
        };
        let lately = self.lately.lock();
        lately.get(key).filter(|(_, at)| at.elapsed() < fresh).map(|(identity, _)| identity.clone())
    }

    /// When the first of the certificates that were used lately expires.
    pub(in crate::controller) fn first_expiry(&self) -> Option<Timestamp> {
        let lately = self.lately.lock();
        lately.values().filter(|(_, at)| at.elapsed() < IN_USE).filter_map(|(identity, _)| identity.expires()).min()
    }

    /// Forgets what was read for such credentials, since the service or Entra ID refused them.
    pub(in crate::controller) fn refused(&self, namespace: &str, credentials: Option<&Credentials>) {
        if let Some((_, at)) = self.lately.lock().get_mut(&(namespace.to_owned(), credentials.cloned())) {
            // Old enough to be read again, and still there for a cancellation.
            *at = at.checked_sub(FRESH).unwrap_or(*at);
        }
    }

    /// Why a namespace may not use such credentials at all. It costs no call: what the operator was started with decides.
    pub(in crate::controller) fn forbidden(&self, namespace: &str, credentials: Option<&Credentials>) -> Option<Fault> {
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
        Some(Fault { reason: Reason::IdentityNotAllowed, message, cure: Cure::Spec })
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
                identity.map_err(|why| fault(Reason::OperatorIdentityInvalid, format!("the operator has no usable identity: {why}")))
            }
            Asked::Managed(managed) => Ok(Identity::managed(managed.client_id.as_deref())),
            Asked::Secret(name) => secret::read(&self.client, &self.grants, namespace, name).await,
            Asked::Account(name) => account::read(&self.client, &self.grants, namespace, name).await,
        }
    }
}

/// What credentials ask for.
enum Asked<'a> {
    Own,
    Managed(&'a ManagedIdentity),
    Secret(&'a str),
    Account(&'a str),
}

impl<'a> Asked<'a> {
    /// Admission sees to it that exactly one is set.
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
