//! The token cache: one request at a time for each identity and scope. Failures are cached too.
//!
//! The cache of `azure_identity` discards a valid token when its renewal fails, and lets every caller wait and retry. Therefore each token
//! request has its own credential, and the token is cached here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Fingerprint;
use super::token::Token;
use crate::operation::{ServiceError, ServiceErrorKind};

/// Maximum number of keys with a token, and of keys without one. The least recently used key is evicted. They are counted separately, so
/// that rejected credentials, regardless of their number, never evict the token of another tenant.
const CAPACITY: usize = 1024;

/// How long rejected credentials are not retried, except for a check. A changed secret is another identity, and is tried immediately.
const REJECTED_BACKOFF: Duration = Duration::from_mins(1);

/// The same, if the issuer of the assertion refused. The remedy is in the cluster, so a retry is cheap.
const ASSERTION_BACKOFF: Duration = Duration::from_secs(2);

/// The first and the maximum backoff after a temporary failure.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Minimum interval between two requests for the checks of users despite a remembered refusal. It is half of the interval between two
/// checks of a resource, so that each check of a single resource sends a request.
const CHECK_BACKOFF: Duration = Duration::from_secs(5);

/// How long an entry without a valid token or a current failure is kept after its last use. A failure is followed by another attempt within
/// this time, and the next failure then doubles its backoff.
const UNUSED: Duration = Duration::from_mins(1);

/// Minimum interval between two drops of a token that a service rejected. The new one may be rejected as well.
const MIN_INVALIDATION_INTERVAL: Duration = Duration::from_mins(1);

/// How long the drop of a token is remembered without a valid token: longer than the longest delay between two calls of a resource without
/// access, which is 15 minutes. Otherwise the replacement would not count as one.
const INVALIDATION_MEMORY: Duration = Duration::from_mins(30);

/// The identity and the scope of a token.
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
    /// Held by the caller that requests the token.
    gate: tokio::sync::Mutex<()>,
}

struct State {
    token: Option<Token>,
    failure: Option<Failure>,
    /// The last request for a check despite a remembered refusal.
    checked_at: Option<Instant>,
    invalidated_at: Option<Instant>,
    /// Whether a service rejected a token, and is not known to have accepted one since.
    rejected: bool,
    used: Instant,
}

struct Failure {
    error: ServiceError,
    until: Instant,
    backoff: Duration,
}

/// The state of a key at a point in time.
enum Lookup {
    Ready(Result<Token, ServiceError>),
    /// A token to use while another caller renews it.
    Renew(Token),
    Fetch,
}

impl Cache {
    /// Returns the token of a key. If there is no valid one, one caller at a time calls `fetch`.
    pub(super) async fn get<F>(&self, key: &Key, fetch: impl FnOnce() -> F) -> Result<Token, ServiceError>
    where
        F: Future<Output = Result<Token, ServiceError>>,
    {
        self.get_for(key, false, fetch).await
    }

    /// The same for the check of a user, who may have fixed the cause of a refusal: a remembered refusal does not prevent a request, unless
    /// another check sent one in the last seconds.
    pub(super) async fn get_for_check<F>(&self, key: &Key, fetch: impl FnOnce() -> F) -> Result<Token, ServiceError>
    where
        F: Future<Output = Result<Token, ServiceError>>,
    {
        self.get_for(key, true, fetch).await
    }

    async fn get_for<F>(&self, key: &Key, check: bool, fetch: impl FnOnce() -> F) -> Result<Token, ServiceError>
    where
        F: Future<Output = Result<Token, ServiceError>>,
    {
        let entry = self.entry(key);
        let _guard = match entry.lookup(check) {
            Lookup::Ready(result) => return result,
            Lookup::Renew(token) => match entry.gate.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(token),
            },
            // Waits at most for one fetch: the holder of the gate leaves a token or a failure.
            Lookup::Fetch => entry.gate.lock().await,
        };
        if let Lookup::Ready(result) = entry.lookup(check) {
            return result;
        }
        if check {
            entry.state.lock().checked_at = Some(Instant::now());
        }
        let result = entry.store(fetch().await);
        if result.is_ok() {
            trim(&mut self.entries.lock(), true, CAPACITY);
        }
        result
    }

    /// Drops a token that a service rejected, unless it was replaced or another one was dropped recently. Returns whether another token may
    /// be accepted and the next call uses one. If the rejected token replaced a rejected one, another one would be rejected as well.
    pub(super) fn invalidate(&self, key: &Key, rejected: &Token) -> bool {
        let Some(entry) = self.entries.lock().get(key).cloned() else {
            return true;
        };
        let now = Instant::now();
        let mut state = entry.state.lock();
        let is_current = state.token.as_ref().is_some_and(|token| token.same(rejected));
        let recently = state.invalidated_at.is_some_and(|at| now < at + MIN_INVALIDATION_INTERVAL);
        if is_current && !recently {
            state.token = None;
            state.invalidated_at = Some(now);
            state.rejected = true;
        }
        let is_replacement = rejected.replaces_rejected && !rejected.is_accepted();
        !(is_current && recently || is_replacement)
    }

    /// Removes the entries that are neither in use nor worth keeping, and returns the number of the others.
    pub(super) fn purge(&self) -> usize {
        let (mut entries, now) = (self.entries.lock(), Instant::now());
        entries.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.is_worth_keeping(now) || now < entry.state.lock().used + UNUSED);
        entries.len()
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if !entries.contains_key(key) {
            trim(&mut entries, false, CAPACITY - 1);
        }
        Arc::clone(entries.entry(key.clone()).or_insert_with(|| Arc::new(Entry::new())))
    }
}

