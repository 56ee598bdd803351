//! The failing requests for the Lease.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The failing requests for the Lease, by what they do.
#[derive(Default)]
pub(super) struct LeaseRequests(BTreeMap<&'static str, FailingRequest>);

struct FailingRequest {
    error: String,
    /// When the first of the consecutive attempts failed.
    since: Instant,
    /// When the last one failed.
    last: Instant,
    /// The duration of the Lease.
    duration: Duration,
}

impl FailingRequest {
    /// Whether it is still sent. A process that no longer needs a request does not repeat it.
    fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= self.duration
    }

    /// Whether it has failed for the whole duration of the Lease.
    fn is_lasting(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.duration
    }
}

/// A problem with the Lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeaseProblem {
    /// What fails and why.
    pub(super) message: String,
    /// Whether it has lasted for the whole duration of the Lease.
    pub(super) lasting: bool,
}

impl LeaseRequests {
    /// Records the response to a request: its error, or `None` after a success.
    pub(super) fn record(&mut self, request: &'static str, error: Option<String>, duration: Duration, now: Instant) {
        let earlier = self.0.remove(request).filter(|earlier| earlier.is_current(now));
        if let Some(error) = error {
            let since = earlier.map_or(now, |earlier| earlier.since);
            self.0.insert(request, FailingRequest { error, since, last: now, duration });
        }
    }

    /// The request that has failed for the longest time.
    pub(super) fn problem(&self, now: Instant) -> Option<LeaseProblem> {
        let current = self.0.iter().filter(|(_, failing)| failing.is_current(now));
        let (request, failing) = current.min_by_key(|(_, failing)| failing.since)?;
        Some(LeaseProblem { message: format!("failed to {request} the Lease: {}", failing.error), lasting: failing.is_lasting(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    #[test]
    fn problem_lasts_from_the_first_consecutive_failure() {
        let (mut requests, start) = (LeaseRequests::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let problem = |lasting| Some(LeaseProblem { message: "failed to read the Lease: 403".to_owned(), lasting });
        assert_eq!(requests.problem(start), None);
        for second in [0, 5, 10] {
            requests.record("read", Some("403".to_owned()), DURATION, at(second));
            requests.record("renew", None, DURATION, at(second));
        }
        assert_eq!((requests.problem(at(14)), requests.problem(at(15))), (problem(false), problem(true)));
        assert_eq!(requests.problem(at(26)), None, "it is not sent any more");
        requests.record("read", Some("403".to_owned()), DURATION, at(26));
        assert_eq!(requests.problem(at(26)), problem(false), "the earlier failures do not count");
        requests.record("read", None, DURATION, at(27));
        assert_eq!(requests.problem(at(27)), None);
    }
}
