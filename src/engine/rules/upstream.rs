//! Runs after a refresh (`trigger.afterRefresh`): each of its successful runs starts one run, once and in order.
//!
//! A cursor in the status shows the last run of the upstream refresh that started a run. It moves in the write that first records a run for
//! the next success, so that a restart neither repeats nor loses one. It also has the successes that wait for a run: if the refresh is
//! deleted or is no longer the upstream, the one in `.status.queued` still runs, and the others are reported.
//!
//! If there is no cursor yet, these successes count:
//! - on a new resource, those that the operator recorded after the second of its creation, by the operator's clock. The service's
//!   clock may differ by minutes;
//! - if the refresh was missing, or was deleted and recreated under the same name, all of the new one's;
//! - if it could not be read when the resource was new, those since the creation;
//! - if the spec names another refresh than before, or one for the first time, those from now on.
//!
//! If the status of the refresh is reset or restored from a backup, its runs have lower numbers than before. The next success shows it
//! ([`Upstream::restarted_cursor`]): it sets the cursor back, and an event reports it.
//!
//! A refresh that cannot be read or decoded is not missing: the cursor and the queued runs stay as they are until it is readable.

use jiff::Timestamp;

use crate::api::{self, QueuedRuns, Reason, Status, Time, Trigger, TriggerType, UpstreamRun};
use crate::engine::draft::Draft;
use crate::engine::{Blocker, DesiredState, EffectResult, SuccessfulRun, Upstream, UpstreamRef, timing};

/// The end of the value of a queued trigger whose refresh is no longer the upstream. No name of a resource contains a space.
const WITHDRAWN: &str = " (no longer followed)";

/// What became of the cursor in a decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Cursor {
    /// It is up to date.
    Current,
    /// Queued runs were reported that will start no run. This is recorded before anything else.
    Reported,
    /// It moves in the next decision: a result that was just observed is recorded first.
    Postponed,
}

