//! The schedule of reconciliations. A resource is reconciled at most once at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::api::ResourceKey;
use crate::controller::reconcile::action::Action;

/// The schedule of all reconciliations.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeSet<(Instant, Arc<ResourceKey>)>,
    entries: HashMap<Arc<ResourceKey>, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Due at this time.
    Waits(Instant),
    /// In progress. Another reconciliation is due at this time if one was requested meanwhile.
    Runs(Option<Instant>),
}

impl Agenda {
    /// Schedules a reconciliation at this time, or keeps one that is due sooner.
    pub(crate) fn schedule(&mut self, name: ResourceKey, at: Instant) {
        match self.entries.get_key_value(&name).map(|(name, entry)| (Arc::clone(name), *entry)) {
            Some((name, Entry::Waits(due))) if at < due => {
                self.due.remove(&(due, Arc::clone(&name)));
                self.wait(name, at);
            }
            Some((_, Entry::Waits(_))) => {}
            Some((name, Entry::Runs(again))) => {
                self.entries.insert(name, Entry::Runs(Some(again.map_or(at, |again| again.min(at)))));
            }
            None => self.wait(Arc::new(name), at),
        }
    }

    /// When the first reconciliation is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Starts the first reconciliation that is due.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Arc<ResourceKey>> {
        let (_, name) = self.due.first().filter(|(due, _)| *due <= now).cloned()?;
        self.due.pop_first();
        self.entries.insert(Arc::clone(&name), Entry::Runs(None));
        Some(name)
    }

    /// Records the end of a reconciliation, and schedules the next one.
    pub(crate) fn end(&mut self, name: Arc<ResourceKey>, action: Action, now: Instant) {
        let requested = match self.entries.remove(&name) {
            Some(Entry::Runs(again)) => again,
            Some(Entry::Waits(_)) | None => None,
        };
        if let Some(due) = requested.into_iter().chain(action.due(now)).min() {
            self.wait(name, due);
        }
    }

    fn wait(&mut self, name: Arc<ResourceKey>, at: Instant) {
        self.due.insert((at, Arc::clone(&name)));
        self.entries.insert(name, Entry::Waits(at));
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

    fn begun(agenda: &mut Agenda, now: Instant) -> Option<String> {
        agenda.begin(now).map(|name| name.name.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn earliest_request_counts() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        agenda.schedule(name("a"), at(5));
        agenda.schedule(name("b"), at(3));
        agenda.schedule(name("a"), at(9));
        assert_eq!((agenda.next(), begun(&mut agenda, at(2))), (Some(at(3)), None));
        agenda.schedule(name("a"), at(1));
        assert_eq!(begun(&mut agenda, at(2)).as_deref(), Some("a"));
        assert_eq!((begun(&mut agenda, at(2)), agenda.next()), (None, Some(at(3))));
    }

    #[tokio::test(start_paused = true)]
    async fn request_during_reconciliation_is_served_after_it() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.schedule(name("a"), now);
        let a = agenda.begin(now).unwrap();
        agenda.schedule(name("a"), now);
        assert_eq!((agenda.begin(now), agenda.next()), (None, None), "one reconciliation at a time");
        agenda.end(Arc::clone(&a), Action::requeue(Duration::from_mins(1)), now);
        assert_eq!(agenda.begin(now).as_deref(), Some(&name("a")));
        agenda.end(Arc::clone(&a), Action::requeue(Duration::from_mins(1)), now);
        assert_eq!(agenda.next(), Some(now + Duration::from_mins(1)));
        let later = now + Duration::from_mins(1);
        assert!(agenda.begin(later).is_some());
        agenda.end(a, Action::await_change(), later);
        assert_eq!((agenda.next(), agenda.entries.len()), (None, 0), "no entry remains without a due time");
    }
}
