//! The upstream refresh of a resource: its successful runs, and the cursor that shows the last one with a run of the resource.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Model, ModelRefresh, QueuedRuns, Run, RunState, Status, Time, UpstreamRun};

/// The current state of the upstream `ModelRefresh` of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its model.
    pub model: Model,
    /// Its successful runs that its status still shows, oldest first.
    pub successes: Vec<SuccessfulRun>,
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
    /// When the operator recorded its request, by the same clock. Entries of earlier versions have no such time.
    pub requested: Option<Timestamp>,
}

impl Upstream {
    /// The runs of an upstream refresh.
    #[must_use]
    pub fn of(refresh: &ModelRefresh) -> Self {
        let blank = Status::default();
        let status = refresh.status.as_ref().unwrap_or(&blank);
        // A status that an earlier version wrote has only the service's time. An unparsable time, which reads as the latest one, shows no
        // reset.
        let success = |number: i32, recorded: Option<Time>, ended: Option<Time>, requested: Option<Time>| {
            let recorded = recorded.or(ended).filter(|time| *time < Time::from(Timestamp::MAX));
            let recorded = recorded.map_or(Timestamp::UNIX_EPOCH, Time::timestamp);
            SuccessfulRun { number, recorded, requested: requested.map(Time::timestamp) }
        };
        let succeeded = status.history.iter().filter(|entry| entry.state == RunState::Succeeded);
        let mut successes: Vec<SuccessfulRun> =
            succeeded.map(|entry| success(entry.number, entry.recorded_time, entry.ended_time, entry.requested_time)).collect();
        // Without a history only the latest run is known. A success without the time or the reason of one was not recorded by the operator.
        let recorded = |run: &&Run| run.state == RunState::Succeeded && run.has_end();
        if let Some(run) = status.run.as_ref().filter(recorded)
            && successes.iter().all(|success| success.number != run.number)
        {
            successes.push(success(run.number, run.recorded_time, run.ended_time, Some(run.requested_time)));
        }
        successes.sort_by_key(|success| success.number);
        Self {
            name: refresh.metadata.name.clone().unwrap_or_default(),
            uid: refresh.metadata.uid.clone().unwrap_or_default(),
            created: refresh.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            model: refresh.spec.model.clone(),
            successes,
            total: status.successful_runs,
        }
    }

    /// The cursor at the run with this number. It counts the successes after it.
    fn at(&self, number: i32, counts_since_time: Option<Time>) -> UpstreamRun {
        let (name, uid, recorded_time) = (self.name.clone(), self.uid.clone(), self.latest_recorded());
        let mut cursor = UpstreamRun { name, uid, number, recorded_time, counts_since_time, successful_runs: 0, queued: None };
        cursor.queued = self.queued_after(&cursor);
        cursor.successful_runs = self.total.saturating_sub(self.count_after(&cursor)).max(0);
        cursor
    }

    /// The successes after a cursor. If its status was reset or restored, a success before that may have a higher number.
    pub(in crate::engine) fn after(&self, cursor: &UpstreamRun) -> impl Iterator<Item = &SuccessfulRun> {
        let (number, since) = (cursor.number, cursor.counts_since_time);
        self.successes.iter().filter(move |success| success.number > number && Some(Time::from(success.recorded)) >= since)
    }

    pub(in crate::engine) fn count_after(&self, cursor: &UpstreamRun) -> i64 {
        i64::try_from(self.after(cursor).count()).unwrap_or(i64::MAX)
    }

    fn queued_after(&self, cursor: &UpstreamRun) -> Option<QueuedRuns> {
        let last = self.after(cursor).last()?.number;
        Some(QueuedRuns { number: last, count: self.count_after(cursor) })
    }

    /// When the operator recorded the latest success. The clock may have been set back, so it need not be that of the highest number.
    fn latest_recorded(&self) -> Option<Time> {
        self.successes.iter().map(|success| Time::from(success.recorded)).max()
    }

