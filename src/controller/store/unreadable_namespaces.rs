//! The namespaces that the operator may not read, and when each was reported.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::local_state::REPORT_INTERVAL;

/// The maximum number of namespaces. Further ones are not reported, because the same permission is missing for all.
const CAPACITY: usize = 1_000;

/// The reported namespaces.
#[derive(Debug, Default)]
pub(crate) struct UnreadableNamespaces {
    reported: Mutex<HashMap<String, Instant>>,
}

impl UnreadableNamespaces {
    /// Whether to report that the namespace cannot be read: it was not reported, or long ago. It counts as reported then.
    pub(crate) fn should_report(&self, namespace: &str) -> bool {
        let (mut reported, now) = (self.reported.lock(), Instant::now());
        reported.retain(|_, at| now.duration_since(*at) < REPORT_INTERVAL);
        if reported.len() >= CAPACITY || reported.contains_key(namespace) {
            return false;
        }
        reported.insert(namespace.to_owned(), now);
        true
    }

    /// Number of reported namespaces.
    pub(crate) fn count(&self) -> usize {
        self.reported.lock().len()
    }

    /// Forgets a namespace that could be read or is gone.
    pub(crate) fn forget(&self, namespace: &str) {
        self.reported.lock().remove(namespace);
    }

    /// Forgets a namespace unless it has more resources.
    pub(super) fn forget_unless(&self, namespace: &str, has_resources: impl FnOnce() -> bool) {
        // Few namespaces are reported, so resources are rarely searched.
        let is_reported = self.reported.lock().contains_key(namespace);
        if is_reported && !has_resources() {
            self.forget(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_namespace_is_reported_once_until_forgotten() {
        let namespaces = UnreadableNamespaces::default();
        let reported = || ["a", "b"].map(|namespace| namespaces.should_report(namespace));
        assert_eq!([reported(), reported(), reported()], [[true; 2], [false; 2], [false; 2]]);
        namespaces.forget_unless("a", || true);
        assert_eq!(reported(), [false; 2]);
        namespaces.forget_unless("a", || false);
        assert_eq!(reported(), [true, false]);
        namespaces.forget("b");
        assert_eq!(reported(), [false, true]);
        tokio::time::advance(REPORT_INTERVAL).await;
        assert_eq!(reported(), [true; 2]);
    }

    #[test]
    fn number_of_reported_namespaces_is_bounded() {
        let namespaces = UnreadableNamespaces::default();
        let report_all = || (0..CAPACITY + 10).filter(|n| namespaces.should_report(&format!("ns-{n}"))).count();
        assert_eq!((report_all(), report_all(), namespaces.count()), (CAPACITY, 0, CAPACITY));
        namespaces.forget("ns-0");
        assert_eq!(report_all(), 1);
    }
}
