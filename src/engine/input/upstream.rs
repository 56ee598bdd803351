//! The upstream refresh of a resource: its successful runs, and the cursor that shows the last one with a run of the resource.

use jiff::Timestamp;

use crate::api::{Model, ModelRefresh, QueuedRuns, Run, RunState, Status, Time, UpstreamRun};

/// The current state of the upstream `ModelRefresh` of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its model.
    pub model: Model,
    /// Its successful runs that its status still shows, oldest first.
    pub successes: Vec<SuccessfulRun>,
    /// The highest number of its runs that its status still shows, 0 if it shows none.
    pub latest: i32,
    /// How many of its runs have succeeded, including those that its status no longer shows.
    pub total: i64,
}

/// A successful run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SuccessfulRun {
    /// The run's number.
    pub number: i32,
    /// When the operator recorded its end, by the operator's clock, in whole seconds.
    pub recorded: Timestamp,
}

impl Upstream {
    /// The runs of an upstream refresh.
    #[must_use]
    pub fn of(refresh: &ModelRefresh) -> Self {
        let blank = Status::default();
        let status = refresh.status.as_ref().unwrap_or(&blank);
        // A status that an earlier version wrote has only the service's time.
        let success = |number: i32, recorded: Option<Time>, ended: Option<Time>| {
            let recorded = recorded.or(ended).map_or(Timestamp::UNIX_EPOCH, Time::timestamp);
            SuccessfulRun { number, recorded }
        };
        let succeeded = status.history.iter().filter(|entry| entry.state == RunState::Succeeded);
        let mut successes: Vec<SuccessfulRun> =
            succeeded.map(|entry| success(entry.number, entry.recorded_time, entry.ended_time)).collect();
        // Without a history only the latest run is known. A success without the time or the reason of one was not recorded by the operator.
        let recorded = |run: &&Run| run.state == RunState::Succeeded && run.has_end();
        if let Some(run) = status.run.as_ref().filter(recorded)
            && successes.iter().all(|success| success.number != run.number)
        {
            successes.push(success(run.number, run.recorded_time, run.ended_time));
        }
        successes.sort_by_key(|success| success.number);
        let numbers = status.history.iter().map(|entry| entry.number).chain(status.run.iter().map(|run| run.number));
        Self {
            name: refresh.metadata.name.clone().unwrap_or_default(),
            uid: refresh.metadata.uid.clone().unwrap_or_default(),
            model: refresh.spec.model.clone(),
            successes,
            latest: numbers.fold(0, i32::max),
            total: status.successful_runs,
        }
    }

    fn at(&self, number: i32, successful_runs: i64) -> UpstreamRun {
        let queued = self.queued_after(number);
        UpstreamRun { name: self.name.clone(), uid: self.uid.clone(), number, successful_runs, queued }
    }

    /// The successes after a run's number that wait for a run of the dependent.
    pub(in crate::engine) fn queued_after(&self, number: i32) -> Option<QueuedRuns> {
        let last = self.after(number).last()?.number;
        Some(QueuedRuns { number: last, count: self.count_after(number) })
    }

    /// The successes after a run's number.
    pub(in crate::engine) fn after(&self, number: i32) -> impl Iterator<Item = &SuccessfulRun> {
        self.successes.iter().filter(move |success| success.number > number)
    }

    pub(in crate::engine) fn count_after(&self, number: i32) -> i64 {
        i64::try_from(self.after(number).count()).unwrap_or(i64::MAX)
    }

    /// Whether its status shows an earlier state than that of a cursor: it was reset or restored, or this view of it is outdated.
    pub(in crate::engine) fn is_before(&self, number: i32) -> bool {
        self.latest < number
    }

    /// The cursor after the status of the refresh was reset or restored from a backup, so that its runs have lower numbers than before.
    /// `None` if it was not. An outdated view also has lower numbers. But all of its successes were recorded before `last_start`, when
    /// the dependent last started a run after a refresh, so none of them counts again.
    pub(in crate::engine) fn restarted_cursor(&self, before: &UpstreamRun, last_start: Option<Timestamp>) -> Option<UpstreamRun> {
        if !self.is_before(before.number) {
            return None;
        }
        let Some(last_start) = last_start else { return Some(self.at(self.latest, self.total)) };
        let first = self.successes.iter().find(|success| success.recorded > last_start)?;
        let number = first.number.saturating_sub(1).max(0);
        Some(self.at(number, self.total.saturating_sub(self.count_after(number))))
    }

    /// The cursor of a dependent that has none for this refresh.
    pub(in crate::engine) fn first_cursor(&self, created: Timestamp, before: Option<&UpstreamRun>, is_new: bool) -> UpstreamRun {
        let latest = self.successes.last().map_or(0, |success| success.number);
        let same_name = before.is_some_and(|before| before.name == self.name);
        if !(is_new || same_name) {
            return self.at(latest, self.total);
        }
        // Whole seconds do not show which came first. A recreated refresh counts from its first run on.
        let is_earlier = |success: &&SuccessfulRun| if same_name { success.recorded < created } else { success.recorded <= created };
        let earlier = self.successes.iter().filter(is_earlier);
        let number = earlier.map(|success| success.number).max().unwrap_or(0);
        // A recreated refresh has had no runs before; runs that are no longer in its history were missed.
        let upstream = if same_name && number == 0 { 0 } else { self.total.saturating_sub(self.count_after(number)) };
        self.at(number, upstream)
    }
}
