//! The state of each resource that is kept in memory between two reconciliations. The guarantees do not depend on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::refused_writes::RefusedWrites;
use crate::api::{Credentials, ModelResource, Status};
use crate::engine::reconcile::{AcceptedSubmission, InMemoryState, View as _};
use crate::operation::SubmitResult;
use crate::telemetry::labels::Write;

/// The memory of all resources, by uid.
#[derive(Debug, Default)]
pub struct LocalStates {
    /// Boxed, because a growing table is half empty and temporarily exists twice.
    states: Mutex<HashMap<String, Box<LocalState>>>,
}

/// The state of one resource.
#[derive(Clone, Debug, Default)]
pub struct LocalState {
    /// The state that a reconciliation keeps for the next one.
    pub in_memory: InMemoryState,
    /// The object that the last write returned, until the watch shows it: the cache lags behind writes.
    last_write: Option<Arc<ModelResource>>,
    /// The refused writes, and when they were reported.
    refused_writes: RefusedWrites,
    /// The last reported message about another fault, and when it was reported.
    reported: Option<(String, Instant)>,
    /// The credentials in the spec for which an identity was last found.
    credentials: Option<Box<Credentials>>,
}

/// The interval after which the same message is reported again. The API server deletes events after an hour.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_mins(45);

impl LocalStates {
    /// The state with which a reconciliation of the resource starts.
    #[must_use]
    pub fn in_memory(&self, uid: &str) -> InMemoryState {
        self.states.lock().get(uid).map(|state| state.in_memory.clone()).unwrap_or_default()
    }

    /// Keeps the state for the next reconciliation.
    pub fn set_in_memory(&self, uid: &str, in_memory: InMemoryState) {
        self.states.lock().entry(uid.to_owned()).or_default().in_memory = in_memory;
    }

    /// Keeps the credentials for which an identity was found.
    pub(crate) fn record_credentials(&self, uid: &str, credentials: &Credentials) {
        let mut states = self.states.lock();
        let state = states.entry(uid.to_owned()).or_default();
        if state.credentials.as_deref() != Some(credentials) {
            state.credentials = Some(Box::new(credentials.clone()));
        }
    }

    /// The credentials for which an identity was last found.
    pub(crate) fn last_credentials(&self, uid: &str) -> Option<Credentials> {
        self.states.lock().get(uid)?.credentials.as_deref().cloned()
    }

    /// The newer of the cached object and the one that the last write returned.
    #[must_use]
    pub fn newest(&self, cached: &Arc<ModelResource>) -> Arc<ModelResource> {
        let Some(uid) = cached.uid() else { return Arc::clone(cached) };
        let mut states = self.states.lock();
        let Some(state) = states.get_mut(&uid) else { return Arc::clone(cached) };
        match &state.last_write {
            Some(last_write) if last_write.version() > cached.version() => Arc::clone(last_write),
            Some(_) | None => {
                state.last_write = None;
                Arc::clone(cached)
            }
        }
    }

    /// The object that the last write returned, if the cache does not show it yet.
    #[must_use]
    pub fn newer_than(&self, cached: &ObjectMeta) -> Option<Arc<ModelResource>> {
        let states = self.states.lock();
        let last_write = states.get(cached.uid.as_deref()?)?.last_write.as_ref()?;
        (last_write.version() > version_of(cached.resource_version.as_deref())).then(|| Arc::clone(last_write))
    }

    /// Keeps the object that a write or a read from the API server returned.
    pub fn record_write(&self, object: &Arc<ModelResource>) {
        if let Some(uid) = object.uid() {
            self.states.lock().entry(uid).or_default().last_write = Some(Arc::clone(object));
        }
    }

    /// Discards the object of the last write once the watch shows that version or a later one.
    pub fn observed(&self, metadata: &ObjectMeta) {
        let Some(uid) = metadata.uid.as_deref() else { return };
        if let Some(state) = self.states.lock().get_mut(uid)
            && state.last_write.as_ref().is_some_and(|last_write| version_of(metadata.resource_version.as_deref()) >= last_write.version())
        {
            state.last_write = None;
        }
    }

    /// The submission that the service accepted for the intent in `status`, while the id of its operation is not recorded.
    #[must_use]
    pub fn accepted(&self, uid: &str, status: &Status) -> Option<AcceptedSubmission> {
        self.states.lock().get(uid)?.in_memory.accepted_for(status).cloned()
    }

