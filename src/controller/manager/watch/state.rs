//! The state of one watch: whether the API server serves it, how often it failed, and what was reported.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::controller::cluster::timeout;
use crate::controller::store::scope::WatchScope;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// The backoff after the first consecutive failure. Each further failure doubles it.
const MIN_BACKOFF: Duration = Duration::from_millis(800);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The number of consecutive failures after which a watch counts as failing. A refusal counts at once; other errors may be transient.
const FAILING_AFTER: u32 = 3;

/// The state of one watch.
pub(super) struct WatchState {
    scope: WatchScope,
    metrics: Arc<Metrics>,
    health: Health,
    /// Cancelled once the cache has held a complete list.
    pub(super) synced: CancellationToken,
    /// Cancelled once the watch is synced or known to fail. Reconciliations do not wait for it from then on.
    pub(super) settled: CancellationToken,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    /// The number of consecutive failures.
    count: u32,
    /// The last reported message.
    reported: Option<String>,
}

impl WatchState {
    pub(super) fn new(scope: WatchScope, synced: CancellationToken, metrics: Arc<Metrics>, health: Health) -> Self {
        Self { scope, metrics, health, synced, settled: CancellationToken::new(), failures: Mutex::default() }
    }

    /// Records that the cache holds a complete list.
    pub(super) fn synced(&self) {
        self.synced.cancel();
        self.settled.cancel();
    }

    /// Records that the API server has started to send changes.
    pub(super) fn serving(&self) {
        let Failures { reported, .. } = std::mem::take(&mut *self.failures.lock());
        if reported.is_some() {
            tracing::info!(watch = %self.scope, "watch recovered");
        }
        self.report(None);
    }

    /// Records a failure of the list or the watch. Returns the backoff.
    pub(super) fn failed(&self, error: &watcher::Error) -> Duration {
        let mut failures = self.failures.lock();
        let backoff = MIN_BACKOFF.saturating_mul(1 << failures.count.min(6)).min(MAX_BACKOFF);
        failures.count = failures.count.saturating_add(1);
        // An expired resource version is expected: a new list follows.
        if code(error) == Some(410) && failures.count == 1 {
            return backoff;
        }
        let (message, retry_in_seconds) = (summary(error), backoff.as_secs_f64());
        // The same message is a warning only once.
        if failures.reported.as_ref() == Some(&message) {
            tracing::debug!(watch = %self.scope, error = message, retry_in_seconds, "failed to watch the resources again; retrying");
        } else {
            tracing::warn!(watch = %self.scope, error = message, retry_in_seconds, "failed to watch the resources; retrying");
        }
        if is_refusal(error) || failures.count >= FAILING_AFTER {
            self.settled.cancel();
            self.report(Some(&message));
        }
        failures.reported = Some(message);
        backoff
    }

    fn report(&self, failure: Option<&str>) {
        self.metrics.set_watch_healthy(self.scope.kind, self.scope.namespace.as_deref(), failure.is_none());
        self.health.watch(&self.scope.to_string(), failure);
    }

    /// Reports the watch as failing until it gets its first response.
    pub(super) fn starting(&self) {
        self.metrics.set_watch_healthy(self.scope.kind, self.scope.namespace.as_deref(), false);
        self.health.watch(&self.scope.to_string(), Some("no response yet"));
    }
}

/// The HTTP status of the response of the API server.
pub(super) fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

/// Whether only an administrator can resolve the error: a missing permission or CRD.
fn is_refusal(error: &watcher::Error) -> bool {
    code(error).is_some_and(|code| matches!(code, 401 | 403 | 404))
}

/// Describes a watch error in one sentence. The `Display` of the library contains the whole response twice.
fn summary(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            timeout::describe(error)
        }
        watcher::Error::WatchError(status) => format!("the Kubernetes API returned {}: {}", status.code, status.message),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    fn state() -> (WatchState, Health, Arc<Metrics>) {
        let (metrics, health) = (Arc::new(Metrics::new()), Health::new());
        let scope = WatchScope { kind: Kind::ModelRefresh, namespace: Some("bi".to_owned()) };
        let state = WatchState::new(scope, CancellationToken::new(), Arc::clone(&metrics), health.clone());
        health.api_responded();
        health.caches_synced();
        state.starting();
        (state, health, metrics)
    }

    fn refused(code: u16) -> watcher::Error {
        watcher::Error::InitialListFailed(kube::Error::Api(kube::core::Status::failure("no", "No").with_code(code).boxed()))
    }

    fn shown(metrics: &Metrics) -> String {
        let text = metrics.encode().unwrap();
        let line = text.lines().find(|line| line.starts_with("tabular_operator_watch_healthy{")).unwrap();
        line.to_owned()
    }

    #[test]
    fn refusal_is_reported_at_once_with_growing_backoff() {
        for code in [401, 403, 404] {
            let (state, health, metrics) = state();
            let backoffs: Vec<u128> = (0..8).map(|_| state.failed(&refused(code)).as_millis()).collect();
            assert_eq!(backoffs, [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
            assert_eq!((state.settled.is_cancelled(), state.synced.is_cancelled()), (true, false));
            let message = health.ready().unwrap_err();
            assert!(message.contains(&format!("ModelRefresh in namespace bi (the Kubernetes API returned {code}: no)")), "{message}");
            assert_eq!(shown(&metrics), r#"tabular_operator_watch_healthy{kind="ModelRefresh",watched_namespace="bi"} 0"#);
            state.synced();
            state.serving();
            assert_eq!(health.ready().as_deref(), Ok("ok"));
            assert!(shown(&metrics).ends_with(" 1"));
            assert_eq!(state.failed(&refused(code)), MIN_BACKOFF);
        }
    }

    #[test]
    fn transient_failure_is_reported_only_if_it_persists() {
        for error in [refused(500), refused(429), watcher::Error::NoResourceVersion] {
            let (state, health, metrics) = state();
            state.serving();
            for _ in 1..FAILING_AFTER {
                state.failed(&error);
                assert_eq!((health.ready().as_deref(), state.settled.is_cancelled()), (Ok("ok"), false));
            }
            state.failed(&error);
            assert!(health.ready().is_err() && state.settled.is_cancelled());
            assert!(shown(&metrics).ends_with(" 0"));
        }
    }
}
