//! Evidence: whether an operation in a list can be the one that an unanswered submission started.
//!
//! Three outcomes for each operation: it is certainly another ([`Evidence::may_match`] is false), it certainly matches
//! ([`Evidence::ambiguity`] is `None`), or only a later list or a user can tell. What is unknown proves nothing, in either direction:
//! an operation is excluded only by what it shows, and adopted only if it shows everything that was asked for.
//!
//! A refresh shows its type and its objects. A synchronisation shows its times alone; but one that started after the intent brings
//! the replicas what was asked for, whichever client asked, so the times are enough where the clocks are known.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::object_names::{self, Likeness};
use crate::api::Run;
use crate::engine::pass::Pass;
use crate::engine::{Settings, Taken};
use crate::operation::{Ahead, Listing, ObjectName, Operation, Origin, RefreshRequest, Request};

/// The resolution of what clocks show: a `Date` header, an intent on record and some start times have whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);
/// How much the clocks of two machines may differ where one operator takes over from another. Up to that far before the window a user
/// is asked, instead of taking an operation for another client's.
const TAKEOVER_SKEW: Duration = Duration::from_secs(5);
/// How much the service's clock may differ from ours where it did not say what it was.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// The types that the services document, in lower case. Any other may be a new word for one of them.
const REFRESH_TYPES: [&str; 7] = ["full", "clearvalues", "calculate", "dataonly", "automatic", "defragment", "add"];

/// Whether an operation certainly started before an intent, whatever the service's clock shows.
#[must_use]
pub(super) fn began_before(operation: &Operation, intent: Timestamp) -> bool {
    let over = operation.end.filter(|_| operation.phase.ended());
    operation.start.or(over).is_some_and(|moment| is_before(moment, earlier(intent, CLOCK_SKEW + RESOLUTION)))
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_sub(by).unwrap_or(moment)
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap_or(moment)
}

/// Whether a moment that the service shows is certainly before another. Some services leave the fraction of a second out, so without
/// one it may be almost a second later.
fn is_before(shown: Timestamp, moment: Timestamp) -> bool {
    let whole_seconds = shown.subsec_nanosecond() == 0;
    if whole_seconds { later(shown, RESOLUTION) <= moment } else { shown < moment }
}

/// What is known of the clocks.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    /// How far the service's clock is ahead of ours, where it said what it shows.
    ahead: Option<Ahead>,
    /// Whether the process that measured it also recorded the intent.
    same: bool,
}

/// What is held against each operation of a list.
pub(super) struct Evidence<'a> {
    run: &'a Run,
    /// What was asked for; `None` where the spec has changed since, and nothing on record tells.
    request: Option<&'a Request>,
    taken: &'a Taken,
    window: Window,
}

/// When the operation of a submission can have started, by the service's clock.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// At the earliest.
    from: Timestamp,
    /// At the latest.
    to: Timestamp,
    /// The intent by the service's clock, at the latest.
    intent: Timestamp,
    /// From then on a start is taken for one after the intent. Between the start of the window and this moment only a user can tell:
    /// our own clock may have been set, or the list took long to come, so that the service's clock was read at an unknown moment.
    surely_after: Timestamp,
    /// Whether the service said what its clock shows.
    clock_known: bool,
}

impl Window {
    fn of(intent: Timestamp, Clocks { ahead, same }: Clocks, settings: &Settings) -> Self {
        let clock_known = ahead.is_some_and(Ahead::is_believable);
        let there = |ahead: Option<SignedDuration>| intent.checked_add(ahead.unwrap_or_default()).unwrap_or(intent);
        let (first, last) = (there(ahead.map(|ahead| ahead.least)), there(ahead.map(|ahead| ahead.most)));
        // The clock shows whole seconds, and so does the intent: each may be almost a second later than it shows.
        let arrival = settings.call_timeout + 2 * RESOLUTION;
        let own_skew = if same { RESOLUTION } else { TAKEOVER_SKEW };
        let (from, to, surely_after) = if clock_known {
            (earlier(first, own_skew), later(last, arrival), first.max(earlier(last, RESOLUTION)))
        } else {
            (earlier(intent.min(first), CLOCK_SKEW), later(intent.max(last), CLOCK_SKEW + arrival), intent.max(last))
        };
        Self { from, to, intent: last, surely_after, clock_known }
    }

