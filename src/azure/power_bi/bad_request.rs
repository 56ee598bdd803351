//! Resolves a 400 to a refresh that is neither clearly busy nor a quota: checks in the list whether a refresh is running.
//!
//! Power BI returns 400 with the same code if another refresh is running, if the daily limit is reached, and if the request is invalid. The
//! text distinguishes them, but may be in any language. If a busy model counted as an invalid request, the run would end. Therefore the
//! list decides. If no refresh is running, the request is rejected with the text of the service: the number of refreshes on that day is
//! no evidence of a quota.

use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use crate::azure::classify;
use crate::azure::http::json_array::RowFault;
use crate::azure::http::{REDIRECTS, server_time, text};
use crate::azure::refreshes::{self, Refusal, Row, Window};
use crate::azure::session::Session;
use crate::operation::{CallKind, OperationKind, ServiceError, ServiceErrorKind, Submission};

/// The content of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Evidence {
    /// By the clock of the service, before the submission.
    submitted: Timestamp,
    /// By the clock of the service. A refresh that started earlier is no longer running, regardless of its row.
    oldest_running: Timestamp,
    /// Whether a refresh was running at the time of the submission.
    busy: bool,
    /// Whether a row was parsed.
    known: bool,
    /// Whether a row that may be of a running refresh was not parsed.
    unread: bool,
}

impl Evidence {
    fn new(submitted: Timestamp, oldest_running: Timestamp) -> Self {
        Self { submitted, oldest_running, busy: false, known: false, unread: false }
    }

    fn take(&mut self, row: Result<Row, RowFault>) {
        let Ok(row) = row else {
            // A model runs one refresh at a time, and the newest comes first. Any row after another one has ended.
            self.unread |= !self.known;
            return;
        };
        self.known = true;
        // The refresh may have ended between the submission and the list.
        let runs = !row.phase.ended() && row.start.is_none_or(|start| start >= self.oldest_running);
        let ran = runs || row.end.is_some_and(|end| end >= self.submitted);
        self.busy |= ran;
    }

    /// The cause of the refusal. In each case, nothing was started.
    fn verdict(self, refusal: Refusal) -> Submission {
        let Refusal { error, said, .. } = refusal;
        if self.busy {
            return Submission::Busy { message: if said.is_empty() { error.message } else { said } };
        }
        Submission::NotStarted(error)
    }
}

/// Reads the newest refreshes, and returns the cause of the refusal of a submission.
pub(in crate::azure) async fn settle(session: &Session, refreshes: &Url, refusal: Refusal) -> Submission {
    match evidence(session, refreshes, &refusal).await {
        Ok(evidence) => evidence.verdict(refusal),
        // Both are unknown, so the operator retries.
        Err(error) => {
            let refusal = refusal.error;
            let message = format!("{}; failed to check whether another refresh is running: {}", refusal.message, error.message);
            Submission::NotStarted(ServiceError {
                kind: ServiceErrorKind::ServerError,
                message: text::cut(&message, 1024),
                retry_after: error.retry_after,
                ..refusal
            })
        }
    }
}

async fn evidence(session: &Session, refreshes: &Url, refusal: &Refusal) -> Result<Evidence, ServiceError> {
    let (asked, now) = (Instant::now(), Timestamp::now());
    let newest = refreshes::newest(session.service, refreshes);
    let incoming = session.get(CallKind::List(OperationKind::Refresh), newest, refusal.deadline, &REDIRECTS).await?;
    let window = Window { intent: refusal.submitted, now };
    let clock_skew = window.clock_skew(server_time(incoming.headers()), asked.elapsed());
    let mut evidence = Evidence::new(window.since(clock_skew), window.oldest_running(clock_skew, session.longest_refresh()));
    refreshes::each_row(session, incoming, |row| {
        evidence.take(Row::read(session.service, row));
        Ok(())
    })
    .await?;
    if evidence.unread && !evidence.busy {
        let message = "the newest row of the list of the service is unreadable".to_owned();
        return Err(classify::service_error(ServiceErrorKind::InvalidResponse, message));
    }
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::ServiceKind;

    fn verdict(said: &str, rows: &[String]) -> Submission {
        let mut evidence = Evidence::new("2026-01-02T12:00:00Z".parse().unwrap(), "2026-01-01T06:00:00Z".parse().unwrap());
        for row in rows {
            evidence.take(Row::read(ServiceKind::PowerBi, row.as_bytes()));
        }
        let error = classify::service_error(ServiceErrorKind::Rejected, "no".to_owned());
        evidence.verdict(Refusal { error, said: said.to_owned(), submitted: Timestamp::now(), deadline: Instant::now() })
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
        let busy = |said: &str| Submission::Busy { message: said.to_owned() };
        let kind = |submission: Submission| match submission {
            Submission::NotStarted(error) => error.kind,
            other => panic!("{other:?}"),
        };
        let german = "Ungültige Anforderung. Die Anzahl der Anforderungen hat den Grenzwert überschritten";
        let english = "Invalid dataset refresh request. The type is not valid.";
        for said in [german, english, "数据集刷新请求无效。", "Richiesta non valida", ""] {
            assert_eq!(kind(verdict(said, &[])), ServiceErrorKind::Rejected, "{said}");
            assert_eq!(kind(verdict(said, &vec![old.clone(); 50])), ServiceErrorKind::Rejected, "{said}");
            assert_eq!(kind(verdict(said, std::slice::from_ref(&never_ends))), ServiceErrorKind::Rejected, "{said}");
            assert_eq!(kind(verdict(said, &vec![ended.clone(); 50])), ServiceErrorKind::Rejected, "{said}");
        }
        for said in [german, english] {
            assert_eq!(verdict(said, &[ended.clone(), runs.clone()]), busy(said));
            assert_eq!(verdict(said, &[old.clone(), just_ended.clone()]), busy(said));
            assert_eq!(verdict(said, &[vec![ended.clone(); 90], vec![runs.clone()]].concat()), busy(said));
        }
    }
}