/// Limits the entries with a valid token, or without one, to `max`. Entries in use stay.
fn trim(entries: &mut HashMap<Key, Arc<Entry>>, with_token: bool, max: usize) {
    if entries.len() <= max {
        return;
    }
    let (now, in_use) = (Instant::now(), |entry: &Arc<Entry>| Arc::strong_count(entry) > 1);
    entries.retain(|_, entry| in_use(entry) || entry.is_worth_keeping(now));
    let counted = || entries.iter().filter(|(_, entry)| entry.has_token(now) == with_token);
    if counted().count() > max {
        let oldest =
            counted().filter(|(_, entry)| !in_use(entry)).min_by_key(|(_, entry)| entry.state.lock().used).map(|(key, _)| key.clone());
        oldest.map(|key| entries.remove(&key));
    }
}

impl Entry {
    fn new() -> Self {
        let state = State { token: None, failure: None, checked_at: None, invalidated_at: None, rejected: false, used: Instant::now() };
        Self { state: Mutex::new(state), gate: tokio::sync::Mutex::new(()) }
    }

    fn has_token(&self, now: Instant) -> bool {
        self.state.lock().token.as_ref().is_some_and(|token| now < token.expires)
    }

    fn is_worth_keeping(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.token.as_ref().is_some_and(|token| now < token.expires)
            || state.failure.as_ref().is_some_and(|failure| now < failure.until)
            || state.invalidated_at.is_some_and(|at| state.rejected && now < at + INVALIDATION_MEMORY)
    }

    fn lookup(&self, check: bool) -> Lookup {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.used = now;
        let repeats_refused = check && state.checked_at.is_none_or(|at| now >= at + CHECK_BACKOFF);
        let valid = state.token.as_ref().filter(|token| now < token.expires);
        let failure = state.failure.as_ref().filter(|failure| now < failure.until && !(repeats_refused && failure.is_refusal()));
        match (valid, failure) {
            (Some(token), None) if now >= token.renew_at => Lookup::Renew(token.clone()),
            (Some(token), _) => Lookup::Ready(Ok(token.clone())),
            (None, Some(failure)) => Lookup::Ready(Err(failure.error_at(now))),
            (None, None) => Lookup::Fetch,
        }
    }

    /// Stores the result of a fetch. While the old token is valid, a failed renewal is not an error.
    fn store(&self, fetched: Result<Token, ServiceError>) -> Result<Token, ServiceError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        match fetched {
            Ok(mut token) => {
                if state.token.as_ref().is_some_and(Token::is_accepted) {
                    state.rejected = false;
                }
                token.replaces_rejected = state.rejected;
                state.token = Some(token.clone());
                state.failure = None;
                Ok(token)
            }
            Err(error) => {
                let before = state.failure.as_ref().map(|failure| failure.backoff);
                let failure = Failure::new(error, before, now);
                let error = failure.error_at(now);
                state.failure = Some(failure);
                state.token.clone().filter(|token| now < token.expires).ok_or(error)
            }
        }
    }
}

impl Failure {
    fn new(error: ServiceError, before: Option<Duration>, now: Instant) -> Self {
        let backoff = match error.kind {
            ServiceErrorKind::CredentialsRefused => REJECTED_BACKOFF,
            ServiceErrorKind::AssertionRefused => ASSERTION_BACKOFF,
            _ => before.map_or(MIN_BACKOFF, |backoff| (backoff * 2).min(MAX_BACKOFF)),
        };
        let requested = error.retry_after.unwrap_or_default();
        Self { error, until: now + backoff.max(requested), backoff }
    }

    /// Whether the credentials were rejected: only a change resolves that.
    fn is_refusal(&self) -> bool {
        matches!(self.error.kind, ServiceErrorKind::CredentialsRefused | ServiceErrorKind::AssertionRefused)
    }

    /// The error, with the remaining wait. Rejected credentials have none.
    fn error_at(&self, now: Instant) -> ServiceError {
        let left = (!self.is_refusal()).then(|| self.until.saturating_duration_since(now));
        ServiceError { retry_after: left, ..self.error.clone() }
    }
}

#[cfg(test)]
mod tests;
