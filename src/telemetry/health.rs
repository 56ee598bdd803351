//! Whether the operator is alive and ready: its loops beat here, and its start-up reports here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What the probes ask. Clones share one state.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    loops: Mutex<Vec<Watched>>,
    api_answered: AtomicBool,
    caches_synced: AtomicBool,
    standby: AtomicBool,
    stopping: AtomicBool,
    /// What each watch fails with; `None` for one that works.
    watches: Mutex<BTreeMap<String, Option<String>>>,
}

/// How many watches that fail `/readyz` names.
const NAMED: usize = 10;

struct Watched {
    name: &'static str,
    limit: Duration,
    last: Instant,
}

impl Health {
    /// Nothing has reported yet: alive, and not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches a loop from now on: it has to [`beat`](Heartbeat::beat) at least every `limit`, or the process counts as stuck.
    /// A loop of the same name is replaced.
    #[must_use]
    pub fn heartbeat(&self, name: &'static str, limit: Duration) -> Heartbeat {
        let mut loops = self.inner.loops.lock();
        loops.retain(|watched| watched.name != name);
        loops.push(Watched { name, limit, last: Instant::now() });
        Heartbeat { health: self.clone(), name }
    }

    /// The Kubernetes API has answered.
    pub fn api_answered(&self) {
        self.inner.api_answered.store(true, Ordering::Release);
    }

    /// The caches hold all that there is: this one is at work, and no standby any more.
    pub fn caches_synced(&self) {
        self.inner.caches_synced.store(true, Ordering::Release);
        self.inner.standby.store(false, Ordering::Release);
    }

    /// Another holds the lease, and this one waits to take over. That is ready, or a rolling update would never end.
    pub fn standby(&self, standby: bool) {
        self.inner.standby.store(standby, Ordering::Release);
    }

    /// How a watch stands: what it fails with, or `None` where it works.
    pub fn watch(&self, watch: &str, failure: Option<&str>) {
        self.inner.watches.lock().insert(watch.to_owned(), failure.map(ToOwned::to_owned));
    }

    /// The process is on its way out.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// `/livez`: whether every loop beats.
    ///
    /// # Errors
    /// A sentence that names the loop that does not.
    pub fn live(&self) -> Result<(), String> {
        let now = Instant::now();
        for watched in self.inner.loops.lock().iter() {
            let silent = now.saturating_duration_since(watched.last);
            if silent > watched.limit {
                return Err(format!(
                    "the {} loop is stuck: it has not moved for {} s, and may take {} s",
                    watched.name,
                    silent.as_secs(),
                    watched.limit.as_secs()
                ));
            }
        }
        Ok(())
    }

    /// `/readyz`: whether it can do its work, or stands by to. It can as long as one watch works, and then says which do not.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn ready(&self) -> Result<String, String> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let Inner { loops: _, api_answered, caches_synced, standby, stopping, watches } = &*self.inner;
        if is(stopping) {
            return Err("stopping".to_owned());
        }
        if !is(api_answered) {
            return Err("waiting for the first answer of the Kubernetes API".to_owned());
        }
        if is(standby) {
            return Ok("ok: standing by for the leader".to_owned());
        }
        let watches = watches.lock();
        let failing = failing(&watches);
        match failing {
            Some(failing) if watches.values().all(Option::is_some) => Err(format!("no watch works: {failing}")),
            _ if !is(caches_synced) => Err("reading the resources for the first time".to_owned()),
            Some(failing) => Ok(format!("ok, but not all is watched: {failing}")),
            None => Ok("ok".to_owned()),
        }
    }
}

/// Each watch that fails, with what.
fn failing(watches: &BTreeMap<String, Option<String>>) -> Option<String> {
    let failing = watches.iter().filter_map(|(watch, failure)| Some(format!("{watch} ({})", failure.as_ref()?)));
    let mut named: Vec<String> = failing.clone().take(NAMED).collect();
    let more = failing.count().saturating_sub(NAMED);
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

/// One loop's sign of life. Dropping it keeps the watch on: a loop that died counts as stuck.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    name: &'static str,
}

impl Heartbeat {
    /// The loop has moved.
    pub fn beat(&self) {
        let now = Instant::now();
        for watched in self.health.inner.loops.lock().iter_mut().filter(|watched| watched.name == self.name) {
            watched.last = now;
        }
    }

    /// The loop has ended as it should.
    pub fn finished(self) {
        self.health.inner.loops.lock().retain(|watched| watched.name != self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_needs_an_answer_and_full_caches() {
        let health = Health::new();
        assert!(health.ready().unwrap_err().contains("Kubernetes API"));
        health.api_answered();
        assert!(health.ready().unwrap_err().contains("resources"));
        health.caches_synced();
        assert_eq!(health.ready().as_deref(), Ok("ok"));
        health.stopping();
        assert_eq!(health.ready().unwrap_err(), "stopping");
    }

    #[test]
    fn readiness_needs_one_watch_and_names_those_that_fail() {
        let health = Health::new();
        health.api_answered();
        health.watch("a", None);
        health.watch("b", Some("403"));
        assert!(health.ready().unwrap_err().contains("for the first time"));
        health.caches_synced();
        assert_eq!(health.ready().unwrap(), "ok, but not all is watched: b (403)");
        health.watch("a", Some("404"));
        assert_eq!(health.ready().unwrap_err(), "no watch works: a (404), b (403)");
        for n in 0..20 {
            health.watch(&format!("c-{n}"), Some("403"));
        }
        assert!(health.ready().unwrap_err().ends_with(", and 12 more"));
        health.standby(true);
        assert!(health.ready().unwrap().contains("standing by"));
    }

    #[test]
    fn a_standby_is_ready_until_it_takes_over() {
        let health = Health::new();
        health.api_answered();
        health.standby(true);
        assert!(health.ready().unwrap().contains("standing by"));
        health.standby(false);
        assert!(health.ready().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_loop_is_named() {
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
    async fn a_loop_that_died_is_stuck() {
        let health = Health::new();
        drop(health.heartbeat("lease", Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(health.live().is_err());
    }
}
