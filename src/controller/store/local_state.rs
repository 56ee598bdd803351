//! The state of each resource that is kept in memory between two reconciliations. The guarantees do not depend on it.

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
    /// Boxed, because a growing table is half empty and temporarily exists twice.
    of: Mutex<HashMap<String, Box<Remembered>>>,
}

/// The state of one resource.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The state that a reconciliation keeps for the next one.
    pub transient: Transient,
    /// The object that the last write returned, until the watch shows it: the cache lags behind writes.
    latest: Option<Arc<ModelResource>>,
    /// The last reported refusal of a write, and when it was reported.
    denial: Option<(String, Instant)>,
    /// The credentials in the spec for which an identity was last found.
    credentials: Option<Box<Credentials>>,
}

/// The interval after which the same refusal is reported again. The API server deletes events after an hour.
const TOLD: Duration = Duration::from_mins(45);

impl Memory {
    /// The state with which a reconciliation of the resource starts.
    #[must_use]
    pub fn transient(&self, uid: &str) -> Transient {
        self.of.lock().get(uid).map(|remembered| remembered.transient.clone()).unwrap_or_default()
    }

    /// Keeps the state for the next reconciliation.
    pub fn keep(&self, uid: &str, transient: Transient) {
        self.of.lock().entry(uid.to_owned()).or_default().transient = transient;
    }

    /// Keeps the credentials for which an identity was found.
    pub(crate) fn used(&self, uid: &str, credentials: &Credentials) {
        let mut of = self.of.lock();
        let remembered = of.entry(uid.to_owned()).or_default();
        if remembered.credentials.as_deref() != Some(credentials) {
            remembered.credentials = Some(Box::new(credentials.clone()));
        }
    }

    /// The credentials for which an identity was last found.
    pub(crate) fn last_used(&self, uid: &str) -> Option<Credentials> {
        self.of.lock().get(uid)?.credentials.as_deref().cloned()
    }

    /// The newer of the cached object and the one that the last write returned.
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

    /// The object that the last write returned, if the cache does not show it yet.
    #[must_use]
    pub fn newer_than(&self, cached: &ObjectMeta) -> Option<Arc<ModelResource>> {
        let of = self.of.lock();
        let latest = of.get(cached.uid.as_deref()?)?.latest.as_ref()?;
        (latest.version() > version_of(cached.resource_version.as_deref())).then(|| Arc::clone(latest))
    }

    /// Keeps the object that a write or a read from the API server returned.
    pub fn keep_latest(&self, object: &Arc<ModelResource>) {
        if let Some(uid) = object.uid() {
            self.of.lock().entry(uid).or_default().latest = Some(Arc::clone(object));
        }
    }

    /// Discards the object of the last write once the watch shows that version or a later one.
    pub fn shown(&self, metadata: &ObjectMeta) {
        let Some(uid) = metadata.uid.as_deref() else { return };
        if let Some(remembered) = self.of.lock().get_mut(uid)
            && remembered.latest.as_ref().is_some_and(|latest| version_of(metadata.resource_version.as_deref()) >= latest.version())
        {
            remembered.latest = None;
        }
    }

    /// The submission that the service accepted for the intent in `status`, while the id of its operation is not recorded.
    #[must_use]
    pub fn accepted(&self, uid: &str, status: &Status) -> Option<AcceptedSubmission> {
        self.of.lock().get(uid)?.transient.accepted_for(status).cloned()
    }

    /// Keeps an accepted submission before the reconciliation ends, because the watch may show meanwhile that the resource was deleted.
    pub fn accept(&self, uid: &str, status: &Status, submission: &Submission) {
        self.of.lock().entry(uid.to_owned()).or_default().transient.accept(status, submission, 0);
    }

    /// The delay after a failure outside a reconciliation. It grows with each failure.
    #[must_use]
    pub fn failed(&self, uid: &str) -> Duration {
        let mut of = self.of.lock();
        let transient = &mut of.entry(uid.to_owned()).or_default().transient;
        transient.failures = transient.failures.saturating_add(1);
        transient.after_failure()
    }

    /// Whether the namespace of a resource is known to be terminating.
    #[must_use]
    pub fn namespace_ends(&self, uid: &str) -> bool {
        self.of.lock().get(uid).is_some_and(|remembered| remembered.transient.namespace_terminating)
    }

    /// Records that the namespace of a resource is terminating.
    pub fn namespace_is_ending(&self, uid: &str) {
        self.of.lock().entry(uid.to_owned()).or_default().transient.namespace_terminating = true;
    }

    /// Whether to report a refusal of a write: it differs from the last one, or was last reported long ago.
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

    /// Records a successful reconciliation, so that the next refusal is reported again.
    pub fn succeeded(&self, uid: &str) {
        if let Some(remembered) = self.of.lock().get_mut(uid) {
            // The reconciliation may have succeeded without the refused write.
            if remembered.transient.metadata_refused.is_none() {
                remembered.denial = None;
            }
        }
    }

    /// Forgets a deleted resource.
    pub fn forget(&self, uid: &str) {
        self.of.lock().remove(uid);
    }
}

/// The resource version as a number. One that is not a number counts as the oldest, so that the cache takes precedence.
pub(crate) fn version_of(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusal_is_reported_again_if_new_old_or_after_success() {
        let memory = Memory::default();
        let told = |denial| memory.is_news("u", denial);
        assert_eq!([told("a"), told("a"), told("b"), told("b")], [true, false, true, false]);
        tokio::time::advance(TOLD).await;
        assert!(memory.is_news("u", "b") && !memory.is_news("u", "b"));
        memory.succeeded("u");
        assert!(memory.is_news("u", "b"));
    }
}
