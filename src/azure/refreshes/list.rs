//! The response to `GET refreshes`: selects the relevant rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};
use serde::de::{IgnoredAny, MapAccess};

use super::coverage::Coverage;
use super::detail;
use super::failure;
use super::phase;
use crate::azure::classify::messages::Messages;
use crate::azure::http::error_body::ErrorBody;
use crate::azure::http::json_array::MalformedArray;
use crate::azure::http::lenient_json::{Fields, Object, Text};
use crate::azure::http::{text, timestamp};
use crate::operation::{FailureCause, Operation, OperationId, Origin, Phase, ServiceKind, ServiceMessage, UnnamedOperation};

/// Maximum number of rows, as documented in [`crate::operation::Listing`].
const MAX_ROWS: usize = 50;

/// How much later a refresh must have started to show that another one has ended. The machines of the service may have different clocks.
const CERTAINLY_LATER: SignedDuration = SignedDuration::from_mins(1);

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::azure) struct Row {
    pub(in crate::azure) id: Option<OperationId>,
    pub(in crate::azure) phase: Phase,
    service_status: String,
    pub(in crate::azure) start: Option<Timestamp>,
    pub(in crate::azure) end: Option<Timestamp>,
    /// Who can have submitted it.
    pub(in crate::azure) origin: Origin,
    /// Whether the service starts such a refresh only if no other one of the model is running.
    runs_alone: bool,
    /// Whether the service itself may have started it. Such a refresh does not block others.
    pub(in crate::azure) by_service: bool,
    /// Whether a later row shows that it has ended, although its own row does not. Only its details can then show that it is running.
    pub(in crate::azure) is_outdated: bool,
    /// Its errors if it failed. Rows of Power BI contain them.
    messages: Vec<ServiceMessage>,
    failure: Option<FailureCause>,
}

impl Row {
    /// Whether an element of the list is no row.
    pub(in crate::azure) fn is_absent(row: &[u8]) -> bool {
        row.trim_ascii() == b"null"
    }

    /// Parses one row.
    pub(in crate::azure) fn read(service: ServiceKind, row: &[u8]) -> Result<Self, MalformedArray> {
        let read = |row: &[u8]| serde_json::from_slice::<Object<RowFields>>(row);
        let Object(fields) = read(row).or_else(|_| read(&text::repair_json(row.to_vec()))).map_err(|_| MalformedArray)?;
        let status = phase::combined_phase(fields.status.at_most(64), fields.extended_status.at_most(64));
        let (phase, service_status) = status.unwrap_or((Phase::InProgress, String::new()));
        let (origin, runs_alone, by_service) = match service {
            // The service lists only operations of this API.
            ServiceKind::AnalysisServices => (Origin::Client, false, false),
            ServiceKind::PowerBi => {
                let refresh_type = fields.refresh_type.at_most(64).unwrap_or_default().to_ascii_lowercase();
                (origin(&refresh_type), runs_alone(&refresh_type), by_service(&refresh_type))
            }
        };
        let (start, end) = (fields.start.0.as_deref().and_then(timestamp::parse), fields.end.0.as_deref().and_then(timestamp::parse));
        let messages_of = |errors: &[ErrorBody]| {
            let messages: Messages = errors.iter().filter(|_| phase.failed()).filter_map(|error| error.service_message("Error")).collect();
            messages.finish()
        };
        let of_refresh = messages_of(&fields.exception);
        let explains = !of_refresh.is_empty() || failure::is_by_attempt(phase);
        let messages = if of_refresh.is_empty() { messages_of(&fields.attempt) } else { of_refresh };
        let cause = messages.iter().filter(|_| explains).find_map(failure::by_message);
        let failure = failure::cause(service, (phase, &service_status), cause, (start, end));
        Ok(Self { id: fields.id, phase, service_status, start, end, origin, runs_alone, by_service, is_outdated: false, messages, failure })
    }