/// Sets the cursor if the upstream refresh has changed, and drops it if there is none.
pub(in crate::engine) fn update_cursor(draft: &mut Draft<'_>) -> Cursor {
    let before = draft.status.last_upstream_run.take();
    let (after, lost) = cursor(draft.desired, before.clone(), draft.status.last_handled_digest.is_none(), draft.now);
    let restart = before.as_ref().zip(after.as_ref()).and_then(|(before, after)| restart(before, after));
    let accepted = draft.status.queued.as_ref().and_then(number);
    // An accepted run starts, whether the history still has it or not.
    let waits =
        |cursor: &&UpstreamRun| restart.is_some() || cursor.queued.is_some() || accepted.is_some_and(|number| number > cursor.number);
    let (Some(why), Some(cursor)) = (lost, before.as_ref().filter(waits)) else {
        draft.status.last_upstream_run = after;
        return Cursor::Current;
    };
    // An operator that is about to be uninstalled reports nothing.
    let is_draining = draft.desired.drain.is_some();
    if is_draining || draft.input.effect_result != EffectResult::None {
        draft.status.last_upstream_run = before;
        return if is_draining { Cursor::Current } else { Cursor::Postponed };
    }
    let slot = draft.status.queued.as_mut().filter(|trigger| trigger.r#type == TriggerType::AfterRefresh && !is_withdrawn(trigger));
    let runs = slot.map_or(0, |trigger| {
        trigger.value.push_str(WITHDRAWN);
        1
    });
    let missed = cursor.queued.map_or(0, |queued| queued.count).saturating_sub(runs);
    if missed > 0 {
        let runs = if missed == 1 { "run" } else { "runs" };
        let message = format!(
            "no run starts for {missed} queued successful {runs} of ModelRefresh {}, which {why}: set the annotation {} to run once",
            cursor.name,
            api::RUN_REQUESTED_AT
        );
        draft.emit(Reason::UpstreamRunsMissed, message);
    }
    let is_reported = missed > 0 || restart.is_some();
    if let Some(message) = restart {
        draft.emit(Reason::StatusRestored, message);
    }
    draft.status.last_upstream_run = after;
    if is_reported { Cursor::Reported } else { Cursor::Current }
}

/// The current cursor, and why the queued runs of the previous one cannot start a run, if they cannot.
fn cursor(
    desired: &DesiredState,
    before: Option<UpstreamRun>,
    is_new: bool,
    now: Timestamp,
) -> (Option<UpstreamRun>, Option<&'static str>) {
    const NO_LONGER: Option<&str> = Some("is no longer the upstream of this resource");
    match &desired.upstream {
        UpstreamRef::None => (None, NO_LONGER),
        // A refresh that is created under this name counts from its first run on.
        UpstreamRef::Unavailable(name, blocker) if is_fault(desired, blocker.as_ref(), Reason::UpstreamNotFound) => match before {
            Some(mut cursor) if cursor.name == *name => {
                if let Some(queued) = cursor.queued.take() {
                    cursor.number = queued.number;
                    cursor.successful_runs = cursor.successful_runs.saturating_add(queued.count);
                }
                (Some(cursor), Some("is missing"))
            }
            Some(_) | None => (Some(before_first_run(name)), NO_LONGER),
        },
        UpstreamRef::Unavailable(name, blocker) if is_new && is_fault(desired, blocker.as_ref(), Reason::UpstreamUnreadable) => {
            (Some(before.unwrap_or_else(|| before_first_run(name))), None)
        }
        UpstreamRef::Unavailable(_, _) => (before, None),
        UpstreamRef::Found(upstream) => match before {
            Some(mut cursor) if cursor.uid == upstream.uid => {
                // A time far ahead was edited. Later successes would neither count nor show a reset.
                let is_possible = |time: &Time| timing::remaining(time.timestamp(), now) <= timing::CLOCK_STEP;
                cursor.recorded_time = cursor.recorded_time.filter(is_possible);
                cursor.counts_since_time = cursor.counts_since_time.filter(is_possible);
                if let Some(after) = upstream.restarted_cursor(&cursor) {
                    return (Some(after), Some("restarted its run numbers"));
                }
                upstream.update_queue(&mut cursor);
                (Some(cursor), None)
            }
            before => {
                let why = if before.as_ref().is_some_and(|before| before.name == upstream.name) {
                    Some("was deleted and created again")
                } else {
                    NO_LONGER
                };
                (Some(upstream.first_cursor(desired.created, before.as_ref(), is_new)), why)
            }
        },
    }
}

/// The report that the status of a refresh was reset or restored, if it was.
fn restart(before: &UpstreamRun, after: &UpstreamRun) -> Option<String> {
    let is_restart = before.uid == after.uid && before.counts_since_time != after.counts_since_time;
    is_restart.then(|| {
        format!(
            "the status of ModelRefresh {} was edited: its run numbers restarted, and each success after run {} starts a run",
            before.name, after.number
        )
    })
}

/// Whether the refresh of a queued trigger is no longer the upstream.
pub(super) fn is_withdrawn(trigger: &Trigger) -> bool {
    trigger.r#type == TriggerType::AfterRefresh && trigger.value.ends_with(WITHDRAWN)
}

/// Whether an upstream refresh is unavailable for this reason.
fn is_fault(desired: &DesiredState, of_upstream: Option<&Blocker>, reason: Reason) -> bool {
    of_upstream.or(desired.blocker.as_ref()).is_some_and(|blocker| blocker.reason == reason)
}

/// The cursor of a refresh whose uid is unknown.
fn before_first_run(name: &str) -> UpstreamRun {
    let (name, uid) = (name.to_owned(), String::new());
    UpstreamRun { name, uid, number: 0, recorded_time: None, counts_since_time: None, successful_runs: 0, queued: None }
}

/// The next success that starts a run, by the current cursor. None does before a restart of the numbers is recorded.
fn next<'a>(desired: &'a DesiredState, record: &Status) -> Option<(&'a Upstream, &'a SuccessfulRun)> {
    let UpstreamRef::Found(upstream) = &desired.upstream else { return None };
    let is_current = |cursor: &&UpstreamRun| cursor.uid == upstream.uid && upstream.restarted_cursor(cursor).is_none();
    let cursor = record.last_upstream_run.as_ref().filter(is_current)?;
    upstream.after(cursor).next().map(|success| (upstream, success))
}

