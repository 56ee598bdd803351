//! Evidence: whether an operation in a listing can be the one that an unanswered submission began.
//!
//! A refresh shows its type and its objects. A synchronisation shows its times alone; but one that began after the intent brings
//! the replicas what was asked for, whoever asked, so the times are enough where the clocks are known.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Settings, Taken};
use crate::api::Run;
use crate::operation::{Ahead, ObjectName, Operation, Phase, RefreshRequest, Request};

/// How much the service's clocks may differ from what one of them just said: its answers give whole seconds.
const CLOCK_GRAIN: Duration = Duration::from_secs(5);
/// How much the service's clock may differ from ours where it did not say what it was.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// A difference of the clocks that is not believed: a gateway's cached answer, rather.
const UNBELIEVABLE: SignedDuration = SignedDuration::from_hours(1);

/// Whether an operation certainly began before an intent, whatever the service's clock shows.
#[must_use]
pub(super) fn began_before(operation: &Operation, intent: Timestamp) -> bool {
    operation.start.is_some_and(|start| start < earlier(intent, CLOCK_SKEW + CLOCK_GRAIN))
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_sub(by).unwrap_or(moment)
}

/// What is held against each operation of a listing.
pub(super) struct Evidence<'a> {
    run: &'a Run,
    /// What was asked for; `None` where the spec has changed since, and nobody knows any more.
    request: Option<&'a Request>,
    taken: &'a Taken,
    /// When it can have begun at the earliest, and when at the latest if it was not kept waiting, by the service's clock.
    window: (Timestamp, Timestamp),
    /// The intent by the service's clock, at the latest.
    intent: Timestamp,
    /// From then on it certainly shows a start after the intent, whichever of the clocks is right.
    surely_after: Timestamp,
    /// Whether the service said what its clock shows.
    clock_known: bool,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(
        run: &'a Run,
        request: Option<&'a Request>,
        taken: &'a Taken,
        (intent, ahead): (Timestamp, Option<Ahead>),
        settings: &Settings,
    ) -> Self {
        let clock_known = ahead.is_some_and(|Ahead { least, most }| least.abs().max(most.abs()) <= UNBELIEVABLE);
        let there = |ahead: Option<SignedDuration>| intent.checked_add(ahead.unwrap_or_default()).unwrap_or(intent);
        let (first, last) = (there(ahead.map(|ahead| ahead.least)), there(ahead.map(|ahead| ahead.most)));
        // Every doubt makes the window wider: a candidate too many is a question to a person, one too few a second submission.
        let (first, allowance) = if clock_known { (first, CLOCK_GRAIN) } else { (intent.min(first), CLOCK_SKEW) };
        let from = earlier(first, allowance);
        let to = last.checked_add(settings.call_timeout + allowance).unwrap_or(last);
        let surely_after = earlier(if clock_known { last } else { intent.max(last) }, CLOCK_GRAIN);
        Self { run, request, taken, window: (from, to), intent: last, surely_after, clock_known }
    }

    /// Whether an operation can be the one: nothing that it shows contradicts it.
    pub(super) fn allows(&self, operation: &Operation) -> bool {
        let id = &operation.id;
        if operation.foreign || self.taken.has(id) || self.run.knows(id) || self.run.rules_out(id) {
            return false;
        }
        // One that ended before the intent is not it either, whether it tells its start or not.
        let over = operation.end.filter(|_| operation.phase.ended());
        if operation.start.or(over).is_some_and(|moment| moment < self.window.0) {
            return false;
        }
        let Some(request) = self.refresh() else { return true };
        let same_type = match (&operation.refresh_type, &request.refresh_type) {
            (Some(shown), Some(asked)) => shown.eq_ignore_ascii_case(asked),
            (None, _) | (_, None) => true,
        };
        same_type && none_strange(operation, request) && (self.shows_all(operation) || !operation.phase.ended())
    }

    fn refresh(&self) -> Option<&RefreshRequest> {
        self.request.and_then(Request::as_refresh)
    }

    /// Whether an operation shows every table that was asked for, or nothing of its objects yet. One that runs and shows some of
    /// them may show the others later; one that has ended will not.
    pub(super) fn shows_all(&self, operation: &Operation) -> bool {
        let Some(request) = self.refresh() else { return true };
        // A partition may be absent from what Power BI shows of an ended operation, so the table is enough.
        let shows = |asked: &ObjectName| operation.objects.iter().any(|shown| shown.name.table.eq_ignore_ascii_case(&asked.table));
        operation.objects.is_empty() || request.objects.iter().all(shows)
    }

    /// Whether an operation shows enough to be taken for ours while the listing may still be late: that it began when it should
    /// have, its type, and its objects where objects were asked for.
    pub(super) fn proves(&self, operation: &Operation) -> bool {
        let Some(request) = self.request else { return false };
        let began_from = |earliest| operation.start.is_some_and(|start| (earliest..=self.window.1).contains(&start));
        match request {
            Request::Refresh(request) => {
                let shows_objects = !operation.objects.is_empty() || request.objects.is_empty() || operation.phase == Phase::InProgress;
                let shows_work = operation.refresh_type.is_some() && shows_objects && self.shows_all(operation);
                self.clock_known && began_from(self.surely_after) && shows_work
            }
            // One that began a little before the intent may be another's, without what it was to bring.
            Request::Sync => self.clock_known && began_from(self.intent),
        }
    }

    /// Why the only operation that can be the one is still not taken for it, when the listing can no longer be late.
    pub(super) fn doubt(&self, operation: &Operation) -> Option<&'static str> {
        let Some(request) = self.request else {
            return Some("the spec has changed since, so an operation cannot be told by it");
        };
        let seems_older = operation.start.is_some_and(|start| start < self.surely_after);
        match request {
            Request::Sync if !self.clock_known || operation.start.is_none() => {
                Some("a synchronisation is told by its times alone, which the service did not say")
            }
            // By our clock, or by the service's if it was read as soon as it was asked, it was there before; otherwise it may be ours.
            Request::Refresh(_) | Request::Sync if seems_older => Some(if self.clock_known {
                "the service took long to say what its clock shows, by which an operation that seems to be older may be it"
            } else {
                "the service does not say what its clock shows, by which an operation that seems to be older may be it"
            }),
            Request::Refresh(_) if operation.start.is_none() && operation.phase.ended() => Some("an operation does not say when it began"),
            Request::Refresh(_) | Request::Sync => None,
        }
    }
}

/// Whether an operation shows no object that was not asked for. Of a whole model nobody here knows the tables.
fn none_strange(operation: &Operation, request: &RefreshRequest) -> bool {
    let covers = |asked: &ObjectName, shown: &ObjectName| {
        asked.table.eq_ignore_ascii_case(&shown.table)
            && match (&asked.partition, &shown.partition) {
                (Some(asked), Some(shown)) => asked.eq_ignore_ascii_case(shown),
                (None, _) | (_, None) => true,
            }
    };
    let asked_for = |shown: &ObjectName| request.objects.iter().any(|asked| covers(asked, shown));
    request.objects.is_empty() || operation.objects.iter().all(|object| asked_for(&object.name))
}
