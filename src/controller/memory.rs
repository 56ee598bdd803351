//! What is remembered of each resource between two passes. All of it may be lost; none of it decides the promise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::{Credentials, ModelResource, RunState, Status};
use crate::engine::Scratch;
use crate::operation::Submission;

/// The memory of all resources, by uid.
#[derive(Debug, Default)]
pub struct Memory {
    /// Boxed, as a table that grows is half empty, and there twice while it does.
    of: Mutex<HashMap<String, Box<Remembered>>>,
}

/// What is remembered of one resource.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// What the decision remembers.
    pub scratch: Scratch,
    /// The object as our own last write left it, until the watch shows it: the cache lags behind our writes.
    latest: Option<Arc<ModelResource>>,
    /// What was told of a refused write, and when.
    denial: Option<(String, Instant)>,
    /// Passes in a row that failed.
    failures: u32,
    /// Passes in a row whose view was stale.
    stale: u32,
    /// How often in a row a write of the metadata was refused, and until when it is not tried again where something else can be done.
    metadata_refused: Option<(u32, Instant)>,
    /// What the service accepted, while its id is not on record.
    accepted: Option<Accepted>,
    /// What the spec had for credentials when an identity was last found for it.
    credentials: Option<Box<Credentials>>,
    /// Whether its namespace is being deleted.
    namespace_ending: bool,
    /// Whether the API server has to be asked what an intent without an answer became of.
    reread: bool,
}

/// A submission that the service accepted.
#[derive(Clone, Debug)]
struct Accepted {
    /// Of which run, and which attempt of it.
    of: (i32, i32),
    submission: Submission,
}

/// When the same refusal of a write is told again: the API server forgets an event after an hour.
const TOLD: Duration = Duration::from_mins(45);

/// The longest pause after a pass that could not record the id of an accepted operation.
const LONGEST_UNRECORDED: Duration = Duration::from_secs(5);

/// The pause after a pass whose view was stale; each one in a row doubles it, up to the longest.
const STALE: Duration = Duration::from_millis(20);
const LONGEST_STALE: Duration = Duration::from_secs(2);

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(1 << failures.min(8)).min(Duration::from_mins(1))
}

/// The run and the attempt of an intent on record.
fn intent(status: Option<&Status>) -> Option<(i32, i32)> {
    let run = status?.run.as_ref().filter(|run| run.state == RunState::Submitting)?;
    Some((run.number, run.attempt))
}

impl Memory {
    /// What is remembered of the resource with this uid.
    #[must_use]
    pub fn scratch(&self, uid: &str) -> Scratch {
        self.of.lock().get(uid).map(|remembered| remembered.scratch.clone()).unwrap_or_default()
    }

    /// Remembers the credentials that an identity was found for.
    pub(super) fn used(&self, uid: &str, credentials: &Credentials) {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        if remembered.credentials.as_deref() != Some(credentials) {
            remembered.credentials = Some(Box::new(credentials.clone()));
        }
    }

    /// The credentials that an identity was last found for.
    pub(super) fn last_used(&self, uid: &str) -> Option<Credentials> {
        self.of.lock().get(uid)?.credentials.as_deref().cloned()
    }

    /// Remembers for the next pass.
    pub fn keep_scratch(&self, uid: &str, scratch: Scratch) {
        self.of.lock().entry(uid.to_owned()).or_default().scratch = scratch;
    }

    /// The newer of what the cache shows and what our own last write left.
    #[must_use]
    pub fn newest(&self, cached: &Arc<ModelResource>) -> Arc<ModelResource> {
        let Some(uid) = cached.uid() else { return Arc::clone(cached) };
        let mut of = self.of.lock();
        let Some(remembered) = of.get_mut(&uid) else { return Arc::clone(cached) };
        match &remembered.latest {
            Some(latest) if version(latest) > version(cached) => Arc::clone(latest),
            Some(_) | None => {
                remembered.latest = None;
                Arc::clone(cached)
            }
        }
    }

    /// What our own last write left, where the cache does not show it yet.
    #[must_use]
    pub fn newer_than(&self, cached: &ObjectMeta) -> Option<Arc<ModelResource>> {
        let of = self.of.lock();
        let latest = of.get(cached.uid.as_deref()?)?.latest.as_ref()?;
        (version(latest) > version_of(cached.resource_version.as_deref())).then(|| Arc::clone(latest))
    }

    /// Remembers the object as a write, or a read past the cache, showed it.
    pub fn keep_latest(&self, object: &Arc<ModelResource>) {
        if let Some(uid) = object.uid() {
            self.of.lock().entry(uid).or_default().latest = Some(Arc::clone(object));
        }
    }

    /// Takes note of what the watch shows: our own write is not needed once it is seen there.
    pub fn shown(&self, metadata: &ObjectMeta) {
        let Some(uid) = metadata.uid.as_deref() else { return };
        if let Some(remembered) = self.of.lock().get_mut(uid)
            && remembered.latest.as_ref().is_some_and(|latest| version_of(metadata.resource_version.as_deref()) >= version(latest))
        {
            remembered.latest = None;
        }
    }

