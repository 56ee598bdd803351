//! How long runs take.

use jiff::Timestamp;
use tabular_operator::api::estimate::{Estimate, Remaining, Scope};
use tabular_operator::api::{HistoryEntry, Run, RunState, Time};

use crate::objects::Object;
use crate::output::{about, count};

/// How long the operation of a run has been running, in seconds; `None` unless one is running.
#[must_use]
pub fn running_seconds(run: &Run, now: Timestamp) -> Option<i64> {
    let since = match run.state {
        RunState::Running | RunState::Cancelling => run.started_time.or(run.submitted_time)?,
        RunState::Submitting => run.submitted_time?,
        RunState::Waiting
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled
        | RunState::Unrecognized(_) => return None,
    };
    Some(now.duration_since(since.timestamp()).as_secs().max(0))
}

/// The durations of the ended runs, the oldest first; `None` for a run that did not succeed.
#[must_use]
pub fn success_durations(history: &[HistoryEntry]) -> Vec<Option<i64>> {
    let outcome = |entry: &HistoryEntry| entry.duration_seconds.filter(|_| entry.state == RunState::Succeeded);
    history.iter().rev().map(outcome).collect()
}

/// From the request of a run to the start of its operation, in seconds.
#[must_use]
pub fn waited(requested: Option<Time>, started: Option<Time>) -> Option<i64> {
    // The clock of the service may be behind.
    Some(started?.seconds_since(requested?).max(0))
}

/// How long the runs of a resource take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typical {
    /// The estimate.
    pub estimate: Estimate,
    /// For how many seconds the run in progress has been running; `None` if none is.
    pub elapsed: Option<i64>,
}

/// How long the runs of a resource take; `None` without enough successful runs.
#[must_use]
pub fn typical(object: &Object, now: Timestamp) -> Option<Typical> {
    let (status, run) = (object.status(), object.run());
    let digest = run.map(|run| run.request_digest.as_str()).or(status.last_handled_digest.as_deref()).unwrap_or_default();
    let running = run.filter(|run| matches!(run.state, RunState::Running | RunState::Cancelling));
    Some(Typical { estimate: Estimate::of(status, digest)?, elapsed: running.and_then(|run| running_seconds(run, now)) })
}

impl Typical {
    /// What the run in progress still takes.
    #[must_use]
    pub fn remaining(&self) -> Option<Remaining> {
        Some(self.estimate.remaining(self.elapsed?))
    }

    /// How many seconds are left; `None` if no run is in progress, or if it takes longer than each of the earlier ones.
    #[must_use]
    pub fn left(&self) -> Option<i64> {
        match self.remaining()? {
            Remaining::About(seconds) => Some(seconds),
            Remaining::LongerThanAll => None,
        }
    }

    /// `usually 12m (10 runs: 10m to 14m)`, and for a run in progress how it compares: `, about 3m left`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (estimate, (shortest, longest)) = (&self.estimate, self.estimate.range());
        let runs = estimate.runs();
        let scope = match estimate.scope() {
            Scope::Same => "",
            Scope::Any => " with any parameters",
        };
        let usual =
            format!("usually {} ({}{scope}: {} to {})", about(estimate.usual()), count(runs, "run"), about(shortest), about(longest));
        let Some(elapsed) = self.elapsed else { return usual };
        let slower = estimate.slower_than(elapsed).map(|slower| format!(", slower than {slower} of its last {runs}")).unwrap_or_default();
        match estimate.remaining(elapsed) {
            Remaining::About(left) => format!("{usual}{slower}, about {} left", about(left)),
            Remaining::LongerThanAll => format!("longer than each of its last {runs} runs{scope} (longest {})", about(longest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{at, ended, refresh, run};

    fn sentence(started: &str, digest: &str) -> String {
        let history: Vec<_> = [600, 720, 840].map(|seconds| ended(1, "2026-11-28T21:12:00Z", "Succeeded", seconds, "")).to_vec();
        let run = run("M", json!({"state": "Running", "requestDigest": digest, "startedTime": started}));
        typical(&refresh("m", "M", json!({}), json!({"run": run, "history": history})), at("2026-11-29T21:00:00Z")).unwrap().sentence()
    }

    #[test]
    fn run_in_progress_is_compared_with_earlier_runs() {
        assert_eq!(sentence("2026-11-29T20:55:00Z", "d"), "usually 12m (3 runs: 10m to 14m), about 7m left");
        assert_eq!(sentence("2026-11-29T20:47:00Z", "d"), "usually 12m (3 runs: 10m to 14m), slower than 2 of its last 3, about 1m left");
        assert_eq!(sentence("2026-11-29T20:40:00Z", "other"), "longer than each of its last 3 runs with any parameters (longest 14m)");
    }
}
