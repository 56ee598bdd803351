//! Query scale-out of a semantic model: the committed version and the version that its replicas serve. Pure.
//!
//! A version is its commit's time in ticks of 100 ns since 1601, as in the documentation's example.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    later, millis,
    operation::{Client, Operation, Phase},
    settings::{End, scale_out::ScaleOutSettings},
};

/// The ticks between 1601 and 1970.
const EPOCH_TICKS: i128 = 116_444_736_000_000_000;

/// The version of a commit at this time.
#[must_use]
pub fn version(commit: Timestamp) -> i64 {
    i64::try_from(commit.as_nanosecond() / 100 + EPOCH_TICKS).unwrap_or(i64::MAX)
}

/// One sync of the replicas.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id, visible only in the control API and the ledger.
    pub id: Uuid,
    /// The client that requested it.
    pub client: Client,
    /// The sequence number of the request in the ledger.
    pub sequence: u64,
    /// The time of its start.
    pub start: Timestamp,
    /// The time of its end; `None` if it never ends.
    pub end: Option<Timestamp>,
    /// The commit that it copies to the replicas.
    pub target: Timestamp,
}

/// The visible state at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The latest commit.
    pub commit: Timestamp,
    /// The oldest commit that a replica serves.
    pub min_active: Timestamp,
    /// The latest sync, if any.
    pub latest: Option<Latest>,
}

/// The latest sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The time of its start.
    pub start: Timestamp,
    /// The time of its end, if it has ended.
    pub end: Option<Timestamp>,
    /// The commit that it copies to the replicas.
    pub target: Timestamp,
    /// Whether a client requested it.
    pub explicit: bool,
}

/// The scale-out of one model.
pub struct ScaleOut {
    created: Timestamp,
    runs: Vec<Run>,
}

impl ScaleOut {
    /// A model that was committed a day before `now` and is in sync.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { created: now.saturating_add(SignedDuration::from_hours(-24)).unwrap_or(now), runs: Vec::new() }
    }

    /// Starts a sync, or returns the one in progress.
    pub fn sync(&mut self, client: Client, operations: &[Operation], settings: &ScaleOutSettings, sequence: u64, now: Timestamp) -> Uuid {
        if let Some(running) = self.runs.last().filter(|run| run.end.is_none_or(|end| end > now)) {
            return running.id;
        }
        let id = Uuid::new_v4();
        let end = (!settings.stuck).then(|| later(now, millis(settings.sync_millis)));
        self.runs.push(Run { id, client, sequence, start: now, end, target: self.commit(operations, now) });
        id
    }

    /// The visible state at `now`.
    #[must_use]
    pub fn view(&self, operations: &[Operation], settings: &ScaleOutSettings, now: Timestamp) -> View {
        let explicit = self.runs.iter().map(|run| Latest { start: run.start, end: run.end, target: run.target, explicit: true });
        let automatic = commits(operations, now).filter(|_| settings.auto_sync).map(|commit| Latest {
            start: commit,
            end: (!settings.stuck).then(|| later(commit, millis(settings.sync_millis))),
            target: commit,
            explicit: false,
        });
        let mut view = View { commit: self.commit(operations, now), min_active: self.created, latest: None };
        for run in explicit.chain(automatic).filter(|run| run.start <= now) {
            let end = run.end.filter(|end| *end <= now);
            if end.is_some() {
                view.min_active = view.min_active.max(run.target);
            }
            if view.latest.is_none_or(|latest| latest.start <= run.start) {
                view.latest = Some(Latest { end, ..run });
            }
        }
        view
    }

    /// The requested syncs.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Ends a sync now, with the replicas in sync, unless it has ended.
    pub fn end(&mut self, id: Uuid, now: Timestamp) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.id == id && run.end.is_none_or(|end| end > now)) {
            run.end = Some(now);
        }
    }

    fn commit(&self, operations: &[Operation], now: Timestamp) -> Timestamp {
        commits(operations, now).max().unwrap_or(self.created)
    }
}

/// The commit times of refreshes: their end, if they succeeded.
pub fn commits(operations: &[Operation], now: Timestamp) -> impl Iterator<Item = Timestamp> {
    operations.iter().filter_map(move |operation| match operation.phase(now) {
        Phase::Ended(at, End::Succeeded) => Some(at),
        Phase::Ended(_, End::Failed | End::TimedOut | End::Cancelled | End::Disabled) | Phase::NotStarted | Phase::InProgress => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
    }

    #[test]
    fn version_matches_documented_example() {
        assert_eq!(version("2023-01-19T17:15:25.1720662Z".parse().unwrap()), 133_186_221_251_720_662);
    }

    #[test]
    fn sync_updates_replicas_to_commit_at_its_start() {
        let settings = ScaleOutSettings { sync_millis: 10, ..ScaleOutSettings::default() };
        let mut scale_out = ScaleOut::new(at(0));
        let view = scale_out.view(&[], &settings, at(0));
        assert_eq!((view.commit, view.latest), (view.min_active, None));
        let first = scale_out.sync(Client::Control, &[], &settings, 1, at(0));
        assert_eq!(scale_out.sync(Client::Control, &[], &settings, 2, at(9)), first, "returns the sync in progress");
        assert_eq!(scale_out.view(&[], &settings, at(9)).latest.unwrap().end, None);
        assert_eq!(scale_out.view(&[], &settings, at(10)).latest.unwrap().end, Some(at(10)));
        assert_ne!(scale_out.sync(Client::Control, &[], &settings, 3, at(10)), first);
    }
}