    /// Whether an operation certainly started, or ended, before it.
    fn is_after(&self, operation: &Operation) -> bool {
        // One that ended before the intent is not it either, whether it shows its start or not.
        let over = operation.end.filter(|_| operation.phase.ended());
        operation.start.or(over).is_some_and(|moment| is_before(moment, self.from))
    }

    /// Whether the submission may have started an operation, by its times alone.
    fn may_hold(&self, operation: &Operation) -> bool {
        !self.is_after(operation) && operation.start.is_none_or(|start| start <= self.to)
    }
}

/// The latest intent of the unresolved submissions of other resources that may have started an operation. It is told by its times alone:
/// no record shows what those submissions asked for.
#[must_use]
pub(super) fn rival(operation: &Operation, taken: &Taken, ahead: Option<Ahead>, settings: &Settings) -> Option<Timestamp> {
    let of = |intent: &Timestamp| Window::of(*intent, Clocks { ahead, same: false }, settings).may_hold(operation);
    taken.unresolved.iter().rev().copied().find(of)
}

/// Why an operation that may match is not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ambiguity {
    /// The spec has changed since the submission.
    SpecChanged,
    /// Its origin is unknown.
    Origin,
    /// It shows no start.
    NoStart,
    /// It started before the intent by one reading of the clocks.
    SeemsOlder { clock_known: bool },
    /// It started later than a submission arrives.
    TooLate,
    /// It is a synchronisation, and the service's clock is not known.
    TimesAlone,
    /// It is a synchronisation that may have started just before the intent.
    JustBefore,
    /// Its details cannot be read, or only in part.
    Unread,
    /// It shows no type that is documented.
    NoType,
    /// It does not show all objects that were asked for.
    ObjectsNotShown,
    /// Its names differ from those that were asked for in what may have been changed on the way.
    Names,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpecChanged => "the spec has changed since, so no operation can be matched to it",
            Self::Origin => "the service does not show that a client submitted the candidate operation",
            Self::NoStart => "the candidate operation does not show when it started",
            Self::SeemsOlder { clock_known: true } => {
                "by the clocks as they were read, the candidate operation started just before the submission"
            }
            Self::SeemsOlder { clock_known: false } => {
                "the service does not report its time, so a candidate operation that seems older may be the one"
            }
            Self::TooLate => "the candidate operation started later than a submission can take to arrive",
            Self::TimesAlone => "a synchronization can be matched only by its times, which the service does not show",
            Self::JustBefore => "the candidate synchronization started in the second of the submission",
            Self::Unread => "the details of the candidate operation cannot be read completely",
            Self::NoType => "the candidate operation does not show its type",
            Self::ObjectsNotShown => "the candidate operation does not show all its tables and partitions",
            Self::Names => "the names that the candidate operation shows differ in spaces or in the encoding of letters",
        })
    }
}

impl<'a> Evidence<'a> {
    /// What is held against each operation of a list; `None` where there is no run.
    pub(super) fn of(pass: &'a Pass<'_>, listing: &Listing, taken: &'a Taken) -> Option<Self> {
        let run = pass.record.run.as_ref()?;
        // The spec may have changed since; then only what is on record can be compared.
        let request = pass.desired.work.is(&run.work).then_some(&pass.desired.work.request);
        let clocks = Clocks { ahead: listing.ahead, same: run.submitted_time.is_some() && run.submitted_time == pass.scratch.own_intent };
        Some(Self { run, request, taken, window: Window::of(pass.intent(), clocks, pass.situation.settings) })
    }

