//! Identities that services refused recently. A Secret is read often, but a refused identity is sent to the service rarely.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::azure::identity::{Fingerprint, Identity};
use crate::operation::ServiceError;

/// How long an identity is not used again for a model after the service refused it twice.
const REFUSED: Duration = Duration::from_mins(1);
/// The number of refusals that count. A single one may concern only the token, which is replaced for the next call.
const REFUSALS: u32 = 2;
/// The maximum number of refusals kept.
const REMEMBERED: usize = 10_000;

/// The recent refusals by identity and model.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    lately: Mutex<HashMap<(Fingerprint, String), Refusal>>,
}

/// The last refusal of an identity for a model, its time, and the number of consecutive refusals.
#[derive(Debug)]
struct Refusal {
    error: ServiceError,
    at: Instant,
    count: u32,
}

impl Refusals {
    /// The refusal of an identity that must not be used again yet.
    pub(crate) fn of(&self, identity: &Identity, model: &str) -> Option<ServiceError> {
        let lately = self.lately.lock();
        let refusal = lately.get(&(identity.fingerprint(), model.to_owned()))?;
        (refusal.count >= REFUSALS && refusal.at.elapsed() < REFUSED).then(|| refusal.error.clone())
    }

    /// Records a refusal.
    pub(crate) fn remember(&self, identity: Fingerprint, model: &str, error: &ServiceError) {
        let mut lately = self.lately.lock();
        if lately.len() >= REMEMBERED {
            lately.retain(|_, refusal| refusal.at.elapsed() < REFUSED);
            let oldest = lately.iter().min_by_key(|(_, refusal)| refusal.at).map(|(key, _)| key.clone());
            oldest.filter(|_| lately.len() >= REMEMBERED).map(|key| lately.remove(&key));
        }
        let key = (identity, model.to_owned());
        // The next attempt follows soon after the delay, so a refusal within twice the delay is consecutive.
        let before = lately.get(&key).filter(|refusal| refusal.at.elapsed() < REFUSED.saturating_mul(2));
        let count = before.map_or(1, |refusal| refusal.count.saturating_add(1));
        lately.insert(key, Refusal { error: error.clone(), at: Instant::now(), count });
    }
}
