//! Resolves a 400 to a refresh that is neither clearly busy nor a quota: checks in the list whether a refresh is running.
//!
//! Power BI returns 400 with the same code if another refresh is running, if the daily limit is reached, and if the request is invalid. The
//! text distinguishes them, but may be in any language. If a busy model counted as an invalid request, the run would end. Therefore the
//! list decides. If no refresh is running, the request is rejected with the text of the service: the number of refreshes on that day is
//! no evidence of a quota.
//!
//! Automatic refreshes may have displaced a running one from the list. The request is then rejected only if the text states a reason.
//! The operator requests English texts, and in these it recognizes a busy model.

use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use crate::azure::http::json_array::MalformedArray;
use crate::azure::http::{REDIRECTS, server_time, text};
use crate::azure::refreshes::{self, BadRequest, Coverage, ListWindow, PAGE_SIZE, Row};
use crate::azure::session::Session;
use crate::operation::{CallKind, OperationId, OperationKind, Origin, ServiceError, ServiceErrorKind, SubmitResult};

/// Maximum number of outdated rows whose details are read. With more, the model counts as busy.
const MAX_DETAILS: usize = 20;

/// The content of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ListedRefreshes {
    /// By the clock of the service, before the submission.
    submitted_at: Timestamp,
    /// By the clock of the service. A refresh that started earlier is no longer running, regardless of its row.
    oldest_running: Timestamp,
    /// Whether a refresh was running at the time of the submission.
    busy: bool,
    /// The rows that may be of running refreshes.
    running: Vec<Row>,
    /// As in [`Row::others_ended_before`], from all rows.
    ended_before: Timestamp,
    /// Whether a row was parsed of a refresh that the service did not start itself.
    has_rows: bool,
    /// Whether a row that may be of a running refresh was not parsed.
    unparsed: bool,
    /// Number of rows.
    count: usize,
    coverage: Coverage,
}

impl ListedRefreshes {
    fn new(submitted_at: Timestamp, oldest_running: Timestamp) -> Self {
        let (running, ended_before) = (Vec::new(), Timestamp::MIN);
        let (count, coverage) = (0, Coverage::new());
        Self { submitted_at, oldest_running, busy: false, running, ended_before, has_rows: false, unparsed: false, count, coverage }
    }

    fn add(&mut self, row: Result<Row, MalformedArray>) {
        self.count = self.count.saturating_add(1);
        self.coverage.add(row.as_ref().ok().and_then(Row::started_by));
        let Ok(row) = row else {
            // A model runs one refresh at a time, and the newest comes first. Any row after another one has ended.
            self.unparsed |= !self.has_rows;
            return;
        };
        self.has_rows |= !row.by_service;
        self.ended_before = self.ended_before.max(row.others_ended_before().unwrap_or(Timestamp::MIN));
        // The service starts it after each change of the data, beside any other one. It has no details.
        if row.by_service && row.origin == Origin::External {
            return;
        }
        // The refresh may have ended between the submission and the list.
        self.busy |= !row.by_service && row.end.is_some_and(|end| end >= self.submitted_at);
        if !row.phase.ended() && row.start.is_none_or(|start| start >= self.oldest_running) {
            // The service keeps fewer.
            self.busy |= self.running.len() >= PAGE_SIZE;
            if !self.busy {
                self.running.push(row);
            }
        }
    }

    /// Decides about the rows that may be of running refreshes. Returns the ids of those that a later row outdates, or that the service may
    /// have started itself: only their details can show that one is running. External refreshes have no details.
    fn outdated(&mut self) -> Vec<OperationId> {
        let ended_before = self.ended_before;
        let is_outdated = |row: &Row| row.by_service || row.start.is_some_and(|start| start < ended_before);
        let (outdated, running): (Vec<Row>, Vec<Row>) = std::mem::take(&mut self.running).into_iter().partition(is_outdated);
        self.busy |= !running.is_empty();
        outdated.into_iter().filter(|row| row.origin != Origin::External).filter_map(|row| row.id).collect()
    }

    /// Why the list does not show whether a refresh is running. `message` is the text of the refusal.
    fn doubt(&self, message: &str) -> Option<&'static str> {
        if self.busy {
            return None;
        }
        // Those that the service starts itself run beside another one, and displace it from the list.
        let displaced = !self.has_rows && self.coverage.may_be_displaced_while_running(self.count, self.oldest_running);
        let displaced = displaced && is_generic(message);
        let unparsed = self.unparsed.then_some("the newest row of the list of the service is unreadable");
        unparsed.or(displaced.then_some("the list of the service has only automatic refreshes, which displace older ones"))
    }

    /// The cause of the refusal. In each case, nothing was started.
    fn outcome(self, bad_request: BadRequest) -> SubmitResult {
        let BadRequest { error, message, .. } = bad_request;
        if self.busy {
            return SubmitResult::Busy { message: if message.is_empty() { error.message } else { message } };
        }
        SubmitResult::NotStarted(error)
    }
}

