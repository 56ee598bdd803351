//! The token cache: one request at a time per identity and scope, and a failure is remembered too.
//!
//! The cache of `azure_identity` throws a still valid token away when its renewal fails, and lets every caller wait
//! and ask again; so each token is asked for with a credential of its own, and kept here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Fingerprint;
use super::token::Token;
use crate::operation::{Trouble, TroubleKind};

/// How many tokens are kept, and how many keys without one; of each, the least recently used makes room. They are counted apart, so that
/// credentials which are refused, however many a tenant makes, never evict another tenant's token.
const CAPACITY: usize = 1024;

/// How long refused credentials are not tried again. A changed secret is another identity, and tried at once.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// The same, where whoever vouches for the identity refused: that is mended in the cluster, and seen soon.
const UNVOUCHED_PAUSE: Duration = Duration::from_secs(2);

/// The first and the longest wait after a failure that may pass by itself.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a token that a service refused is dropped: once a minute, as a fresh one may be refused as well.
const FORGET_PAUSE: Duration = Duration::from_mins(1);

/// Whose token, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) identity: Fingerprint,
    pub(super) scope: String,
}

/// Tokens and failures by key.
#[derive(Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
}

struct Entry {
    state: Mutex<State>,
    /// Held by the one caller that asks.
    gate: tokio::sync::Mutex<()>,
}

struct State {
    token: Option<Token>,
    failure: Option<Failure>,
    forgotten: Option<Instant>,
    used: Instant,
}

struct Failure {
    trouble: Trouble,
    until: Instant,
    pause: Duration,
}

/// What the cache knows at a moment.
enum Known {
    Answer(Result<Token, Trouble>),
    /// A token to use if somebody else is renewing it already.
    Renew(Token),
    Ask,
}

impl Cache {
    /// The token of a key; `fetch` is called where there is none worth sending, and by one caller at a time.
    pub(super) async fn get<F>(&self, key: &Key, fetch: impl FnOnce() -> F) -> Result<Token, Trouble>
    where
        F: Future<Output = Result<Token, Trouble>>,
    {
        let entry = self.entry(key);
        let _turn = match entry.known() {
            Known::Answer(answer) => return answer,
            Known::Renew(token) => match entry.gate.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(token),
            },
            // No longer than one fetch: whoever holds the gate leaves a token or a failure behind.
            Known::Ask => entry.gate.lock().await,
        };
        if let Known::Answer(answer) = entry.known() {
            return answer;
        }
        let learned = entry.learn(fetch().await);
        if learned.is_ok() {
            trim(&mut self.entries.lock(), true, CAPACITY);
        }
        learned
    }

    /// Forgets a token that a service refused, unless it has been replaced or that was done a moment ago. Whether the next call
    /// has another one.
    pub(super) fn forget(&self, key: &Key, refused: &Token) -> bool {
        let Some(entry) = self.entries.lock().get(key).cloned() else {
            return true;
        };
        let now = Instant::now();
        let mut state = entry.state.lock();
        let is_it = state.token.as_ref().is_some_and(|token| token.same(refused));
        let lately = state.forgotten.is_some_and(|at| now < at + FORGET_PAUSE);
        if is_it && !lately {
            state.token = None;
            state.forgotten = Some(now);
        }
        !(is_it && lately)
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if !entries.contains_key(key) {
            trim(&mut entries, false, CAPACITY - 1);
        }
        Arc::clone(entries.entry(key.clone()).or_insert_with(|| Arc::new(Entry::new())))
    }
}

/// Makes sure that at most `most` entries with a valid token, or without one, are kept. Those in use stay.
fn trim(entries: &mut HashMap<Key, Arc<Entry>>, with_token: bool, most: usize) {
    if entries.len() <= most {
        return;
    }
    let (now, in_use) = (Instant::now(), |entry: &Arc<Entry>| Arc::strong_count(entry) > 1);
    entries.retain(|_, entry| in_use(entry) || entry.worth_keeping(now));
    let counted = || entries.iter().filter(|(_, entry)| entry.has_token(now) == with_token);
    if counted().count() > most {
        let oldest =
            counted().filter(|(_, entry)| !in_use(entry)).min_by_key(|(_, entry)| entry.state.lock().used).map(|(key, _)| key.clone());
        oldest.map(|key| entries.remove(&key));
    }
}

impl Entry {
    fn new() -> Self {
        let state = State { token: None, failure: None, forgotten: None, used: Instant::now() };
        Self { state: Mutex::new(state), gate: tokio::sync::Mutex::new(()) }
    }

    fn has_token(&self, now: Instant) -> bool {
        self.state.lock().token.as_ref().is_some_and(|token| now < token.expires)
    }

    fn worth_keeping(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.token.as_ref().is_some_and(|token| now < token.expires) || state.failure.as_ref().is_some_and(|failure| now < failure.until)
    }

    fn known(&self) -> Known {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.used = now;
        let valid = state.token.as_ref().filter(|token| now < token.expires);
        let failure = state.failure.as_ref().filter(|failure| now < failure.until);
        match (valid, failure) {
            (Some(token), None) if now >= token.renew_at => Known::Renew(token.clone()),
            (Some(token), _) => Known::Answer(Ok(token.clone())),
            (None, Some(failure)) => Known::Answer(Err(failure.told(now))),
            (None, None) => Known::Ask,
        }
    }

    /// Keeps what a fetch brought. While the old token is valid, a failed renewal is nobody's trouble.
    fn learn(&self, fetched: Result<Token, Trouble>) -> Result<Token, Trouble> {
        let now = Instant::now();
        let mut state = self.state.lock();
        match fetched {
            Ok(token) => {
                state.token = Some(token.clone());
                state.failure = None;
                Ok(token)
            }
            Err(trouble) => {
                let before = state.failure.as_ref().map(|failure| failure.pause);
                let failure = Failure::new(trouble, before, now);
                let told = failure.told(now);
                state.failure = Some(failure);
                state.token.clone().filter(|token| now < token.expires).ok_or(told)
            }
        }
    }
}

impl Failure {
    fn new(trouble: Trouble, before: Option<Duration>, now: Instant) -> Self {
        let pause = match trouble.kind {
            TroubleKind::CredentialsRefused => REFUSED_PAUSE,
            TroubleKind::AssertionRefused => UNVOUCHED_PAUSE,
            _ => before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE)),
        };
        let asked = trouble.retry_after.unwrap_or_default();
        Self { trouble, until: now + pause.max(asked), pause }
    }

    /// The trouble, with the wait that is left of it. Refused credentials name none: they are cured by a change.
    fn told(&self, now: Instant) -> Trouble {
        let left = match self.trouble.kind {
            TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused => None,
            _ => Some(self.until.saturating_duration_since(now)),
        };
        Trouble { retry_after: left, ..self.trouble.clone() }
    }
}

#[cfg(test)]
mod tests;
