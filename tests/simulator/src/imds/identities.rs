//! The managed identities that the machine has.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::hosts::Cloud;

/// How long a managed identity's token is valid unless said otherwise, in seconds: a day, as the real ones.
const LIFETIME: u64 = 86_399;

/// A managed identity of the machine. The body of `PUT /managed-identities`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The tenant that it is in.
    pub tenant_id: Arc<str>,
    /// Its client id, which is what it is known by here.
    pub client_id: Arc<str>,
    /// Its object (principal) id.
    #[serde(default)]
    pub object_id: Option<String>,
    /// The Azure resource that it is, where it is user-assigned.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// Whether it is the machine's own; there is one at most.
    #[serde(default)]
    pub system_assigned: bool,
    /// The name of the cloud that the machine runs in.
    #[serde(default = "public")]
    pub cloud: String,
    /// How long its tokens are valid, in seconds.
    #[serde(default = "lifetime")]
    pub token_lifetime_seconds: u64,
    /// How the metadata service answers for it.
    #[serde(default)]
    pub condition: Condition,
}

fn public() -> String {
    Cloud::Public.name().to_owned()
}

fn lifetime() -> u64 {
    LIFETIME
}

/// How the metadata service answers for an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// With tokens.
    #[default]
    Ready,
    /// With 410: it is being updated.
    Updating,
    /// With 404: it is coming up.
    Starting,
    /// With 429.
    Throttled,
    /// With 500: Entra ID did not answer it.
    Failing,
    /// With 400: managed identities are not configured correctly on the machine.
    Unauthorized,
}

/// Which identity a request means.
pub enum Choice {
    /// This one.
    One(Arc<Identity>),
    /// None that the machine has.
    None,
    /// More than one.
    Several,
}

/// All managed identities of the machine.
#[derive(Default)]
pub struct Identities(RwLock<Vec<Arc<Identity>>>);

impl Identities {
    /// Gives the machine an identity, or changes the one of the same client id. A system-assigned one replaces another.
    pub fn put(&self, identity: Identity) {
        let mut all = self.0.write();
        let replaced =
            |other: &Identity| same(&other.client_id, &identity.client_id) || (other.system_assigned && identity.system_assigned);
        all.retain(|other| !replaced(other));
        all.push(Arc::new(identity));
    }

    /// Takes an identity away, or all of them, and says whether there was one.
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

    /// The identity that is meant.
    ///
    /// Documented: without a name it is the system-assigned one, and where there is none, the only user-assigned one.
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
