//! Liveness and readiness of the operator: loops send heartbeats, and the start-up reports its progress.

mod lease;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::lease::LeaseRequests;

/// The state behind the probes. Clones share one state.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    loops: Mutex<Vec<MonitoredLoop>>,
    api_responded: AtomicBool,
    caches_synced: AtomicBool,
    standby: AtomicBool,
    stopping: AtomicBool,
    /// The error of each watch; `None` for a healthy watch.
    watches: Mutex<BTreeMap<String, Option<String>>>,
    lease: Mutex<LeaseRequests>,
}

/// Maximum number of failing watches in `/readyz`.
const MAX_NAMED: usize = 10;

struct MonitoredLoop {
    name: &'static str,
    limit: Duration,
    last: Instant,
}

impl Health {
    /// The initial state: alive and not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to monitor a loop. It must call [`beat`](Heartbeat::beat) at least every `limit`, or the process counts as stuck. Replaces a
    /// loop with the same name.
    #[must_use]
    pub fn heartbeat(&self, name: &'static str, limit: Duration) -> Heartbeat {
        let mut loops = self.inner.loops.lock();
        loops.retain(|monitored| monitored.name != name);
        loops.push(MonitoredLoop { name, limit, last: Instant::now() });
        Heartbeat { health: self.clone(), name }
    }

    /// Records the first response of the Kubernetes API.
    pub fn api_responded(&self) {
        self.inner.api_responded.store(true, Ordering::Release);
    }

    /// Records that the caches are complete: this process is active and no longer a standby.
    pub fn caches_synced(&self) {
        self.inner.caches_synced.store(true, Ordering::Release);
        self.inner.standby.store(false, Ordering::Release);
    }

    /// Sets whether another process holds the lease and this one waits to take over. A standby is ready; otherwise a rolling update would
    /// never end.
    pub fn standby(&self, standby: bool) {
        self.inner.standby.store(standby, Ordering::Release);
    }

    /// Sets the state of a watch: its error, or `None` if it is healthy.
    pub fn watch(&self, watch: &str, failure: Option<&str>) {
        self.inner.watches.lock().insert(watch.to_owned(), failure.map(ToOwned::to_owned));
    }

    /// Records the response to a request for the Lease, which has this duration: its error, or `None` after a success.
    pub fn lease(&self, request: &'static str, failure: Option<String>, duration: Duration) {
        self.inner.lease.lock().record(request, failure, duration, Instant::now());
    }

    /// Records that the process is shutting down.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// `/livez`: whether every loop sends its heartbeat.
    ///
    /// # Errors
    /// A sentence that names the stuck loop.
    pub fn live(&self) -> Result<(), String> {
        let now = Instant::now();
        for monitored in self.inner.loops.lock().iter() {
            let silent = now.saturating_duration_since(monitored.last);
            if silent > monitored.limit {
                return Err(format!(
                    "the {} loop is stuck: no heartbeat for {} s (limit {} s)",
                    monitored.name,
                    silent.as_secs(),
                    monitored.limit.as_secs()
                ));
            }
        }
        Ok(())
    }

    /// `/readyz`: whether the process can work or is a standby. It can work while at least one watch is healthy, and the text then names
    /// the failing watches. A standby is not ready if it has failed to access the Lease for the whole duration of the Lease, because it
    /// cannot take over.
    ///
    /// # Errors
    /// A sentence that names the missing condition.
    pub fn ready(&self) -> Result<String, String> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let Inner { loops: _, api_responded, caches_synced, standby, stopping, watches, lease } = &*self.inner;
        if is(stopping) {
            return Err("stopping".to_owned());
        }
        if !is(api_responded) {
            return Err("waiting for the first response of the Kubernetes API".to_owned());
        }
        let lease = lease.lock().problem(Instant::now());
        if is(standby) {
            return match lease {
                Some(problem) if problem.lasting => Err(format!("standby, but unable to take over: {}", problem.message)),
                Some(problem) => Ok(format!("ok: standby, but {}", problem.message)),
                None => Ok("ok: standby, another operator is the leader".to_owned()),
            };
        }
        let watches = watches.lock();
        let failing = failing(&watches);
        match (failing, lease) {
            (Some(failing), _) if watches.values().all(Option::is_some) => Err(format!("all watches fail: {failing}")),
            // Without the Lease, no watch starts.
            (_, Some(problem)) if !is(caches_synced) => Err(problem.message),
            _ if !is(caches_synced) => Err("waiting for the first list of the resources".to_owned()),
            (Some(failing), None) => Ok(format!("ok, but some watches fail: {failing}")),
            (Some(failing), Some(problem)) => Ok(format!("ok, but {}, and some watches fail: {failing}", problem.message)),
            (None, Some(problem)) => Ok(format!("ok, but {}", problem.message)),
            (None, None) => Ok("ok".to_owned()),
        }
    }
}

