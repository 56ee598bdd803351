//! What is kept in memory of each resource between two reconciliations. All of it may be lost; none of it decides the promise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::{Credentials, ModelResource, Status};
use crate::engine::reconcile::{AcceptedSubmission, Transient, View as _};
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
    /// What a reconciliation keeps for the next one.
    pub transient: Transient,
    /// The object as our own last write left it, until the watch shows it: the cache lags behind our writes.
    latest: Option<Arc<ModelResource>>,
    /// What was told of a refused write, and when.
    denial: Option<(String, Instant)>,
    /// What the spec had for credentials when an identity was last found for it.
    credentials: Option<Box<Credentials>>,
}

/// When the same refusal of a write is told again: the API server forgets an event after an hour.
const TOLD: Duration = Duration::from_mins(45);

impl Memory {
    /// What a reconciliation of the resource with this uid starts with.
    #[must_use]
    pub fn transient(&self, uid: &str) -> Transient {
        self.of.lock().get(uid).map(|remembered| remembered.transient.clone()).unwrap_or_default()
    }

    /// Keeps what a reconciliation leaves for the next one.
    pub fn keep(&self, uid: &str, transient: Transient) {
        self.of.lock().entry(uid.to_owned()).or_default().transient = transient;
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

    /// The newer of what the cache shows and what our own last write left.
    #[must_use]
    pub fn newest(&self, cached: &Arc<ModelResource>) -> Arc<ModelResource> {
        let Some(uid) = cached.uid() else { return Arc::clone(cached) };
        let mut of = self.of.lock();
        let Some(remembered) = of.get_mut(&uid) else { return Arc::clone(cached) };
        match &remembered.latest {
            Some(latest) if latest.version() > cached.version() => Arc::clone(latest),
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
        (latest.version() > version_of(cached.resource_version.as_deref())).then(|| Arc::clone(latest))
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
            && remembered.latest.as_ref().is_some_and(|latest| version_of(metadata.resource_version.as_deref()) >= latest.version())
        {
            remembered.latest = None;
        }
    }

    /// What the service accepted for the intent that a status shows, while the id of its operation is not recorded.
    #[must_use]
    pub fn accepted(&self, uid: &str, status: &Status) -> Option<AcceptedSubmission> {
        self.of.lock().get(uid)?.transient.accepted_for(status).cloned()
    }

    /// Keeps what the service has just accepted, before the reconciliation ends: the watch may show meanwhile that the resource is gone.
    pub fn accept(&self, uid: &str, status: &Status, submission: &Submission) {
        self.of.lock().entry(uid.to_owned()).or_default().transient.accept(status, submission, 0);
    }

    /// The delay after a failure outside of a reconciliation, longer each time.
    #[must_use]
    pub fn failed(&self, uid: &str) -> Duration {
        let mut of = self.of.lock();
        let transient = &mut of.entry(uid.to_owned()).or_default().transient;
        transient.failures = transient.failures.saturating_add(1);
        transient.after_failure()
    }

    /// Whether the namespace of a resource is known to be going.
    #[must_use]
    pub fn namespace_ends(&self, uid: &str) -> bool {
        self.of.lock().get(uid).is_some_and(|remembered| remembered.transient.namespace_ending)
    }

    /// The namespace of a resource is going.
    pub fn namespace_is_ending(&self, uid: &str) {
        self.of.lock().entry(uid.to_owned()).or_default().transient.namespace_ending = true;
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

    /// A reconciliation succeeded: the next refusal is reported again.
    pub fn succeeded(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            // It may have succeeded without the write that is refused.
            if remembered.transient.metadata_refused.is_none() {
                remembered.denial = None;
            }
        }
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.of.lock().remove(uid);
    }
}

/// The resource version as a number; one that is no number counts as older than any, so that the cache is believed.
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
}