/// The trigger of the next success.
pub(super) fn due(desired: &DesiredState, record: &Status) -> Option<Trigger> {
    let (upstream, success) = next(desired, record)?;
    Some(Trigger { r#type: TriggerType::AfterRefresh, value: format!("{} run {}", upstream.name, success.number) })
}

/// The number of the upstream run that a trigger is for; `None` if its refresh is no longer the upstream.
fn number(trigger: &Trigger) -> Option<i32> {
    let of_upstream = trigger.r#type == TriggerType::AfterRefresh && !is_withdrawn(trigger);
    trigger.value.rsplit(' ').next().filter(|_| of_upstream)?.parse().ok()
}

/// Whether an accepted trigger is of a success that the upstream refresh no longer has in its history, and precedes the one that is due.
/// While the refresh exists but is unavailable, this is unknown. The run would start again when it is available, because the cursor could
/// not move.
pub(super) fn is_older(desired: &DesiredState, queued: &Trigger, due: Option<&Trigger>, record: &Status) -> bool {
    if let UpstreamRef::Unavailable(_, blocker) = &desired.upstream
        && !is_fault(desired, blocker.as_ref(), Reason::UpstreamNotFound)
    {
        return false;
    }
    let upstream = record.last_upstream_run.as_ref().map_or(0, |cursor| cursor.number);
    let later = |due: &Trigger| number(due).is_some_and(|due| number(queued).is_some_and(|queued| queued < due));
    number(queued).is_some_and(|number| number > upstream) && due.is_none_or(later)
}

/// Records that a success has started a run, or was dropped.
pub(super) fn advance(desired: &DesiredState, record: &mut Status, trigger: &Trigger) {
    let (UpstreamRef::Found(upstream), Some(number)) = (&desired.upstream, number(trigger)) else { return };
    if let Some(cursor) = record.last_upstream_run.as_mut().filter(|cursor| cursor.uid == upstream.uid && number > cursor.number) {
        cursor.number = number;
        cursor.successful_runs = cursor.successful_runs.saturating_add(1);
        let others = cursor.queued.filter(|queued| queued.count > 1);
        cursor.queued = others.map(|queued| QueuedRuns { count: queued.count.saturating_sub(1), ..queued });
        upstream.update_queue(cursor);
    }
}

/// Reports the successes that can no longer start a run, once. Returns whether there were any.
pub(super) fn report_missed(draft: &mut Draft<'_>) -> bool {
    let UpstreamRef::Found(upstream) = &draft.desired.upstream else { return false };
    let Some(cursor) = draft.status.last_upstream_run.as_mut().filter(|cursor| cursor.uid == upstream.uid) else { return false };
    if upstream.is_before_restart(cursor) {
        return false;
    }
    let missed = upstream.total.saturating_sub(upstream.count_after(cursor)).saturating_sub(cursor.successful_runs);
    // An accepted run still starts.
    let accepted = draft.status.queued.as_ref().and_then(number).filter(|accepted| *accepted > cursor.number);
    let runs = accepted.is_some_and(|accepted| upstream.successes.iter().all(|success| success.number != accepted));
    let missed = missed.saturating_sub(i64::from(runs));
    if missed <= 0 {
        return false;
    }
    cursor.successful_runs = cursor.successful_runs.saturating_add(missed);
    let (runs, are) = if missed == 1 { ("run", "is") } else { ("runs", "are") };
    let message = format!(
        "{missed} successful {runs} of ModelRefresh {} after run {} {are} no longer in its history, so nothing ran after them: raise its \
         spec.historyLimit",
        upstream.name, cursor.number
    );
    draft.emit(Reason::UpstreamRunsMissed, message);
    true
}
