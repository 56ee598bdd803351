//! A 400 to a refresh whose reason nobody here can read: what the service's list of refreshes says of it.
//!
//! Power BI answers 400 with one code where another refresh runs, where the day's refreshes are used up and where the
//! request is wrong, and tells them apart by a text alone, which may come in any language. A wrong guess is dear: a busy
//! model taken for a wrong request ends the run for good, and a quota taken for a busy model is asked again and again. So
//! nothing is guessed.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use url::Url;

use crate::operation::{Submission, Trouble, TroubleKind};
use crate::service::answer::server_time;
use crate::service::http::REDIRECTS;
use crate::service::refreshes::{self, Row, Window};
use crate::service::{Call, text};

/// How many refreshes of a day speak for a quota: the smallest one that is documented, of a model on shared capacity.
const SMALLEST_QUOTA: usize = 8;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the list showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Evidence {
    /// By the service's clock, before the submission.
    submitted: Timestamp,
    /// Whether a refresh was under way when the submission came.
    busy: bool,
    /// How many began in the day before it.
    today: usize,
}

impl Evidence {
    fn new(submitted: Timestamp) -> Self {
        Self { submitted, busy: false, today: 0 }
    }

    fn take(&mut self, row: &Row) {
        // It may have ended between the submission and the list.
        let ran = !row.phase.ended() || row.end.is_some_and(|end| end >= self.submitted);
        self.busy |= ran;
        let day = self.submitted.checked_sub(DAY).unwrap_or(Timestamp::MIN);
        self.today += usize::from(row.start.is_some_and(|start| start >= day));
    }

    /// What the refusal was about. Nothing was started, whichever it is.
    fn verdict(self, refusal: Trouble) -> Submission {
        if self.busy {
            return Submission::Busy { message: refusal.message };
        }
        if self.today < SMALLEST_QUOTA {
            return Submission::Refused(refusal);
        }
        // It may be a wrong request all the same; then it is said again, slowly, until the run's deadline. The other
        // mistake would end a run that tomorrow would serve.
        let message = format!(
            "{}; {} refreshes of the model began within 24 hours, so its quota may be used up: it is tried again by itself",
            refusal.message, self.today
        );
        Submission::Refused(Trouble { kind: TroubleKind::QuotaExceeded, message, ..refusal })
    }
}

/// Reads the newest refreshes, and says what the refusal of a submission that was sent at `submitted` was about.
pub(in crate::service) async fn settle(call: &Call, newest: &Url, refusal: Trouble, submitted: Timestamp, deadline: Instant) -> Submission {
    match evidence(call, newest, submitted, deadline).await {
        Ok(evidence) => evidence.verdict(refusal),
        // Neither is known, so it is asked again.
        Err(trouble) => {
            let message = format!("{}; whether another refresh runs could not be seen: {}", refusal.message, trouble.message);
            Submission::Refused(Trouble {
                kind: TroubleKind::ServiceError,
                message: text::cut(&message, 1024),
                retry_after: trouble.retry_after,
                ..refusal
            })
        }
    }
}

async fn evidence(call: &Call, newest: &Url, submitted: Timestamp, deadline: Instant) -> Result<Evidence, Trouble> {
    let (asked, now) = (Instant::now(), Timestamp::now());
    let incoming = call.get(call.route("GET refreshes"), newest.clone(), deadline, &REDIRECTS).await?;
    let server_time = server_time(incoming.headers());
    let mut evidence = Evidence::new(Window { intent: submitted, now }.since(server_time, asked.elapsed()));
    refreshes::each_row(call, incoming, |row| {
        evidence.take(&Row::read(row)?);
        Ok(())
    })
    .await?;
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::classify;

    fn verdict(rows: &[String]) -> Submission {
        let mut evidence = Evidence::new("2026-01-02T12:00:00Z".parse().unwrap());
        for row in rows {
            evidence.take(&Row::read(row.as_bytes()).unwrap());
        }
        evidence.verdict(classify::trouble(TroubleKind::Rejected, "no".to_owned()))
    }

    fn row(start: &str, end: &str, status: &str) -> String {
        format!(r#"{{"requestId":"1","refreshType":"Scheduled","startTime":"{start}","endTime":"{end}","status":"{status}"}}"#)
    }

    #[test]
    fn the_list_says_what_an_unreadable_refusal_was_about() {
        let ended = row("2026-01-02T11:00:00Z", "2026-01-02T11:10:00Z", "Completed");
        let old = row("2026-01-01T11:00:00Z", "2026-01-01T11:10:00Z", "Failed");
        let runs = row("2026-01-02T11:00:00Z", "", "Unknown");
        let just_ended = row("2026-01-02T11:00:00Z", "2026-01-02T12:00:01Z", "Completed");
        let busy = Submission::Busy { message: "no".to_owned() };
        let kind = |submission: Submission| match submission {
            Submission::Refused(trouble) => trouble.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(verdict(&[])), TroubleKind::Rejected);
        assert_eq!(kind(verdict(&vec![old.clone(); 50])), TroubleKind::Rejected);
        assert_eq!(kind(verdict(&vec![ended.clone(); 7])), TroubleKind::Rejected);
        assert_eq!(kind(verdict(&vec![ended.clone(); 8])), TroubleKind::QuotaExceeded);
        assert_eq!(verdict(&[ended.clone(), runs.clone()]), busy);
        assert_eq!(verdict(&[old, just_ended]), busy);
        let many = [vec![ended; 20], vec![runs]].concat();
        assert_eq!(verdict(&many), busy);
    }
}