    /// Refreshes of the model that started before this time have ended, or do not block others. `None` if the row does not show that. Some
    /// rows never show their end (seen in public reports).
    ///
    /// A success shows it, if the refresh has run alone and its times are known. A failure does not: the service also lists a refresh that
    /// it has refused because of another one.
    pub(in crate::azure) fn others_ended_before(&self) -> Option<Timestamp> {
        let start = self.start.filter(|start| self.end.is_some_and(|end| end >= *start))?;
        let ran_alone = self.runs_alone && self.phase == Phase::Succeeded;
        ran_alone.then(|| start.checked_sub(CERTAINLY_LATER).ok()).flatten()
    }

    /// When it started at the latest, if the row shows that: an ended refresh may show only its end.
    pub(in crate::azure) fn started_by(&self) -> Option<Timestamp> {
        self.start.or(self.end.filter(|_| self.phase.ended()))
    }

    /// How relevant it is: running refreshes come before the others, then the newest. Without a start, it may have started just now.
    pub(super) fn rank(&self) -> (bool, Timestamp) {
        (!self.phase.ended(), self.started_by().unwrap_or(Timestamp::MAX))
    }

    /// Adds the facts of a less relevant row of the same refresh. If the rows disagree, those facts count that do not exclude the refresh
    /// from a search. Its details decide.
    fn merge(&mut self, other: &Self) {
        self.origin = match (self.origin, other.origin) {
            (Origin::Client, _) | (_, Origin::Client) => Origin::Client,
            (Origin::Unknown, _) | (_, Origin::Unknown) => Origin::Unknown,
            (Origin::External, Origin::External) => Origin::External,
        };
        self.start = self.start.max(other.start);
    }

    /// The operation from its row, with the id of the row.
    pub(in crate::azure) fn into_operation(self, id: OperationId) -> Operation {
        Operation {
            id,
            phase: self.phase,
            service_status: self.service_status,
            start: self.start,
            end: self.end,
            refresh_type: None,
            commit_mode: None,
            objects: Vec::new(),
            failure: self.failure,
            messages: self.messages,
            activity_id: None,
            origin: self.origin,
            incomplete: false,
        }
    }
}

/// Who can have submitted a refresh with this `refreshType`, in lower case.
///
/// Power BI documentation, enhanced refresh, "refreshType". The service itself starts a `WebModeling` after each change of the data (seen
/// in public reports). In two reports, a full refresh of a Direct Lake model is listed as `DirectLakeFraming`, which the service also
/// starts itself. That value is therefore inconclusive, like every undocumented value.
fn origin(refresh_type: &str) -> Origin {
    match refresh_type {
        "viaenhancedapi" | "reliableprocessing" => Origin::Client,
        "scheduled" | "ondemand" | "viaapi" | "viaxmlaendpoint" | "ondemandtraining" | "webmodeling" => Origin::External,
        _ => Origin::Unknown,
    }
}

/// Whether the service starts a refresh with this `refreshType`, in lower case, only if no other one of the model is running.
///
/// Power BI documentation, enhanced refresh: it accepts only one refresh of a model at a time. This does not apply to writes by the XMLA
/// endpoint, nor to what the service itself starts after a change of the data.
fn runs_alone(refresh_type: &str) -> bool {
    matches!(refresh_type, "viaenhancedapi" | "reliableprocessing" | "scheduled" | "ondemand" | "viaapi")
}

/// Whether the service itself may have started a refresh with this `refreshType`, in lower case.
fn by_service(refresh_type: &str) -> bool {
    matches!(refresh_type, "webmodeling" | "directlakeframing")
}

/// The relevant rows, collected one by one.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "the facts of the rows and of the end of the list are independent")]
pub(in crate::azure) struct Selection {
    service: ServiceKind,
    since: Timestamp,
    /// A refresh that started earlier is no longer running, regardless of its row.
    oldest_running: Timestamp,
    /// The operation that is searched for. Its row is relevant whatever its origin and its times are.
    wanted: Option<OperationId>,
    rows: Vec<(OperationId, Row)>,
    truncated: bool,
    /// Whether the list continued after the part that was read.
    size_exceeded: bool,
    /// Whether the service reports more rows.
    more_pages: bool,
    /// Whether a running row has no id and may be ours.
    unnamed_running: bool,
    /// As in [`crate::operation::Listing`].
    has_unknown_rows: bool,
    /// The newest running rows without an id that no client of the API has certainly submitted: an external one, and one of unknown origin.
    unnamed: (Option<UnnamedOperation>, Option<UnnamedOperation>),
    /// As in [`Row::others_ended_before`], from all rows.
    ended_before: Timestamp,
    /// Maximum number of rows that the client requested.
    top: Option<usize>,
    count: usize,
    coverage: Coverage,
}

