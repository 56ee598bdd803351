//! The answer to `GET refreshes`: which of its rows matter.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::de::{IgnoredAny, MapAccess};

use super::fields::{Fields, Object, Text};
use super::rows::RowFault;
use crate::operation::{Operation, OperationId, Phase};
use crate::service::{timestamp, words};

/// How many rows are kept, as [`crate::operation::Listing`] says.
const MOST_ROWS: usize = 50;

/// How far the clocks may be apart by rounding, where the service tells its own.
const KNOWN_CLOCK: SignedDuration = SignedDuration::from_secs(5);

/// How far they may be apart where it does not.
const UNKNOWN_CLOCK: SignedDuration = SignedDuration::from_mins(5);

/// A difference of clocks that is not believed: a gateway's cached `Date`, rather.
const UNBELIEVABLE: SignedDuration = SignedDuration::from_hours(1);

/// Which operations are looked for: those that run, and those that began since a submission was intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the submission was intended, by our clock.
    pub intent: Timestamp,
    /// Our clock when the listing is asked for.
    pub now: Timestamp,
}

impl Window {
    /// The first moment of the window by the service's clock. `elapsed` is how long the service's answer took.
    ///
    /// Every doubt makes it earlier: a row too many is a question to the engine, a row too few a second submission.
    /// So the service's clock, which was read at some time during the call, is held against the end of the call.
    pub(in crate::service) fn since(&self, server_time: Option<Timestamp>, elapsed: Duration) -> Timestamp {
        let back = |moment: Timestamp, by: SignedDuration| moment.checked_sub(by).unwrap_or(Timestamp::MIN);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        let Some(server) = server_time else {
            return back(self.intent, UNKNOWN_CLOCK);
        };
        let ours = self.now.checked_add(elapsed).unwrap_or(Timestamp::MAX);
        let ahead = server.duration_since(ours);
        let by_server = self.intent.checked_add(ahead).unwrap_or(self.intent);
        if ahead.abs() > UNBELIEVABLE {
            return back(self.intent.min(by_server), UNKNOWN_CLOCK);
        }
        back(by_server, KNOWN_CLOCK)
    }
}

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::service) struct Row {
    pub(in crate::service) id: OperationId,
    phase: Phase,
    reported: String,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Row {
    /// The operation as far as the row tells it.
    pub(in crate::service) fn bare(self) -> Operation {
        Operation {
            id: self.id,
            phase: self.phase,
            reported: self.reported,
            start: self.start,
            end: self.end,
            refresh_type: None,
            objects: Vec::new(),
            messages: Vec::new(),
            activity_id: None,
            failure: None,
            foreign: false,
        }
    }
}

/// The rows that matter, gathered one by one.
#[derive(Debug)]
pub(in crate::service) struct Selection {
    since: Timestamp,
    rows: Vec<Row>,
    truncated: bool,
}

impl Selection {
    pub(in crate::service) fn new(since: Timestamp) -> Self {
        Self { since, rows: Vec::new(), truncated: false }
    }

    /// Looks at one row. A row that is JSON but no refresh leaves a doubt, not an error.
    pub(in crate::service) fn take(&mut self, row: &[u8]) -> Result<(), RowFault> {
        let Object(fields) = serde_json::from_slice::<Object<RowFields>>(row).map_err(|_| RowFault)?;
        let reported = fields.status.at_most(64).unwrap_or_default();
        let phase = words::phase(&reported);
        let start = fields.start.0.as_deref().and_then(timestamp::iso);
        let before = start.is_some_and(|start| start < self.since);
        if phase.ended() && before {
            return Ok(());
        }
        let Some(id) = fields.id.0.as_deref().and_then(OperationId::parse) else {
            self.truncated = true;
            return Ok(());
        };
        let end = fields.end.0.as_deref().and_then(timestamp::iso);
        self.rows.push(Row { id, phase, reported, start, end });
        if self.rows.len() >= 4 * MOST_ROWS {
            self.order();
        }
        Ok(())
    }

    /// Notes that there was more than could be read.
    pub(in crate::service) fn cut_short(&mut self) {
        self.truncated = true;
    }

    /// Those that matter most, those that run first and then the newest; and whether there were more.
    pub(in crate::service) fn finish(mut self) -> (Vec<Row>, bool) {
        self.order();
        (self.rows, self.truncated)
    }

    fn order(&mut self) {
        // Without a start it may have begun just now.
        self.rows.sort_by(|a, b| {
            let rank = |row: &Row| (!row.phase.ended(), row.start.unwrap_or(Timestamp::MAX));
            rank(b).cmp(&rank(a)).then_with(|| a.id.cmp(&b.id))
        });
        let mut seen = HashSet::new();
        self.rows.retain(|row| seen.insert(row.id.as_str().to_ascii_lowercase()));
        if self.rows.len() > MOST_ROWS {
            self.rows.truncate(MOST_ROWS);
            self.truncated = true;
        }
    }
}

#[derive(Default)]
struct RowFields {
    id: Text,
    status: Text,
    start: Text,
    end: Text,
}

impl Fields for RowFields {
    const EXPECTED: &'static str = "a row of the list of refreshes";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "refreshid" => self.id = value.next_value()?,
            "operationid" | "requestid" if self.id.0.is_none() => self.id = value.next_value()?,
            "status" => self.status = value.next_value()?,
            "starttime" => self.start = value.next_value()?,
            "endtime" => self.end = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_begins_no_later_than_the_intent_by_the_services_clock() {
        let window = Window { intent: at("2026-01-01T12:00:00Z"), now: at("2026-01-01T12:01:00Z") };
        let rows = [
            (Some("2026-01-01T12:01:00Z"), 0, "2026-01-01T11:59:55Z"),
            (Some("2026-01-01T12:03:00Z"), 0, "2026-01-01T12:01:55Z"),
            (Some("2026-01-01T12:03:00Z"), 20, "2026-01-01T12:01:35Z"),
            (Some("2026-01-01T11:51:00Z"), 0, "2026-01-01T11:49:55Z"),
            (None, 0, "2026-01-01T11:55:00Z"),
            (Some("2027-01-01T12:01:00Z"), 0, "2026-01-01T11:55:00Z"),
            (Some("2026-01-01T10:01:00Z"), 0, "2026-01-01T09:55:00Z"),
        ];
        for (server, elapsed, expected) in rows {
            let since = window.since(server.map(at), Duration::from_secs(elapsed));
            assert_eq!(since, at(expected), "{server:?}");
        }
    }

    fn select(rows: &[&str]) -> (Vec<String>, bool) {
        let mut selection = Selection::new(at("2026-01-01T12:00:00Z"));
        for row in rows {
            selection.take(row.as_bytes()).unwrap();
        }
        let (rows, truncated) = selection.finish();
        (rows.into_iter().map(|row| row.id.to_string()).collect(), truncated)
    }

    #[test]
    fn what_runs_or_began_in_the_window_is_kept() {
        let (kept, truncated) = select(&[
            r#"{"refreshId":"old","startTime":"2026-01-01T11:00:00Z","endTime":"2026-01-01T13:00:00Z","status":"succeeded"}"#,
            r#"{"refreshId":"early","startTime":"2026-01-01T12:00:00","status":"failed"}"#,
            r#"{"refreshId":"late","startTime":"2026-01-01T12:00:09.1234567Z","status":"succeeded"}"#,
            r#"{"refreshId":"runs","startTime":"2025-12-01T12:00:00Z","status":"inProgress"}"#,
            r#"{"refreshId":"odd","status":"succeeded"}"#,
            r#"{"refreshId":"new","startTime":"2025-12-31T12:00:00Z","status":"somethingNew"}"#,
            r#"{"refreshId":"LATE","startTime":"2026-01-01T12:00:09.1234567Z","status":"succeeded"}"#,
        ]);
        assert_eq!(kept, ["new", "runs", "odd", "LATE", "early"]);
        assert!(!truncated);
    }

    #[test]
    fn a_row_that_cannot_be_named_leaves_a_doubt() {
        assert_eq!(select(&["{}"]), (vec![], true));
        assert_eq!(select(&[r#"{"refreshId":"a/b","status":"inProgress"}"#]), (vec![], true));
        assert_eq!(select(&[r#"{"startTime":"2020-01-01T12:00:00Z","status":"failed"}"#]), (vec![], false));
    }

    #[test]
    fn rows_are_bounded() {
        let mut selection = Selection::new(Timestamp::MIN);
        for n in 0..10_000 {
            let row = format!(r#"{{"refreshId":"r{n}","startTime":"2026-01-01T12:00:00.{n:05}Z","status":"succeeded"}}"#);
            selection.take(row.as_bytes()).unwrap();
            assert!(selection.rows.len() <= 4 * MOST_ROWS);
        }
        let (rows, truncated) = selection.finish();
        assert_eq!((rows.len(), rows[0].id.as_str(), truncated), (MOST_ROWS, "r9999", true));
    }
}
