//! The machine's managed identities.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::hosts::Cloud;

/// Default lifetime of a managed identity's token, in seconds: one day, as for the real ones.
const LIFETIME: u64 = 86_399;

/// A managed identity of the machine. The body of `PUT /managed-identities`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// Its tenant.
    pub tenant_id: Arc<str>,
    /// Its client id, which identifies it in the control API.
    pub client_id: Arc<str>,
    /// Its object (principal) id.
    #[serde(default)]
    pub object_id: Option<String>,
    /// Its Azure resource, if it is user-assigned.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// Whether it is system-assigned; at most one is.
    #[serde(default)]
    pub system_assigned: bool,
    /// The name of the machine's cloud.
    #[serde(default = "public")]
    pub cloud: String,
    /// Lifetime of its tokens, in seconds.
    #[serde(default = "lifetime")]
    pub token_lifetime_seconds: u64,
    /// How long ago the token was issued that the machine returns from its cache, in seconds. Default 0. `expires_in` is the lifetime
    /// since then, and `expires_on` the time of the expiry.
    #[serde(default)]
    pub token_age_seconds: u64,
    /// The metadata service's response for it.
    #[serde(default)]
    pub condition: Condition,
}

fn public() -> String {
    Cloud::Public.name().to_owned()
}

fn lifetime() -> u64 {
    LIFETIME
}

/// The metadata service's response for an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// A token.
    #[default]
    Ready,
    /// 410: the service is being updated.
    Updating,
    /// 404: the service is starting.
    Starting,
    /// 429.
    Throttled,
    /// 500: Entra ID did not respond.
    Failing,
    /// 400: managed identities are not configured correctly on the machine.
    Unauthorized,
}

/// The identity that a request selects.
pub enum Choice {
    /// This one.
    One(Arc<Identity>),
    /// No identity of the machine.
    None,
    /// Several.
    Several,
}

/// All managed identities of the machine.
#[derive(Default)]
pub struct Identities(RwLock<Vec<Arc<Identity>>>);

impl Identities {
    /// Adds an identity, or changes the one with the same client id. A system-assigned identity replaces the previous one.
    pub fn put(&self, identity: Identity) {
        let mut all = self.0.write();
        let replaced =
            |other: &Identity| same(&other.client_id, &identity.client_id) || (other.system_assigned && identity.system_assigned);
        all.retain(|other| !replaced(other));
        all.push(Arc::new(identity));
    }

    /// Removes one identity, or all of them; returns whether one existed.
    pub fn remove(&self, client: Option<&str>) -> bool {
        let mut all = self.0.write();
        let before = all.len();
        all.retain(|identity| client.is_some_and(|client| !same(&identity.client_id, client)));
        all.len() < before
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Identity>> {
        self.0.read().clone()
    }

    /// The selected identity.
    ///
    /// Documented: without a name it is the system-assigned one, or the only user-assigned one if there is no system-assigned one.
    #[must_use]
    pub fn find(&self, wanted: Wanted<'_>) -> Choice {
        let all = self.0.read();
        let found = match wanted {
            Wanted::Client(id) => all.iter().find(|identity| same(&identity.client_id, id)),
            Wanted::Object(id) => all.iter().find(|identity| identity.object_id.as_ref().is_some_and(|own| same(own, id))),
            Wanted::Resource(id) => all.iter().find(|identity| identity.resource_id.as_ref().is_some_and(|own| same(own, id))),
            Wanted::Any => match (all.iter().find(|identity| identity.system_assigned), all.as_slice()) {
                (None, [_, _, ..]) => return Choice::Several,
                (system, others) => system.or_else(|| others.first()),
            },
        };
        found.map_or(Choice::None, |identity| Choice::One(Arc::clone(identity)))
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
