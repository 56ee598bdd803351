//! Identities that services refused recently. A Secret is read often, but a refused identity is sent to the service rarely.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::azure::identity::{Fingerprint, Identity};
use crate::operation::ServiceError;

/// How long an identity is not used again for a model after the service refused it twice.
const BACKOFF: Duration = Duration::from_mins(1);
/// The maximum time between two consecutive refusals: the next attempt follows soon after the delay.
const CONSECUTIVE: Duration = BACKOFF.saturating_mul(2);
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

    /// Removes the refusals that have no effect any more, and returns the number of the others.
    pub(crate) fn purge(&self) -> usize {
        let mut denials = self.denials.lock();
        denials.retain(|_, denial| denial.at.elapsed() < CONSECUTIVE);
        denials.len()
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
        let before = denials.get(&key).filter(|denial| denial.at.elapsed() < CONSECUTIVE);
        let count = before.map_or(1, |denial| denial.count.saturating_add(1));
        denials.insert(key, Denial { error: error.clone(), at: Instant::now(), count });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::ServiceErrorKind;

    #[tokio::test(start_paused = true)]
    async fn refusals_without_effect_are_purged() {
        let (denials, error) = (DenialCache::default(), ServiceError::new(ServiceErrorKind::CredentialsRefused, "no"));
        let identity = Identity::managed(None);
        let refused = || denials.record(identity.fingerprint(), "m", &error);
        refused();
        tokio::time::advance(CONSECUTIVE.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(denials.purge(), 1, "the next refusal is consecutive");
        refused();
        assert!(denials.get(&identity, "m").is_some());
        tokio::time::advance(CONSECUTIVE).await;
        assert_eq!(denials.purge(), 0);
    }
}
