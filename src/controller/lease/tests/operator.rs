//! Operators against an in-memory API with a paused clock. Every second is a step of that clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::super::{Lease, LeaseHandle, LeaseReports, LeaseSettings};
use super::fake::{FakeApi, Fault};
use crate::telemetry::health::Health;

pub(super) const DURATION: Duration = Duration::from_secs(15);
pub(super) const STEP: Duration = Duration::from_millis(10);

/// One operator.
pub(super) struct Operator {
    pub(super) lease: LeaseHandle,
    pub(super) task: JoinHandle<()>,
    /// The fault of its own connection to the API.
    pub(super) connection: Arc<Mutex<Fault>>,
    pub(super) health: Health,
}

pub(super) fn operator(api: &FakeApi, name: &str) -> Operator {
    installed(api, name, None)
}

/// One of this installation.
pub(super) fn installed(api: &FakeApi, name: &str, installation: Option<&str>) -> Operator {
    let (connection, health) = (Arc::new(Mutex::new(Fault::None)), Health::new());
    let reports = LeaseReports { health: Some(health.clone()), ..LeaseReports::default() };
    let (lease, task) = Lease::spawn(api.client(&connection), settings(name, installation), reports);
    Operator { lease, task, connection, health }
}

pub(super) fn settings(name: &str, installation: Option<&str>) -> LeaseSettings {
    LeaseSettings {
        namespace: "ops".to_owned(),
        name: "tabular-operator".to_owned(),
        duration: DURATION,
        identity: name.to_owned(),
        installation: installation.map(ToOwned::to_owned),
        watch_namespaces: Vec::new(),
    }
}

/// Waits on the paused clock, and returns the elapsed time.
pub(super) async fn elapsed(what: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    timeout(Duration::from_mins(2), what).await.expect("it ends within two minutes");
    start.elapsed()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