/// The selected rows.
#[derive(Debug)]
pub(in crate::azure) struct Selected {
    /// The most relevant rows: running ones first, then the newest.
    pub(in crate::azure) rows: Vec<(OperationId, Row)>,
    /// As in [`crate::operation::Listing`].
    pub(in crate::azure) truncated: bool,
    /// As in [`crate::operation::Listing`].
    pub(in crate::azure) may_hide_running: bool,
    /// As in [`crate::operation::Listing`].
    pub(in crate::azure) has_unknown_rows: bool,
    /// As in [`crate::operation::Listing`].
    pub(in crate::azure) unnamed: Option<UnnamedOperation>,
    /// A refresh that started earlier is neither running nor in the window.
    pub(in crate::azure) oldest: Timestamp,
}

impl Selection {
    /// `since` and `oldest_running` are by the clock of the service.
    pub(in crate::azure) fn new(service: ServiceKind, (since, oldest_running): (Timestamp, Timestamp), top: Option<usize>) -> Self {
        Self {
            service,
            since,
            oldest_running,
            wanted: None,
            rows: Vec::new(),
            truncated: false,
            size_exceeded: false,
            more_pages: false,
            unnamed_running: false,
            has_unknown_rows: false,
            unnamed: (None, None),
            ended_before: Timestamp::MIN,
            top,
            count: 0,
            coverage: Coverage::new(),
        }
    }

    /// Keeps the row of this operation, whatever it shows: without it, the operation would count as one that never ran.
    pub(in crate::azure) fn search_for(&mut self, wanted: Option<OperationId>) {
        self.wanted = wanted;
    }

