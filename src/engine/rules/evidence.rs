//! Evidence: whether an operation in a list can be the one that a submission without a response started.
//!
//! Three outcomes for each operation: it is certainly another ([`Evidence::may_match`] is false), it certainly matches
//! ([`Evidence::ambiguity`] is `None`), or only a later list or a user can decide. Unknown facts prove nothing, in either direction:
//! an operation is excluded only by what it shows, and adopted only if it shows everything that was requested.
//!
//! A refresh shows its type and its objects, and in Power BI its commit mode. A sync shows only its times. But one that started after the intent updates the
//! replicas as requested, whichever client submitted it, so the times are enough if the clocks are known.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::object_names::{self, NameMatch};
use crate::api::Run;
use crate::engine::draft::Draft;
use crate::engine::timing::MAX_CLOCK_SKEW;
use crate::engine::{ClaimedOperations, Settings};
use crate::operation::{ClockSkew, Listing, ObjectName, Operation, Origin, RefreshRequest, Request};

/// The resolution of clocks: a `Date` header, a recorded intent and some start times have whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);
/// How much the clocks of two machines may differ when one operator takes over from another. For an operation up to that long before the
/// window a user decides; it does not count as another client's.
const TAKEOVER_SKEW: Duration = Duration::from_secs(5);

/// The types that the services document, in lower case. Any other may be a new name for one of them.
const REFRESH_TYPES: [&str; 7] = ["full", "clearvalues", "calculate", "dataonly", "automatic", "defragment", "add"];

/// The commit modes that the services document, in lower case, with the default first.
const COMMIT_MODES: [&str; 2] = ["transactional", "partialbatch"];
const DEFAULT_COMMIT_MODE: &str = COMMIT_MODES[0];

/// Whether an operation certainly started before an intent, whatever the service's clock shows.
#[must_use]
pub(super) fn started_before(operation: &Operation, intent: Timestamp) -> bool {
    let end = operation.end.filter(|_| operation.phase.ended());
    operation.start.or(end).is_some_and(|time| is_before(time, earlier(intent, MAX_CLOCK_SKEW + RESOLUTION)))
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(time)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

/// Whether a time that the service shows is certainly before another. Some services omit the fraction of a second, so a time without
/// one may be almost a second later.
fn is_before(service_time: Timestamp, time: Timestamp) -> bool {
    let whole_seconds = service_time.subsec_nanosecond() == 0;
    if whole_seconds { later(service_time, RESOLUTION) <= time } else { service_time < time }
}

/// The known facts about the clocks.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    /// How far the service's clock is ahead of the operator's, if the service reported it.
    clock_skew: Option<ClockSkew>,
    /// Whether the process that measured it also recorded the intent.
    same: bool,
}

/// The facts that each operation of a list is compared with.
pub(super) struct Evidence<'a> {
    run: &'a Run,
    /// The request; `None` if the spec has changed since, because the record does not have it.
    request: Option<&'a Request>,
    claimed: &'a ClaimedOperations,
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
    /// From this time on a start counts as after the intent. Between the start of the window and this time only a user can decide:
    /// the operator's clock may have been set, or the list took long, so that the service's clock was read at an unknown time.
    certainly_after: Timestamp,
    /// Whether the service reported its clock.
    clock_known: bool,
}

impl Window {
    fn of(intent: Timestamp, Clocks { clock_skew, same }: Clocks, settings: &Settings) -> Self {
        let clock_known = clock_skew.is_some_and(ClockSkew::is_plausible);
        let there = |clock_skew: Option<SignedDuration>| intent.checked_add(clock_skew.unwrap_or_default()).unwrap_or(intent);
        let (first, last) = (there(clock_skew.map(|clock_skew| clock_skew.min)), there(clock_skew.map(|clock_skew| clock_skew.max)));
        // The clock and the intent have whole seconds, so each may be almost a second later than it shows.
        let arrival = settings.call_timeout + 2 * RESOLUTION;
        let own_skew = if same { RESOLUTION } else { TAKEOVER_SKEW };
        let (from, to, certainly_after) = if clock_known {
            (earlier(first, own_skew), later(last, arrival), first.max(earlier(last, RESOLUTION)))
        } else {
            (earlier(intent.min(first), MAX_CLOCK_SKEW), later(intent.max(last), MAX_CLOCK_SKEW + arrival), intent.max(last))
        };
        Self { from, to, intent: last, certainly_after, clock_known }
    }