    /// Keeps an accepted submission before the reconciliation ends, because the watch may show meanwhile that the resource was deleted.
    pub fn record_accepted(&self, uid: &str, status: &Status, submission: &SubmitResult) {
        self.states.lock().entry(uid.to_owned()).or_default().in_memory.accept(status, submission, 0);
    }

    /// Keeps an accepted submission again after its resource was forgotten, unless a later one is kept, or `status` shows another intent or
    /// the id. Returns whether it is kept.
    #[must_use]
    pub fn restore_accepted(&self, uid: &str, status: &Status, accepted: AcceptedSubmission) -> bool {
        let restored = InMemoryState { accepted: Some(accepted), ..InMemoryState::default() };
        if restored.accepted_for(status).is_none() {
            return false;
        }
        let mut locked = self.states.lock();
        let in_memory = &mut locked.entry(uid.to_owned()).or_default().in_memory;
        if in_memory.accepted_for(status).is_some() {
            return false;
        }
        in_memory.accepted = restored.accepted;
        true
    }

    /// The delay after a failure outside a reconciliation. It grows with each failure.
    #[must_use]
    pub fn record_failure(&self, uid: &str) -> Duration {
        let mut states = self.states.lock();
        let in_memory = &mut states.entry(uid.to_owned()).or_default().in_memory;
        in_memory.failures = in_memory.failures.saturating_add(1);
        in_memory.after_failure()
    }

    /// Whether the namespace of a resource is known to be terminating.
    #[must_use]
    pub fn is_namespace_terminating(&self, uid: &str) -> bool {
        self.states.lock().get(uid).is_some_and(|state| state.in_memory.namespace_terminating)
    }

    /// Records that the namespace of a resource is terminating.
    pub fn set_namespace_terminating(&self, uid: &str) {
        self.states.lock().entry(uid.to_owned()).or_default().in_memory.namespace_terminating = true;
    }

    /// Whether to report a refused write with this HTTP status. The refusal counts as reported then.
    #[must_use]
    pub(crate) fn should_report_write(&self, uid: &str, write: Write, status: Option<u16>) -> bool {
        self.states.lock().entry(uid.to_owned()).or_default().refused_writes.should_report(write, status, Instant::now())
    }

    /// Records a successful write, so that the next refusal of such a write is reported. A reconciliation may succeed without it.
    pub(crate) fn record_written(&self, uid: &str, write: Write) {
        if let Some(state) = self.states.lock().get_mut(uid) {
            state.refused_writes.forget(write);
        }
    }

    /// Whether to report another fault: its message differs from the last one, or was last reported long ago.
    #[must_use]
    pub fn should_report(&self, uid: &str, message: &str) -> bool {
        let mut states = self.states.lock();
        let state = states.entry(uid.to_owned()).or_default();
        if state.reported.as_ref().is_some_and(|(reported, at)| reported == message && at.elapsed() < REPORT_INTERVAL) {
            return false;
        }
        state.reported = Some((message.to_owned(), Instant::now()));
        true
    }

    /// Records a successful reconciliation, so that the next fault is reported again.
    pub fn record_success(&self, uid: &str) {
        if let Some(state) = self.states.lock().get_mut(uid) {
            state.reported = None;
        }
    }

    /// Number of resources with a state.
    #[must_use]
    pub fn count(&self) -> usize {
        self.states.lock().len()
    }

    /// Forgets a deleted resource.
    pub fn remove(&self, uid: &str) {
        self.states.lock().remove(uid);
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
    async fn fault_is_reported_again_if_new_old_or_after_success() {
        let states = LocalStates::default();
        let reported = |message| states.should_report("u", message);
        assert_eq!([reported("a"), reported("a"), reported("b"), reported("b")], [true, false, true, false]);
        tokio::time::advance(REPORT_INTERVAL).await;
        assert!(states.should_report("u", "b") && !states.should_report("u", "b"));
        states.record_success("u");
        assert!(states.should_report("u", "b"));
    }

    #[test]
    fn refused_write_is_reported_again_after_such_a_write() {
        let states = LocalStates::default();
        let reported = || [Write::Status, Write::Finalizer].map(|write| states.should_report_write("u", write, Some(403)));
        assert_eq!((reported(), reported()), ([true; 2], [false; 2]));
        // A reconciliation without the refused write shows nothing.
        states.record_success("u");
        states.record_written("u", Write::Annotation);
        assert_eq!(reported(), [false; 2]);
        states.record_written("u", Write::Status);
        assert_eq!(reported(), [true, false]);
        // Nothing is kept about a deleted resource.
        states.remove("u");
        states.record_written("u", Write::Status);
        assert!(states.states.lock().is_empty());
    }
}