    /// Whether this is an outdated view, from before the status was reset or restored as the cursor shows.
    pub(in crate::engine) fn is_before_restart(&self, cursor: &UpstreamRun) -> bool {
        self.latest_recorded() < cursor.counts_since_time
    }

    /// Updates the successes that wait for a run of the dependent. A status that was reset or restored, or an outdated view, may show fewer
    /// than before. They stay until the next success shows which it is.
    pub(in crate::engine) fn update_queue(&self, cursor: &mut UpstreamRun) {
        if self.restarted_cursor(cursor).is_some() {
            return;
        }
        // An earlier version has recorded no time, and this view may be older than its cursor. Then the last success it counted, or a later
        // one, sets the time.
        let is_current = self.successes.last().is_some_and(|success| success.number >= last_counted(cursor));
        if is_current || cursor.recorded_time.is_some() {
            cursor.recorded_time = cursor.recorded_time.max(self.latest_recorded());
        }
        if self.total >= counted(cursor) {
            cursor.queued = self.queued_after(cursor);
        }
    }

    /// The cursor just before the next success, if that shows that the status was reset or restored from a backup since.
    ///
    /// The next success was recorded later than all that the cursor has counted. If the status was not reset, it has a higher number than
    /// they have, and the total includes all of them. An outdated view has no such success. Afterwards it may have higher numbers than the
    /// cursor, but all of its successes were recorded before `countsSinceTime`.
    ///
    /// A run that a backup shows in progress ends once more, and its success may have been counted. It was requested before that.
    pub(in crate::engine) fn restarted_cursor(&self, before: &UpstreamRun) -> Option<UpstreamRun> {
        let recorded = before.recorded_time?.timestamp();
        let is_new =
            |success: &&SuccessfulRun| success.recorded > recorded && success.requested.is_none_or(|requested| requested >= recorded);
        let next = self.successes.iter().find(is_new)?;
        let is_restart = next.number <= last_counted(before) || self.total <= counted(before);
        // Not from the next success on: its time may be ahead, and the clock may be corrected afterwards.
        let since = recorded.checked_add(Duration::from_secs(1)).ok().map(Time::from);
        is_restart.then(|| self.at(next.number.saturating_sub(1).max(0), since))
    }

    /// The cursor of a dependent that has none for this refresh.
    pub(in crate::engine) fn first_cursor(&self, created: Timestamp, before: Option<&UpstreamRun>, is_new: bool) -> UpstreamRun {
        let latest = self.successes.last().map_or(0, |success| success.number);
        let same_name = before.is_some_and(|before| before.name == self.name);
        if !(is_new || same_name) {
            return self.at(latest, None);
        }
        // Whole seconds do not show which came first. A recreated refresh counts from its first run on, without those that a backup of the
        // previous one shows.
        let last_recorded = before.filter(|_| same_name).and_then(|before| before.recorded_time);
        let is_earlier = |success: &&SuccessfulRun| {
            let is_before_creation = if same_name { success.recorded < created } else { success.recorded <= created };
            is_before_creation || Some(Time::from(success.recorded)) <= last_recorded
        };
        let earlier = self.successes.iter().filter(is_earlier);
        let mut cursor = self.at(earlier.map(|success| success.number).max().unwrap_or(0), None);
        // A refresh that was created later has had no runs before; runs that are no longer in its history were missed.
        if same_name && cursor.number == 0 && self.created >= created {
            cursor.successful_runs = 0;
        }
        cursor
    }
}

/// The highest number of the successes that a cursor has counted: of those before it, and of the queued ones.
fn last_counted(cursor: &UpstreamRun) -> i32 {
    cursor.queued.map_or(cursor.number, |queued| queued.number.max(cursor.number))
}

/// How many successes a cursor has counted.
fn counted(cursor: &UpstreamRun) -> i64 {
    cursor.successful_runs.saturating_add(cursor.queued.map_or(0, |queued| queued.count))
}