    /// Whether an operation certainly started, or ended, before it.
    fn is_too_early(&self, operation: &Operation) -> bool {
        // An operation that ended before the intent is excluded too, whether it shows its start or not.
        let end = operation.end.filter(|_| operation.phase.ended());
        operation.start.or(end).is_some_and(|time| is_before(time, self.from))
    }

    /// Whether the submission may have started an operation, by its times alone.
    fn may_contain(&self, operation: &Operation) -> bool {
        !self.is_too_early(operation) && operation.start.is_none_or(|start| start <= self.to)
    }
}

/// The latest intent of other resources' unresolved submissions that may have started an operation. Only its times are compared,
/// because no record shows what those submissions requested.
#[must_use]
pub(super) fn competing_submission(
    operation: &Operation,
    claimed: &ClaimedOperations,
    clock_skew: Option<ClockSkew>,
    settings: &Settings,
) -> Option<Timestamp> {
    let of = |intent: &Timestamp| Window::of(*intent, Clocks { clock_skew, same: false }, settings).may_contain(operation);
    claimed.unresolved.iter().rev().copied().find(of)
}

/// Why an operation that may match is not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ambiguity {
    /// The spec has changed since the submission.
    SpecChanged,
    /// Its origin is unknown.
    UnknownOrigin,
    /// It shows no start.
    NoStart,
    /// It started before the intent by one reading of the clocks.
    MayPrecedeIntent { clock_known: bool },
    /// It started later than a submission can arrive.
    TooLate,
    /// It is a sync, and the service's clock is unknown.
    SyncTimesUnknown,
    /// It is a sync that may have started just before the intent.
    SyncMayPrecedeIntent,
    /// Its details cannot be read, or only in part, or contradict its row of the list.
    DetailsUnreadable,
    /// It shows no documented type.
    NoType,
    /// It does not show all requested objects.
    ObjectsNotShown,
    /// Its names differ from the requested ones in a way that a gateway may have caused.
    NamesDiffer,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpecChanged => "the spec has changed since, so no operation can be matched to it",
            Self::UnknownOrigin => "the service does not show that a client submitted the candidate operation",
            Self::NoStart => "the candidate operation does not show when it started",
            Self::MayPrecedeIntent { clock_known: true } => {
                "according to the measured clocks, the candidate operation started just before the submission"
            }
            Self::MayPrecedeIntent { clock_known: false } => {
                "the service does not report its time, so a candidate operation that seems older may be the submitted one"
            }
            Self::TooLate => "the candidate operation started later than a submission can take to arrive",
            Self::SyncTimesUnknown => "a sync can be matched only by its times, and the service does not show them",
            Self::SyncMayPrecedeIntent => "the candidate sync started in the second of the submission",
            Self::DetailsUnreadable => {
                "the details of the candidate operation cannot be read completely, or show a start that differs from the list"
            }
            Self::NoType => "the candidate operation does not show its type",
            Self::ObjectsNotShown => "the candidate operation does not show all its tables and partitions",
            Self::NamesDiffer => "the names that the candidate operation shows differ in spaces or in the encoding of letters",
        })
    }
}

impl<'a> Evidence<'a> {
    /// The facts that each operation of a list is compared with; `None` if there is no run.
    pub(super) fn of(draft: &'a Draft<'_>, listing: &Listing, claimed: &'a ClaimedOperations) -> Option<Self> {
        let run = draft.status.run.as_ref()?;
        // The spec may have changed since; then only the record can be compared.
        let request = draft.desired.operation.has_digest(&run.request_digest).then_some(&draft.desired.operation.request);
        let clocks =
            Clocks { clock_skew: listing.clock_skew, same: run.submitted_time.is_some() && run.submitted_time == draft.memory.own_intent };
        Some(Self { run, request, claimed, window: Window::of(draft.intent(), clocks, draft.input.settings) })
    }