    fn is_wanted(&self, id: &OperationId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.eq_ignoring_case(id.as_str()))
    }

    /// Adds one row. A row that is not a refresh or is unreadable makes the list uncertain, but is not an error: the rest of the list
    /// counts.
    pub(in crate::azure) fn add(&mut self, row: &[u8]) {
        self.count = self.count.saturating_add(1);
        if Row::is_absent(row) {
            return;
        }
        let Ok(row) = Row::read(self.service, row) else {
            (self.truncated, self.unnamed_running) = (true, true);
            self.coverage.add(None);
            return;
        };
        self.coverage.add(row.started_by());
        self.ended_before = self.ended_before.max(row.others_ended_before().unwrap_or(Timestamp::MIN));
        let started_before = |time| row.started_by().is_some_and(|start| start < time);
        let over = row.phase.ended() || started_before(self.oldest_running);
        let is_wanted = row.id.as_ref().is_some_and(|id| self.is_wanted(id));
        if over && !is_wanted && (started_before(self.since) || row.origin == Origin::External) {
            return;
        }
        let Some(id) = row.id.clone() else {
            match row.origin {
                Origin::Client => {
                    self.truncated = true;
                    self.unnamed_running |= !row.phase.ended();
                }
                Origin::Unknown | Origin::External => {
                    let is_external = row.origin == Origin::External;
                    self.has_unknown_rows |= !is_external;
                    let newest = if is_external { &mut self.unnamed.0 } else { &mut self.unnamed.1 };
                    // Without a start, it may have started just now.
                    let started = |start: Option<Timestamp>| start.unwrap_or(Timestamp::MAX);
                    if !row.phase.ended() && newest.is_none_or(|newest| started(newest.start) < started(row.start)) {
                        *newest = Some(UnnamedOperation { is_external, start: row.start });
                    }
                }
            }
            return;
        };
        self.rows.push((id, row));
        if self.rows.len() >= 4 * MAX_ROWS {
            self.sort();
        }
    }

    /// Records that the service has more rows than it returned.
    pub(in crate::azure) fn set_more_pages(&mut self) {
        self.more_pages = true;
    }

    /// Records that the list exceeds the size limit.
    pub(in crate::azure) fn set_truncated(&mut self) {
        self.size_exceeded = true;
    }

    /// The selected rows, and what may be missing.
    pub(in crate::azure) fn finish(mut self) -> Selected {
        // A row of the window may be ours, so it counts as it is.
        let outdated_before = self.ended_before.min(self.since);
        let is_outdated = |start: Option<Timestamp>| start.is_some_and(|start| start < outdated_before);
        for (id, row) in &mut self.rows {
            let is_wanted = self.wanted.as_ref().is_some_and(|wanted| wanted.eq_ignoring_case(id.as_str()));
            // An external refresh that does not run alone may run beside the later one. One of the service does not block others.
            let may_be = !is_wanted && (row.runs_alone || row.by_service || row.origin != Origin::External);
            row.is_outdated = !row.phase.ended() && may_be && is_outdated(row.start);
        }
        // External refreshes have no details that could show that one is running.
        self.rows.retain(|(_, row)| !row.is_outdated || row.origin != Origin::External);
        self.sort();
        // With as many rows as requested, or a link to a next page, rows may be missing. No row of the window is missing if the last row is
        // the oldest and started before the window.
        let full = self.more_pages || self.top.is_some_and(|top| self.count >= top);
        let covers = self.coverage.covers(self.since);
        let displaced = self.service == ServiceKind::PowerBi && self.coverage.may_be_displaced(self.count, self.since);
        // A model runs one refresh at a time, so a refresh older than the newest has ended. This does not apply beside automatic refreshes,
        // which may also displace a running one. On some models, all lists show only these. A sync that waited for another list would
        // never start, while a sync beside a refresh only brings the replicas to an older version.
        let may_hide_running = self.unnamed_running || ((full || self.size_exceeded) && !self.coverage.newest_first);
        let truncated = self.truncated || self.size_exceeded || (full && !covers) || displaced;
        let oldest = self.since.min(self.oldest_running);
        let Self { rows, has_unknown_rows, unnamed: (external, unknown), .. } = self;
        let unnamed = [external, unknown].into_iter().flatten().find(|unnamed| !is_outdated(unnamed.start));
        Selected { rows, truncated, may_hide_running, has_unknown_rows, unnamed, oldest }
    }

    fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|(a_id, a), (b_id, b)| {
            let rank = |id: &OperationId, row: &Row| (self.is_wanted(id), row.rank());
            rank(b_id, b).cmp(&rank(a_id, a)).then_with(|| a_id.cmp(b_id))
        });
        let mut positions: HashMap<String, usize> = HashMap::new();
        for (id, row) in rows {
            match positions.entry(id.as_str().to_ascii_lowercase()) {
                Entry::Vacant(position) => {
                    position.insert(self.rows.len());
                    self.rows.push((id, row));
                }
                Entry::Occupied(position) => {
                    if let Some((_, first)) = self.rows.get_mut(*position.get()) {
                        first.merge(&row);
                    }
                }
            }
        }
        if self.rows.len() > MAX_ROWS {
            self.rows.truncate(MAX_ROWS);
            self.truncated = true;
        }
    }
}

#[derive(Default)]
struct RowFields {
    id: Option<OperationId>,
    status: Text,
    extended_status: Text,
    refresh_type: Text,
    start: Text,
    end: Text,
    /// The error of the complete refresh, and of the last failed attempt.
    exception: Vec<ErrorBody>,
    attempt: Vec<ErrorBody>,
}

impl Fields for RowFields {
    const EXPECTED: &'static str = "a row of the list of refreshes";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "refreshid" | "operationid" | "requestid" => {
                let id = value.next_value::<Text>()?.0.as_deref().and_then(OperationId::parse);
                // The first name takes precedence, independent of its position. A name without a valid id is ignored.
                self.id = if name == "refreshid" { id.or(self.id.take()) } else { self.id.take().or(id) };
            }
            "status" => self.status = value.next_value()?,
            "extendedstatus" => self.extended_status = value.next_value()?,
            "refreshtype" => self.refresh_type = value.next_value()?,
            "starttime" => self.start = value.next_value()?,
            "endtime" => self.end = value.next_value()?,
            "serviceexceptionjson" => self.exception = ErrorBody::all(&value.next_value()?),
            "refreshattempts" => detail::last_failed_attempt(&mut self.attempt, value)?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