    /// Whether an operation can be the one: nothing that it shows contradicts it.
    pub(super) fn may_match(&self, operation: &Operation) -> bool {
        let id = &operation.id;
        if operation.origin == Origin::External || self.taken.has(id) || self.run.knows(id) || self.run.rules_out(id) {
            return false;
        }
        if self.window.is_after(operation) {
            return false;
        }
        let Some(request) = self.refresh() else { return true };
        let other_type = documented_type(operation)
            .zip(request.refresh_type.as_deref())
            .is_some_and(|(shown, asked)| !shown.eq_ignore_ascii_case(asked));
        !other_type && operation.objects.iter().all(|shown| asked_for(request, &shown.name) != Likeness::Different)
    }

    /// Whether an operation started before the intent, by clocks that are known.
    pub(super) fn seems_older(&self, operation: &Operation) -> bool {
        self.window.clock_known && operation.start.is_some_and(|start| is_before(start, self.window.surely_after))
    }

    fn refresh(&self) -> Option<&RefreshRequest> {
        self.request.and_then(Request::as_refresh)
    }

    /// Why an operation that may match is not adopted; `None` where it matches. `certain` is whether the list can no longer be late:
    /// until then an operation of another client may be there without ours.
    pub(super) fn ambiguity(&self, operation: &Operation, certain: bool) -> Option<Ambiguity> {
        let Some(request) = self.request else { return Some(Ambiguity::SpecChanged) };
        if operation.origin != Origin::Client {
            return Some(Ambiguity::Origin);
        }
        let is_sync = self.refresh().is_none();
        let Some(start) = operation.start else {
            return Some(if is_sync { Ambiguity::TimesAlone } else { Ambiguity::NoStart });
        };
        if is_sync && !self.window.clock_known {
            return Some(Ambiguity::TimesAlone);
        }
        if is_before(start, self.window.surely_after) {
            return Some(Ambiguity::SeemsOlder { clock_known: self.window.clock_known });
        }
        if start > self.window.to {
            return Some(Ambiguity::TooLate);
        }
        match request {
            // One that began a little before the intent may be another's, without what it was to bring.
            Request::Sync => (!certain && start < self.window.intent).then_some(Ambiguity::JustBefore),
            Request::Refresh(request) => work_ambiguity(operation, request),
        }
    }
}

/// The type that an operation shows, where it is one that the services document.
fn documented_type(operation: &Operation) -> Option<&str> {
    operation.refresh_type.as_deref().filter(|shown| REFRESH_TYPES.contains(&shown.to_ascii_lowercase().as_str()))
}

/// Why the type and the objects that an operation shows do not prove that it does what was asked for.
fn work_ambiguity(operation: &Operation, request: &RefreshRequest) -> Option<Ambiguity> {
    if operation.unread {
        return Some(Ambiguity::Unread);
    }
    if documented_type(operation).is_none() {
        return Some(Ambiguity::NoType);
    }
    // A table is shown by its partitions. A partition that is not shown may not have been refreshed, even if another one of its table was.
    let shown = |asked: &ObjectName| {
        let shown = operation.objects.iter().map(|shown| &shown.name);
        let shown = shown.filter(|shown| asked.partition.is_none() || shown.partition.is_some());
        shown.map(|shown| object_names::object(asked, shown)).min().unwrap_or(Likeness::Different)
    };
    let of_asked = request.objects.iter().map(shown);
    let of_shown = operation.objects.iter().map(|shown| asked_for(request, &shown.name));
    match of_asked.chain(of_shown).max().unwrap_or(Likeness::Same) {
        Likeness::Same => None,
        Likeness::Similar => Some(Ambiguity::Names),
        Likeness::Different => Some(Ambiguity::ObjectsNotShown),
    }
}

/// How close an object that is shown comes to one that was asked for. Nothing on record has the tables of a whole model.
fn asked_for(request: &RefreshRequest, shown: &ObjectName) -> Likeness {
    let names = request.objects.iter().map(|asked| object_names::object(asked, shown));
    names.min().unwrap_or(Likeness::Same)
}