    /// Whether an operation can be the submitted one: nothing that it shows excludes it.
    pub(super) fn may_match(&self, operation: &Operation) -> bool {
        let id = &operation.id;
        if operation.origin == Origin::External || self.claimed.contains(id) || self.run.has_previous(id) || self.run.excludes(id) {
            return false;
        }
        if self.window.is_too_early(operation) {
            return false;
        }
        let Some(request) = self.refresh() else { return true };
        let other_type = documented(operation.refresh_type.as_deref(), &REFRESH_TYPES)
            .zip(request.refresh_type.as_deref())
            .is_some_and(|(shown, requested)| !shown.eq_ignore_ascii_case(requested));
        let other_commit_mode = documented(operation.commit_mode.as_deref(), &COMMIT_MODES)
            .is_some_and(|shown| !shown.eq_ignore_ascii_case(request.commit_mode.as_deref().unwrap_or(DEFAULT_COMMIT_MODE)));
        !other_type && !other_commit_mode && operation.objects.iter().all(|shown| best_match(request, &shown.name) != NameMatch::Different)
    }

    /// Whether an operation started before the intent, by known clocks.
    pub(super) fn started_before_intent(&self, operation: &Operation) -> bool {
        self.window.clock_known && operation.start.is_some_and(|start| is_before(start, self.window.certainly_after))
    }

    fn refresh(&self) -> Option<&RefreshRequest> {
        self.request.and_then(Request::as_refresh)
    }

    /// Why an operation that may match is not adopted; `None` where it matches. `certain` is whether the list can no longer be late:
    /// until then it may show another client's operation and not this resource's.
    pub(super) fn ambiguity(&self, operation: &Operation, certain: bool) -> Option<Ambiguity> {
        let Some(request) = self.request else { return Some(Ambiguity::SpecChanged) };
        if operation.origin != Origin::Client {
            return Some(Ambiguity::UnknownOrigin);
        }
        let is_sync = self.refresh().is_none();
        let Some(start) = operation.start else {
            return Some(if is_sync { Ambiguity::SyncTimesUnknown } else { Ambiguity::NoStart });
        };
        if is_sync && !self.window.clock_known {
            return Some(Ambiguity::SyncTimesUnknown);
        }
        if is_before(start, self.window.certainly_after) {
            return Some(Ambiguity::MayPrecedeIntent { clock_known: self.window.clock_known });
        }
        if start > self.window.to {
            return Some(Ambiguity::TooLate);
        }
        match request {
            // A sync that started just before the intent may lack the requested state.
            Request::Sync => (!certain && start < self.window.intent).then_some(Ambiguity::SyncMayPrecedeIntent),
            Request::Refresh(request) => work_ambiguity(operation, request),
        }
    }
}

/// A word that an operation shows, if the services document it.
fn documented<'a>(shown: Option<&'a str>, words: &[&str]) -> Option<&'a str> {
    shown.filter(|shown| words.contains(&shown.to_ascii_lowercase().as_str()))
}

/// Why the type and the objects that an operation shows do not match the request.
fn work_ambiguity(operation: &Operation, request: &RefreshRequest) -> Option<Ambiguity> {
    if operation.incomplete {
        return Some(Ambiguity::DetailsUnreadable);
    }
    if documented(operation.refresh_type.as_deref(), &REFRESH_TYPES).is_none() {
        return Some(Ambiguity::NoType);
    }
    // A table is shown by its partitions. A partition that is not shown may not have been refreshed, even if another one of its table was.
    let shown = |requested: &ObjectName| {
        let shown = operation.objects.iter().map(|shown| &shown.name);
        let shown = shown.filter(|shown| requested.partition.is_none() || shown.partition.is_some());
        shown.map(|shown| object_names::object(requested, shown)).min().unwrap_or(NameMatch::Different)
    };
    let of_requested = request.objects.iter().map(shown);
    let of_shown = operation.objects.iter().map(|shown| best_match(request, &shown.name));
    match of_requested.chain(of_shown).max().unwrap_or(NameMatch::Same) {
        NameMatch::Same => None,
        NameMatch::Similar => Some(Ambiguity::NamesDiffer),
        NameMatch::Different => Some(Ambiguity::ObjectsNotShown),
    }
}

/// How well a shown object matches the requested ones. For a whole model the record has no tables, so any object matches.
fn best_match(request: &RefreshRequest, shown: &ObjectName) -> NameMatch {
    let names = request.objects.iter().map(|requested| object_names::object(requested, shown));
    names.min().unwrap_or(NameMatch::Same)
}