/// Lists the failing watches with their errors.
fn failing(watches: &BTreeMap<String, Option<String>>) -> Option<String> {
    let failing = watches.iter().filter_map(|(watch, failure)| Some(format!("{watch} ({})", failure.as_ref()?)));
    let mut named: Vec<String> = failing.clone().take(MAX_NAMED).collect();
    let more = failing.count().saturating_sub(MAX_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    (!named.is_empty()).then(|| named.join(", "))
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("live", &self.live()).field("ready", &self.ready()).finish()
    }
}

/// The heartbeat of a loop. Dropping it does not stop the monitoring: a loop that died counts as stuck.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    name: &'static str,
}

impl Heartbeat {
    /// Sends a heartbeat.
    pub fn beat(&self) {
        let now = Instant::now();
        for monitored in self.health.inner.loops.lock().iter_mut().filter(|monitored| monitored.name == self.name) {
            monitored.last = now;
        }
    }

    /// Ends the monitoring, because the loop has ended as intended.
    pub fn finished(self) {
        self.health.inner.loops.lock().retain(|monitored| monitored.name != self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_requires_a_response_and_full_caches() {
        let health = Health::new();
        assert!(health.ready().unwrap_err().contains("Kubernetes API"));
        health.api_responded();
        assert!(health.ready().unwrap_err().contains("resources"));
        health.caches_synced();
        assert_eq!(health.ready().as_deref(), Ok("ok"));
        health.stopping();
        assert_eq!(health.ready().unwrap_err(), "stopping");
    }

    #[test]
    fn readiness_requires_one_healthy_watch_and_names_failing() {
        let health = Health::new();
        health.api_responded();
        health.watch("a", None);
        health.watch("b", Some("403"));
        assert!(health.ready().unwrap_err().contains("the first list"));
        health.caches_synced();
        assert_eq!(health.ready().unwrap(), "ok, but some watches fail: b (403)");
        health.watch("a", Some("404"));
        assert_eq!(health.ready().unwrap_err(), "all watches fail: a (404), b (403)");
        for n in 0..20 {
            health.watch(&format!("c-{n}"), Some("403"));
        }
        assert!(health.ready().unwrap_err().ends_with(", and 12 more"));
        health.standby(true);
        assert!(health.ready().unwrap().contains("standby"));
    }

    #[test]
    fn standby_is_ready_until_it_takes_over() {
        let health = Health::new();
        health.api_responded();
        health.standby(true);
        assert!(health.ready().unwrap().contains("standby"));
        health.standby(false);
        assert!(health.ready().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failing_lease_request_is_named() {
        let (health, duration) = (Health::new(), Duration::from_secs(15));
        let fail = || health.lease("read", Some("403".to_owned()), duration);
        health.api_responded();
        fail();
        assert_eq!(health.ready().unwrap_err(), "failed to read the Lease: 403", "the resources are not listed before");
        health.standby(true);
        assert_eq!(health.ready().unwrap(), "ok: standby, but failed to read the Lease: 403");
        tokio::time::advance(duration).await;
        fail();
        assert_eq!(health.ready().unwrap_err(), "standby, but unable to take over: failed to read the Lease: 403");
        assert_eq!(health.live(), Ok(()), "a restart does not help");
        health.lease("read", None, duration);
        assert!(health.ready().unwrap().contains("another operator is the leader"));
        health.lease("renew", Some("500".to_owned()), duration);
        health.caches_synced();
        assert_eq!(health.ready().unwrap(), "ok, but failed to renew the Lease: 500");
        health.watch("a", None);
        health.watch("b", Some("403"));
        assert_eq!(health.ready().unwrap(), "ok, but failed to renew the Lease: 500, and some watches fail: b (403)");
    }

    #[tokio::test(start_paused = true)]
    async fn silent_loop_is_reported_by_name() {
        let health = Health::new();
        let heartbeat = health.heartbeat("dispatch", Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(health.live(), Ok(()));
        heartbeat.beat();
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(health.live(), Ok(()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(health.live().unwrap_err().contains("dispatch loop is stuck"));
        heartbeat.finished();
        assert_eq!(health.live(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn dead_loop_is_stuck() {
        let health = Health::new();
        drop(health.heartbeat("lease", Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(health.live().is_err());
    }
}