/// Whether the text of a refusal states no reason. Details of an error are part of its text.
fn is_generic(message: &str) -> bool {
    message.is_empty() || message.trim_end_matches('.').eq_ignore_ascii_case("bad request")
}

/// Reads the newest refreshes, and returns the cause of the refusal of a submission.
pub(in crate::azure) async fn resolve_bad_request(session: &Session, refreshes: &Url, bad_request: BadRequest) -> SubmitResult {
    match list_refreshes(session, refreshes, &bad_request).await {
        Ok(listed) => listed.outcome(bad_request),
        // Both are unknown, so the operator retries.
        Err(error) => {
            let bad_request = bad_request.error;
            let message = format!("{}; failed to check whether another refresh is running: {}", bad_request.message, error.message);
            SubmitResult::NotStarted(ServiceError {
                kind: ServiceErrorKind::ServerError,
                message: text::truncate(&message, 1024),
                retry_after: error.retry_after,
                ..bad_request
            })
        }
    }
}

async fn list_refreshes(session: &Session, refreshes: &Url, bad_request: &BadRequest) -> Result<ListedRefreshes, ServiceError> {
    let (sent_at, now) = (Instant::now(), Timestamp::now());
    let newest = refreshes::list_url(session.service, refreshes);
    let incoming = session.get(CallKind::List(OperationKind::Refresh), newest, bad_request.deadline, &REDIRECTS).await?;
    let window = ListWindow { intent: bad_request.submitted_at, now };
    let clock_skew = window.clock_skew(server_time(incoming.headers()), sent_at.elapsed());
    let mut listed = ListedRefreshes::new(window.since(clock_skew), window.oldest_running(clock_skew, session.max_refresh_duration()));
    refreshes::for_each_row(session, incoming, |row| {
        if !Row::is_absent(row) {
            listed.add(Row::read(session.service, row));
        }
        Ok(())
    })
    .await?;
    let outdated = listed.outdated();
    listed.busy |= outdated.len() > MAX_DETAILS;
    for id in &outdated {
        listed.busy = listed.busy || refreshes::may_run(session, refreshes, id, bad_request.deadline).await;
    }
    match listed.doubt(&bad_request.message) {
        Some(doubt) => Err(ServiceError::new(ServiceErrorKind::InvalidResponse, doubt)),
        None => Ok(listed),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::azure::http::Response;
    use crate::operation::ServiceKind;

    fn listed(rows: &[String]) -> ListedRefreshes {
        let mut listed = ListedRefreshes::new("2026-01-02T12:00:00Z".parse().unwrap(), "2026-01-01T06:00:00Z".parse().unwrap());
        for row in rows {
            listed.add(Row::read(ServiceKind::PowerBi, row.as_bytes()));
        }
        listed.outdated();
        listed
    }

    fn outcome(message: &str, rows: &[String]) -> SubmitResult {
        let error = ServiceError::new(ServiceErrorKind::Rejected, "no");
        listed(rows).outcome(BadRequest { error, message: message.to_owned(), submitted_at: Timestamp::now(), deadline: Instant::now() })
    }

    fn row(start: &str, end: &str, status: &str) -> String {
        format!(r#"{{"requestId":"1","refreshType":"Scheduled","startTime":"{start}","endTime":"{end}","status":"{status}"}}"#)
    }

    #[test]
    fn refusal_is_busy_only_if_a_refresh_runs() {
        let ended = row("2026-01-02T11:00:00Z", "2026-01-02T11:10:00Z", "Completed");
        let old = row("2026-01-01T11:00:00Z", "2026-01-01T11:10:00Z", "Failed");
        let runs = row("2026-01-02T11:00:00Z", "", "Unknown");
        let never_ends = row("2026-01-01T05:59:59Z", "", "Unknown");
        let just_ended = row("2026-01-02T11:00:00Z", "2026-01-02T12:00:01Z", "Completed");
        let busy = |message: &str| SubmitResult::Busy { message: message.to_owned() };
        let kind = |submission: SubmitResult| match submission {
            SubmitResult::NotStarted(error) => error.kind,
            other => panic!("{other:?}"),
        };
        let german = "Ungültige Anforderung. Die Anzahl der Anforderungen hat den Grenzwert überschritten";
        let english = "Invalid dataset refresh request. The type is not valid.";
        for message in [german, english, "数据集刷新请求无效。", "Richiesta non valida", ""] {
            assert_eq!(kind(outcome(message, &[])), ServiceErrorKind::Rejected, "{message}");
            assert_eq!(kind(outcome(message, &vec![old.clone(); 50])), ServiceErrorKind::Rejected, "{message}");
            assert_eq!(kind(outcome(message, std::slice::from_ref(&never_ends))), ServiceErrorKind::Rejected, "{message}");
            assert_eq!(kind(outcome(message, &vec![ended.clone(); 50])), ServiceErrorKind::Rejected, "{message}");
        }
        for message in [german, english] {
            assert_eq!(outcome(message, &[ended.clone(), runs.clone()]), busy(message));
            assert_eq!(outcome(message, &[old.clone(), just_ended.clone()]), busy(message));
            assert_eq!(outcome(message, &[vec![ended.clone(); 90], vec![runs.clone()]].concat()), busy(message));
            assert_eq!(outcome(message, &vec![runs.clone(); 120]), busy(message));
        }
    }

    #[test]
    fn refresh_by_the_service_does_not_make_the_model_busy() {
        let runs = row("2026-01-02T11:00:00Z", "", "Unknown");
        let just_ended = row("2026-01-02T11:00:00Z", "2026-01-02T12:00:01Z", "Completed");
        for (by, is_busy) in [
            ("WebModeling", false),
            ("DirectLakeFraming", false),
            ("Scheduled", true),
            ("ViaXmlaEndpoint", true),
            ("ViaSomethingNew", true),
            ("", true),
        ] {
            for list in [vec![runs.clone()], vec![just_ended.clone()], vec![runs.clone(); 20]] {
                let list: Vec<String> = list.iter().map(|row| row.replace("Scheduled", by)).collect();
                let submission = outcome("no", &list);
                assert_eq!(matches!(submission, SubmitResult::Busy { .. }), is_busy, "{by} {}", list.len());
            }
        }
    }

    #[test]
    fn running_refresh_may_be_displaced_by_automatic_ones() {
        let list = |count: usize, by: &str, start: &str| {
            let start = |n: usize| if n == 0 { start } else { "2026-01-02T11:00:00Z" };
            let rows = (0..count).map(|n| row(start(n), "2026-01-02T11:10:00Z", "Completed").replace("Scheduled", by));
            listed(&rows.collect::<Vec<_>>()).doubt("").is_some()
        };
        let (recent, old) = ("2026-01-01T06:00:00Z", "2026-01-01T05:59:59Z");
        for by in ["WebModeling", "DirectLakeFraming"] {
            assert!(list(60, by, recent) && !list(59, by, recent) && !list(60, by, old), "{by}");
        }
        assert!(!list(60, "Scheduled", recent) && !list(0, "Scheduled", recent));
    }

    #[test]
    fn text_with_a_reason_is_about_the_request() {
        let framing = row("2026-01-02T11:00:00Z", "2026-01-02T11:10:00Z", "Completed").replace("Scheduled", "DirectLakeFraming");
        let mut automatic = listed(&vec![framing; 60]);
        let rows = [
            ("", true),
            (r#"{"error":{"code":"InvalidRequest"}}"#, true),
            (r#"{"error":{"code":"BadRequest","message":"BAD REQUEST"}}"#, true),
            (r#"{"code":"BadRequest","message":"Bad Request.","details":[{"code":"RootActivityId","message":"1"}]}"#, true),
            (r#"{"error":{"code":"BadRequest","message":"Bad Request","details":[{"message":"Error converting value"}]}}"#, false),
            (r#"{"error":{"code":"InvalidRequest","message":"The table 'x' does not exist."}}"#, false),
        ];
        for (body, expected) in rows {
            let response = Response::new(400, HeaderMap::new(), body.as_bytes().to_vec(), None);
            assert_eq!(automatic.doubt(&response.error_summary().message).is_some(), expected, "{body}");
        }
        automatic.unparsed = true;
        assert!(automatic.doubt("The table 'x' does not exist.").is_some());
    }

    #[test]
    fn later_success_outdates_rows_without_an_end() {
        let (since, until) = ("2026-01-02T10:00:00Z", "2026-01-02T10:10:00Z");
        let stuck = |start: &str| row(start, "", "Unknown");
        let rows = [
            ("2026-01-02T09:00:00Z", "Scheduled", "Completed", until, false),
            ("2026-01-02T09:00:00Z", "ViaEnhancedApi", "Completed", until, false),
            ("2026-01-02T09:00:00Z", "OnDemand", "Failed", until, true),
            ("2026-01-02T09:00:00Z", "ViaXmlaEndpoint", "Completed", until, true),
            ("2026-01-02T09:00:00Z", "ViaSomethingNew", "Completed", until, true),
            ("2026-01-02T09:00:00Z", "ViaApi", "Completed", "", true),
            ("2026-01-02T10:00:00Z", "ViaApi", "Completed", until, true),
            ("2026-01-02T10:05:00Z", "ViaApi", "Completed", until, true),
            ("", "ViaApi", "Completed", until, true),
        ];
        for (start, by, status, end, is_busy) in rows {
            let later = row(since, end, status).replace("Scheduled", by);
            for list in [[later.clone(), stuck(start)], [stuck(start), later.clone()]] {
                let submission = outcome("no", &list);
                assert_eq!(matches!(submission, SubmitResult::Busy { .. }), is_busy, "{list:?}");
            }
        }
    }
}
