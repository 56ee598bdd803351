//! Reconciles each resource when it is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::scheduler::Scheduler;
use crate::api::ResourceKey;
use crate::controller::reconcile::action::Action;
use crate::fair_semaphore::FairSemaphore;
use crate::telemetry::health::Heartbeat;

/// The dependencies of the dispatcher.
pub(crate) struct Dispatch<'a> {
    /// No reconciliation starts before this is cancelled.
    pub(crate) ready: CancellationToken,
    /// No reconciliation starts after this is cancelled; those in progress end.
    pub(crate) stop: &'a CancellationToken,
    /// Each reconciliation holds a permit of its namespace.
    pub(crate) reconcile_permits: &'a FairSemaphore,
    /// Beats while the dispatcher makes progress.
    pub(crate) heartbeat: Heartbeat,
    /// Receives the number of scheduled reconciliations with each beat.
    pub(crate) scheduled: &'a AtomicUsize,
}

impl Dispatch<'_> {
    /// Runs `reconcile` for each resource that `due` yields, and again when its result requests it, until `stop` is cancelled.
    pub(crate) async fn run<F>(self, mut due: impl Stream<Item = ResourceKey> + Unpin, reconcile: impl Fn(Arc<ResourceKey>) -> F)
    where
        F: Future<Output = Action>,
    {
        let Self { ready, stop, reconcile_permits, heartbeat, scheduled } = self;
        let mut scheduler = Scheduler::default();
        let mut running = FuturesUnordered::new();
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let begin = |name: Arc<ResourceKey>| {
            let reconcile = &reconcile;
            // Thousands may wait for a permit, so the future of the reconciliation is created only with one.
            async move {
                let action = tokio::select! {
                    biased;
                    () = stop.cancelled() => Action::await_change(),
                    permit = reconcile_permits.acquire(&name.namespace) => {
                        let action = Box::pin(reconcile(Arc::clone(&name))).await;
                        drop(permit);
                        action
                    }
                };
                (name, action)
            }
        };
        loop {
            let next = scheduler.next().filter(|_| ready.is_cancelled());
            tokio::select! {
                () = stop.cancelled() => break,
                () = ready.cancelled(), if !ready.is_cancelled() => {}
                Some((name, action)) = running.next() => scheduler.end(name, action, Instant::now()),
                name = due.next() => match name {
                    Some(name) => scheduler.schedule(name, Instant::now()),
                    None => break,
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    while let Some(name) = scheduler.begin(Instant::now()) {
                        running.push(begin(name));
                    }
                }
                _ = beat.tick() => {
                    heartbeat.beat();
                    scheduled.store(scheduler.len(), Ordering::Relaxed);
                }
            }
        }
        while running.next().await.is_some() {}
        heartbeat.finished();
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::sync::mpsc;

    use super::*;
    use crate::api::Kind;
    use crate::telemetry::health::Health;

    const HOUR: Duration = Duration::from_hours(1);

    fn name(namespace: &str, name: usize) -> ResourceKey {
        ResourceKey { kind: Kind::ModelRefresh, namespace: namespace.to_owned(), name: name.to_string() }
    }

    /// What a test observes: when each reconciliation started, and how many are in progress at once at most.
    #[derive(Default)]
    struct Log {
        begun: Vec<(ResourceKey, Instant)>,
        now: usize,
        most: usize,
    }

    /// Runs reconciliations that each take this long and are due again after an hour.
    async fn run(
        duration: Duration,
        names: mpsc::UnboundedReceiver<ResourceKey>,
        ready: CancellationToken,
        stop: CancellationToken,
        log: Arc<Mutex<Log>>,
    ) {
        let heartbeat = Health::new().heartbeat("controller", HOUR);
        let due = futures::stream::unfold(names, |mut names| async move { names.recv().await.map(|name| (name, names)) });
        let (reconcile_permits, scheduled) = (&FairSemaphore::new(64), &AtomicUsize::new(0));
        let dispatch = Dispatch { ready, stop: &stop, reconcile_permits, heartbeat, scheduled };
        let reconcile = |name: Arc<ResourceKey>| {
            let log = Arc::clone(&log);
            async move {
                {
                    let mut log = log.lock();
                    log.begun.push((ResourceKey::clone(&name), Instant::now()));
                    log.now += 1;
                    log.most = log.most.max(log.now);
                }
                tokio::time::sleep(duration).await;
                log.lock().now -= 1;
                Action::requeue(HOUR)
            }
        };
        dispatch.run(Box::pin(due), reconcile).await;
    }

    struct TestDispatcher {
        due: mpsc::UnboundedSender<ResourceKey>,
        ready: CancellationToken,
        stop: CancellationToken,
        log: Arc<Mutex<Log>>,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(duration: Duration) -> TestDispatcher {
        let (due, names) = mpsc::unbounded_channel();
        let (ready, stop, log) = (CancellationToken::new(), CancellationToken::new(), Arc::<Mutex<Log>>::default());
        let task = tokio::spawn(run(duration, names, ready.clone(), stop.clone(), Arc::clone(&log)));
        TestDispatcher { due, ready, stop, log, task }
    }

    impl TestDispatcher {
        fn request(&self, names: impl IntoIterator<Item = ResourceKey>) {
            for name in names {
                self.due.send(name).unwrap();
            }
        }

        fn begun(&self, wanted: &ResourceKey) -> Option<Instant> {
            self.log.lock().begun.iter().find(|(name, _)| name == wanted).map(|(_, at)| *at)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_namespace_does_not_delay_another() {
        let dispatcher = start(Duration::from_secs(15));
        dispatcher.ready.cancel();
        dispatcher.request((0..1_000).map(|n| name("greedy", n)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        for n in 0..50 {
            let (requested, other) = (Instant::now(), name("other", n));
            dispatcher.request([other.clone()]);
            // Eight of them are in progress at once.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let begun = dispatcher.begun(&other).unwrap_or_else(|| panic!("reconciliation {n} is delayed"));
            assert!(begun.duration_since(requested) < Duration::from_millis(100));
        }
        assert!(dispatcher.log.lock().most <= 64);
    }

    #[tokio::test(start_paused = true)]
    async fn busy_namespace_does_not_delay_another() {
        let dispatcher = start(Duration::from_millis(20));
        dispatcher.ready.cancel();
        dispatcher.request((0..10_000).map(|n| name("greedy", n)).chain([name("other", 0)]));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(dispatcher.begun(&name("other", 0)).is_some());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(dispatcher.log.lock().begun.len(), 10_001);
    }

    #[tokio::test(start_paused = true)]
    async fn reconciliations_start_when_ready_and_end_on_stop() {
        let dispatcher = start(Duration::from_secs(5));
        dispatcher.request((0..100).map(|n| name("bi", n)));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(dispatcher.log.lock().begun.is_empty());
        dispatcher.ready.cancel();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = dispatcher.log.lock().begun.len();
        dispatcher.stop.cancel();
        dispatcher.task.await.unwrap();
        let log = dispatcher.log.lock();
        assert_eq!((log.begun.len(), log.now), (begun, 0), "those in progress ended, and no other started");
    }

    #[tokio::test(start_paused = true)]
    async fn request_during_a_run_is_dispatched_after_it() {
        let dispatcher = start(Duration::from_secs(5));
        dispatcher.ready.cancel();
        dispatcher.request([name("bi", 0)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        dispatcher.request([name("bi", 0), name("bi", 0)]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let log = dispatcher.log.lock();
        let gaps: Vec<u64> = log.begun.windows(2).map(|two| two[1].1.duration_since(two[0].1).as_secs()).collect();
        assert_eq!((gaps, log.most), (vec![5], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn request_while_waiting_for_permit_is_not_lost() {
        let dispatcher = start(Duration::from_secs(5));
        dispatcher.ready.cancel();
        dispatcher.request((0..100).map(|n| name("bi", n)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let waits = (0..100).map(|n| name("bi", n)).find(|name| dispatcher.begun(name).is_none()).unwrap();
        dispatcher.request([waits.clone()]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(dispatcher.log.lock().begun.iter().filter(|(name, _)| *name == waits).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn reconciliation_is_repeated_after_requested_delay() {
        let dispatcher = start(Duration::from_secs(1));
        dispatcher.ready.cancel();
        dispatcher.request([name("bi", 0)]);
        tokio::time::sleep(2 * HOUR + Duration::from_mins(1)).await;
        assert_eq!(dispatcher.log.lock().begun.len(), 3);
    }
}
