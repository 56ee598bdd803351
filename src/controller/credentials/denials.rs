//! Identities that services refused recently. A Secret is read often, but a refused identity is sent to the service rarely.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::azure::identity::{Fingerprint, Identity};
use crate::operation::ServiceError;

/// How long an identity is not used again for a model after the service refused it twice.
const BACKOFF: Duration = Duration::from_mins(1);
/// The number of refusals that count. A single one may concern only the token, which is replaced for the next call.
const MIN_DENIALS: u32 = 2;
/// The maximum number of refusals kept.
const CAPACITY: usize = 10_000;

/// The recent refusals by identity and model.
#[derive(Debug, Default)]
pub(crate) struct DenialCache {
    denials: Mutex<HashMap<(Fingerprint, String), Denial>>,
}

/// The last refusal of an identity for a model, its time, and the number of consecutive refusals.
#[derive(Debug)]
struct Denial {
    error: ServiceError,
    at: Instant,
    count: u32,
}

impl DenialCache {
    /// The refusal of an identity that must not be used again yet.
    pub(crate) fn get(&self, identity: &Identity, model: &str) -> Option<ServiceError> {
        let denials = self.denials.lock();
        let denial = denials.get(&(identity.fingerprint(), model.to_owned()))?;
        (denial.count >= MIN_DENIALS && denial.at.elapsed() < BACKOFF).then(|| denial.error.clone())
    }

    /// Records a refusal.
    pub(crate) fn record(&self, identity: Fingerprint, model: &str, error: &ServiceError) {
        let mut denials = self.denials.lock();
        if denials.len() >= CAPACITY {
            denials.retain(|_, denial| denial.at.elapsed() < BACKOFF);
            let oldest = denials.iter().min_by_key(|(_, denial)| denial.at).map(|(key, _)| key.clone());
            oldest.filter(|_| denials.len() >= CAPACITY).map(|key| denials.remove(&key));
        }
        let key = (identity, model.to_owned());
        // The next attempt follows soon after the delay, so a refusal within twice the delay is consecutive.
        let before = denials.get(&key).filter(|denial| denial.at.elapsed() < BACKOFF.saturating_mul(2));
        let count = before.map_or(1, |denial| denial.count.saturating_add(1));
        denials.insert(key, Denial { error: error.clone(), at: Instant::now(), count });
    }
}
