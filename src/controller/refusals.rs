//! The identities that services refused lately, so that a Secret can be looked at often and the service asked seldom.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::operation::Trouble;
use crate::service::identity::{Fingerprint, Identity};

/// How long an identity that a model's service refused twice is not tried again, while it is the same identity.
const REFUSED: Duration = Duration::from_mins(1);
/// One refusal may be of a token alone, which is got anew for the next call; and an operation may be waiting to be looked at.
const REFUSALS: u32 = 2;
/// How many refusals are remembered.
const REMEMBERED: usize = 10_000;

/// By identity and model.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    lately: Mutex<HashMap<(Fingerprint, String), Refusal>>,
}

/// What a model's service said to an identity, when it last did, and how often in a row.
#[derive(Debug)]
struct Refusal {
    trouble: Trouble,
    at: Instant,
    count: u32,
}

impl Refusals {
    /// What was said to it, where it is not to be tried again yet.
    pub(super) fn of(&self, identity: &Identity, model: &str) -> Option<Trouble> {
        let lately = self.lately.lock();
        let refusal = lately.get(&(identity.fingerprint(), model.to_owned()))?;
        (refusal.count >= REFUSALS && refusal.at.elapsed() < REFUSED).then(|| refusal.trouble.clone())
    }

    /// The service has refused it.
    pub(super) fn remember(&self, identity: Fingerprint, model: &str, trouble: &Trouble) {
        let mut lately = self.lately.lock();
        if lately.len() >= REMEMBERED {
            lately.retain(|_, refusal| refusal.at.elapsed() < REFUSED);
            let oldest = lately.iter().min_by_key(|(_, refusal)| refusal.at).map(|(key, _)| key.clone());
            oldest.filter(|_| lately.len() >= REMEMBERED).map(|key| lately.remove(&key));
        }
        let key = (identity, model.to_owned());
        // The next try comes soon after the time that it was put off for.
        let before = lately.get(&key).filter(|refusal| refusal.at.elapsed() < REFUSED.saturating_mul(2));
        let count = before.map_or(1, |refusal| refusal.count.saturating_add(1));
        lately.insert(key, Refusal { trouble: trouble.clone(), at: Instant::now(), count });
    }
}