    /// What the service accepted for the intent on record, while the id of its operation is not.
    #[must_use]
    pub fn accepted(&self, uid: &str, status: Option<&Status>) -> Option<Submission> {
        let of = self.of.lock();
        let accepted = of.get(uid)?.accepted.as_ref()?;
        (intent(status) == Some(accepted.of)).then(|| accepted.submission.clone())
    }

    /// Remembers what the service accepted for the intent on record, until [`Self::recorded`].
    pub fn keep_accepted(&self, uid: &str, status: Option<&Status>, submission: &Submission) {
        let Some(of) = intent(status) else { return };
        self.of.lock().entry(uid.to_owned()).or_default().accepted = Some(Accepted { of, submission: submission.clone() });
    }

    /// The id of the accepted operation is on record.
    pub fn recorded(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            remembered.accepted = None;
        }
    }

    /// An intent was written without an answer: the next pass begins with a read past the cache.
    pub fn reread(&self, uid: &str) {
        self.of.lock().entry(uid.to_owned()).or_default().reread = true;
    }

    /// Whether a pass has to begin with a read past the cache.
    #[must_use]
    pub fn must_reread(&self, uid: &str) -> bool {
        self.of.lock().get(uid).is_some_and(|remembered| remembered.reread)
    }

    /// The API server was asked.
    pub fn reread_done(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            remembered.reread = false;
        }
    }

    /// How long to wait after a pass that failed, longer each time, up to a minute.
    #[must_use]
    pub fn failed(&self, uid: &str) -> Duration {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        remembered.failures = remembered.failures.saturating_add(1);
        let longest = if remembered.accepted.is_some() { LONGEST_UNRECORDED } else { Duration::MAX };
        pause(remembered.failures).min(longest)
    }

    /// How long to wait after a pass whose view was stale, longer each time.
    #[must_use]
    pub fn stale(&self, uid: &str) -> Duration {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        remembered.stale = remembered.stale.saturating_add(1);
        STALE.saturating_mul(1 << (remembered.stale - 1).min(16)).min(LONGEST_STALE)
    }

    /// A write of the metadata was refused.
    pub fn metadata_refused(&self, uid: &str) {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        let times = remembered.metadata_refused.map_or(0, |(times, _)| times).saturating_add(1);
        remembered.metadata_refused = Some((times, Instant::now() + pause(times)));
    }

    /// For how long a write of the metadata that was refused is not tried again; `None` where it may be tried.
    #[must_use]
    pub fn metadata_waits(&self, uid: &str) -> Option<Duration> {
        let (_, until) = self.of.lock().get(uid)?.metadata_refused?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// A write of the metadata was done.
    pub fn metadata_written(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            remembered.metadata_refused = None;
        }
    }

    /// Whether the namespace of a resource is known to be going.
    #[must_use]
    pub fn namespace_ends(&self, uid: &str) -> bool {
        self.of.lock().get(uid).is_some_and(|remembered| remembered.namespace_ending)
    }

    /// The namespace of a resource is going.
    pub fn namespace_is_ending(&self, uid: &str) {
        self.of.lock().entry(uid.to_owned()).or_default().namespace_ending = true;
    }

    /// How many passes in a row have failed.
    #[must_use]
    pub fn failures(&self, uid: &str) -> u32 {
        self.of.lock().get(uid).map_or(0, |remembered| remembered.failures)
    }

    /// Whether a refusal of a write is to be told: it is another one than before, or was told long ago.
    #[must_use]
    pub fn is_news(&self, uid: &str, denial: &str) -> bool {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        if remembered.denial.as_ref().is_some_and(|(told, at)| told == denial && at.elapsed() < TOLD) {
            return false;
        }
        remembered.denial = Some((denial.to_owned(), Instant::now()));
        true
    }

    /// A pass went well.
    pub fn succeeded(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            (remembered.failures, remembered.stale) = (0, 0);
            // The pass may have succeeded without the write that is refused.
            if remembered.metadata_refused.is_none() {
                remembered.denial = None;
            }
        }
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.of.lock().remove(uid);
    }
}

/// The resource version as a number. The API says that they may be compared, and the etcd revisions that they are always
/// could be; one that is no number counts as older than any, so that the cache is believed.
fn version(object: &ModelResource) -> u64 {
    version_of(object.meta().resource_version.as_deref())
}

pub(super) fn version_of(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusal_of_a_write_is_told_again_when_it_changes_or_after_a_while_or_after_a_success() {
        let memory = Memory::default();
        let told = |denial| memory.is_news("u", denial);
        assert_eq!([told("a"), told("a"), told("b"), told("b")], [true, false, true, false]);
        tokio::time::advance(TOLD).await;
        assert!(memory.is_news("u", "b") && !memory.is_news("u", "b"));
        memory.succeeded("u");
        assert!(memory.is_news("u", "b"));
    }

    #[test]
    fn pause_after_failures_grows_to_a_minute() {
        let memory = Memory::default();
        let pauses: Vec<Duration> = (0..10).map(|_| memory.failed("u")).collect();
        assert!(pauses.is_sorted() && pauses[0] < Duration::from_secs(1));
        assert_eq!(pauses.last(), Some(&Duration::from_mins(1)));
    }
}
