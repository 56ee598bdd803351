//! The schedule of reconciliations. A resource is reconciled at most once at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::api::ResourceKey;
use crate::controller::reconcile::action::Action;

/// The schedule of all reconciliations.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    due: BTreeSet<(Instant, Arc<ResourceKey>)>,
    entries: HashMap<Arc<ResourceKey>, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Due at this time.
    Scheduled(Instant),
    /// In progress. Another reconciliation is due at this time if one was requested meanwhile.
    Running(Option<Instant>),
}

impl Scheduler {
    /// Schedules a reconciliation at this time, or keeps one that is due sooner.
    pub(crate) fn schedule(&mut self, name: ResourceKey, at: Instant) {
        match self.entries.get_key_value(&name).map(|(name, entry)| (Arc::clone(name), *entry)) {
            Some((name, Entry::Scheduled(due))) if at < due => {
                self.due.remove(&(due, Arc::clone(&name)));
                self.wait(name, at);
            }
            Some((_, Entry::Scheduled(_))) => {}
            Some((name, Entry::Running(again))) => {
                self.entries.insert(name, Entry::Running(Some(again.map_or(at, |again| again.min(at)))));
            }
            None => self.wait(Arc::new(name), at),
        }
    }

    /// Number of reconciliations that are due at some time, or in progress.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the first reconciliation is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Starts the first reconciliation that is due.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Arc<ResourceKey>> {
        let (_, name) = self.due.first().filter(|(due, _)| *due <= now).cloned()?;
        self.due.pop_first();
        self.entries.insert(Arc::clone(&name), Entry::Running(None));
        Some(name)
    }

    /// Records the end of a reconciliation, and schedules the next one.
    pub(crate) fn end(&mut self, name: Arc<ResourceKey>, action: Action, now: Instant) {
        let requested = match self.entries.remove(&name) {
            Some(Entry::Running(again)) => again,
            Some(Entry::Scheduled(_)) | None => None,
        };
        if let Some(due) = requested.into_iter().chain(action.due(now)).min() {
            self.wait(name, due);
        }
    }

    fn wait(&mut self, name: Arc<ResourceKey>, at: Instant) {
        self.due.insert((at, Arc::clone(&name)));
        self.entries.insert(name, Entry::Scheduled(at));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::Kind;

    fn name(name: &str) -> ResourceKey {
        ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: name.to_owned() }
    }

    fn begin(scheduler: &mut Scheduler, now: Instant) -> Option<String> {
        scheduler.begin(now).map(|name| name.name.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn earliest_request_counts() {
        let (mut scheduler, now) = (Scheduler::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        scheduler.schedule(name("a"), at(5));
        scheduler.schedule(name("b"), at(3));
        scheduler.schedule(name("a"), at(9));
        assert_eq!((scheduler.next(), begin(&mut scheduler, at(2))), (Some(at(3)), None));
        scheduler.schedule(name("a"), at(1));
        assert_eq!(begin(&mut scheduler, at(2)).as_deref(), Some("a"));
        assert_eq!((begin(&mut scheduler, at(2)), scheduler.next()), (None, Some(at(3))));
    }

    #[tokio::test(start_paused = true)]
    async fn request_during_reconciliation_is_served_after_it() {
        let (mut scheduler, now) = (Scheduler::default(), Instant::now());
        scheduler.schedule(name("a"), now);
        let a = scheduler.begin(now).unwrap();
        scheduler.schedule(name("a"), now);
        assert_eq!((scheduler.begin(now), scheduler.next()), (None, None), "one reconciliation at a time");
        scheduler.end(Arc::clone(&a), Action::requeue(Duration::from_mins(1)), now);
        assert_eq!(scheduler.begin(now).as_deref(), Some(&name("a")));
        scheduler.end(Arc::clone(&a), Action::requeue(Duration::from_mins(1)), now);
        assert_eq!(scheduler.next(), Some(now + Duration::from_mins(1)));
        let later = now + Duration::from_mins(1);
        assert!(scheduler.begin(later).is_some());
        scheduler.end(a, Action::await_change(), later);
        assert_eq!((scheduler.next(), scheduler.len()), (None, 0), "no entry remains without a due time");
    }
}
