//! Following a refresh: each of its successful runs starts one run here, once and in order (`trigger.afterRefresh`).
//!
//! A cursor in the status says how far it has been followed. It moves in the write that first records a run for the next
//! success, so that a restart neither repeats nor forgets one.
//!
//! Where there is no cursor yet, these successes count:
//! - on a resource that is new, those that the operator recorded in the second of its creation or later. That is by the operator's
//!   clock, not by the service's, which may be minutes off;
//! - where the refresh was not there, or was deleted and made anew under the same name, all of the new one's;
//! - where the spec names another refresh than before, or one for the first time, those from now on.

use jiff::Timestamp;

use super::pass::Pass;
use super::{Desired, Fault, Following};
use crate::api::{FollowedRun, Model, ModelRefresh, Reason, RunState, Status, Time, Trigger, TriggerType};

/// The `ModelRefresh` that a resource follows, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Followed {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its model.
    pub model: Model,
    /// Its successful runs that its status still tells of, oldest first.
    pub successes: Vec<Success>,
    /// How many of its runs have succeeded, also those that its status no longer tells of.
    pub total: i64,
}

/// A successful run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Success {
    /// The run's number.
    pub number: i32,
    /// When the operator recorded its end, by its own clock, in whole seconds.
    pub recorded: Timestamp,
}

impl Followed {
    /// What there is to follow of a refresh.
    #[must_use]
    pub fn of(refresh: &ModelRefresh) -> Self {
        let blank = Status::default();
        let status = refresh.status.as_ref().unwrap_or(&blank);
        // A status that an earlier version wrote has the service's time alone.
        let success = |number: i32, recorded: Option<Time>, ended: Option<Time>| {
            let recorded = recorded.or(ended).map_or(Timestamp::UNIX_EPOCH, Time::timestamp);
            Success { number, recorded }
        };
        let succeeded = status.history.iter().filter(|entry| entry.state == RunState::Succeeded);
        let mut successes: Vec<Success> = succeeded.map(|entry| success(entry.number, entry.recorded_time, entry.ended_time)).collect();
        // Where no history is kept, the latest run is all there is.
        if let Some(run) = status.run.as_ref().filter(|run| run.state == RunState::Succeeded)
            && successes.iter().all(|success| success.number != run.number)
        {
            successes.push(success(run.number, run.recorded_time, run.ended_time));
        }
        successes.sort_by_key(|success| success.number);
        Self {
            name: refresh.metadata.name.clone().unwrap_or_default(),
            uid: refresh.metadata.uid.clone().unwrap_or_default(),
            model: refresh.spec.model.clone(),
            successes,
            total: status.successful_runs,
        }
    }

    fn at(&self, number: i32, successful_runs: i64) -> FollowedRun {
        FollowedRun { name: self.name.clone(), uid: self.uid.clone(), number, successful_runs }
    }

    /// The successes after a run's number.
    fn after(&self, number: i32) -> impl Iterator<Item = &Success> {
        self.successes.iter().filter(move |success| success.number > number)
    }

    fn count_after(&self, number: i32) -> i64 {
        i64::try_from(self.after(number).count()).unwrap_or(i64::MAX)
    }

    /// The cursor of a follower that has none for this refresh.
    fn first_cursor(&self, created: Timestamp, before: Option<&FollowedRun>, is_new: bool) -> FollowedRun {
        let latest = self.successes.last().map_or(0, |success| success.number);
        let same_name = before.is_some_and(|before| before.name == self.name);
        if !(is_new || same_name) {
            return self.at(latest, self.total);
        }
        let earlier = self.successes.iter().filter(|success| success.recorded < created);
        let number = earlier.map(|success| success.number).max().unwrap_or(0);
        // One that was made anew has had no runs before it was followed; those that are no longer known were missed.
        let followed = if same_name && number == 0 { 0 } else { self.total.saturating_sub(self.count_after(number)) };
        self.at(number, followed)
    }
}

/// Sets the cursor where the refresh that is followed is another one than before, and drops it where none is.
pub(super) fn look(desired: &Desired, record: &mut Status) {
    match &desired.following {
        Following::Nobody => record.last_followed = None,
        // Whatever comes under this name has not been followed at all.
        Following::Astray(name, fault) if fault.as_ref().or(desired.fault.as_ref()).is_some_and(is_missing) => {
            if record.last_followed.as_ref().is_none_or(|cursor| cursor.name != *name) {
                record.last_followed = Some(FollowedRun { name: name.clone(), uid: String::new(), number: 0, successful_runs: 0 });
            }
        }
        Following::Astray(_, _) => {}
        Following::Refresh(followed) => {
            if record.last_followed.as_ref().is_none_or(|cursor| cursor.uid != followed.uid) {
                let is_new = record.last_handled_work.is_none();
                record.last_followed = Some(followed.first_cursor(desired.created, record.last_followed.as_ref(), is_new));
            }
        }
    }
}

fn is_missing(fault: &Fault) -> bool {
    fault.reason == Reason::FollowedNotFound
}

/// The success that is to be followed next, with the cursor as it stands.
fn next<'a>(desired: &'a Desired, record: &Status) -> Option<(&'a Followed, &'a Success)> {
    let Following::Refresh(followed) = &desired.following else { return None };
    let cursor = record.last_followed.as_ref().filter(|cursor| cursor.uid == followed.uid)?;
    followed.after(cursor.number).next().map(|success| (followed, success))
}

/// The trigger that the next success is.
pub(super) fn due(desired: &Desired, record: &Status) -> Option<Trigger> {
    let (followed, success) = next(desired, record)?;
    Some(Trigger { r#type: TriggerType::AfterRefresh, value: format!("{} run {}", followed.name, success.number) })
}

/// Records that the next success has been followed, or dropped.
pub(super) fn advance(desired: &Desired, record: &mut Status) {
    let Some(number) = next(desired, record).map(|(_, success)| success.number) else { return };
    if let Some(cursor) = record.last_followed.as_mut() {
        cursor.number = number;
        cursor.successful_runs = cursor.successful_runs.saturating_add(1);
    }
}

/// Says which successes can no longer be followed, once; whether there were any.
pub(super) fn say_missed(pass: &mut Pass<'_>) -> bool {
    let Following::Refresh(followed) = &pass.desired.following else { return false };
    let Some(cursor) = pass.record.last_followed.as_mut().filter(|cursor| cursor.uid == followed.uid) else { return false };
    let missed = followed.total.saturating_sub(followed.count_after(cursor.number)).saturating_sub(cursor.successful_runs);
    if missed <= 0 {
        return false;
    }
    cursor.successful_runs = cursor.successful_runs.saturating_add(missed);
    let (runs, are) = if missed == 1 { ("run", "is") } else { ("runs", "are") };
    let message = format!(
        "{missed} successful {runs} of ModelRefresh {} after run {} {are} no longer in its history, so nothing ran after them: raise its \
         spec.historyLimit",
        followed.name, cursor.number
    );
    pass.notice(Reason::RunsMissed, message);
    true
}
