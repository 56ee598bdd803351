//! How long a run usually takes and about how long it still takes, from the history. An estimate is for display only: the operator decides
//! nothing by it, and it is not in the status.

use super::{RunState, Status};

/// The fewest successful runs that an estimate needs.
const MIN_RUNS: usize = 3;
/// The most successful runs that an estimate uses.
const MAX_RUNS: usize = 20;

/// The durations of the latest successful runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In seconds, the shortest first.
    durations: Vec<i64>,
    scope: Scope,
}

/// Which runs an estimate is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Runs with the same model and refresh parameters.
    Same,
    /// Runs of any model and any parameters, because there are too few with the same.
    Any,
}

/// How long a run still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// About this many seconds.
    About(i64),
    /// The run takes longer than each earlier run.
    LongerThanAll,
}

impl Estimate {
    /// The estimate for runs with this `requestDigest`; `None` if fewer than 3 runs have succeeded.
    #[must_use]
    pub fn of(status: &Status, request_digest: &str) -> Option<Self> {
        let successes = status.history.iter().filter(|entry| entry.state == RunState::Succeeded && entry.duration_seconds.is_some());
        let durations = |only_same: bool| {
            let successes = successes.clone().filter(|entry| !only_same || entry.request_digest == request_digest);
            let mut durations: Vec<i64> = successes.filter_map(|entry| entry.duration_seconds).map(|it| it.max(0)).take(MAX_RUNS).collect();
            durations.sort_unstable();
            Some(durations).filter(|durations| durations.len() >= MIN_RUNS)
        };
        let same = durations(true).map(|durations| Self { durations, scope: Scope::Same });
        same.or_else(|| durations(false).map(|durations| Self { durations, scope: Scope::Any }))
    }

    /// The usual duration in seconds: the median.
    #[must_use]
    pub fn usual(&self) -> i64 {
        median(&self.durations)
    }

    /// The shortest and the longest duration, in seconds.
    #[must_use]
    pub fn range(&self) -> (i64, i64) {
        (self.durations.first().copied().unwrap_or(0), self.durations.last().copied().unwrap_or(0))
    }

    /// The number of runs that the estimate is from, 3 to 20.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.durations.len()
    }

    /// Which runs the estimate is from.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How long a run still takes after `elapsed` seconds: by the earlier runs that took longer than that.
    #[must_use]
    pub fn remaining(&self, elapsed: i64) -> Remaining {
        let longer = self.durations.partition_point(|duration| *duration <= elapsed);
        match self.durations.get(longer..) {
            None | Some([]) => Remaining::LongerThanAll,
            Some(longer) => Remaining::About(median(longer).saturating_sub(elapsed)),
        }
    }

    /// How many of the runs were shorter than `elapsed` seconds, if those are more than half.
    #[must_use]
    pub fn slower_than(&self, elapsed: i64) -> Option<usize> {
        let shorter = self.durations.partition_point(|duration| *duration < elapsed);
        Some(shorter).filter(|shorter| shorter.saturating_mul(2) > self.runs())
    }
}

/// After how many seconds a turn comes: the sum of what the runs ahead still take. `None` if one of them has no estimate.
#[must_use]
pub fn until_turn(ahead: impl IntoIterator<Item = Option<Remaining>>) -> Option<i64> {
    ahead.into_iter().try_fold(0_i64, |sum, remaining| match remaining? {
        Remaining::About(seconds) => Some(sum.saturating_add(seconds)),
        Remaining::LongerThanAll => None,
    })
}

/// The median of sorted numbers; 0 of none.
fn median(sorted: &[i64]) -> i64 {
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    lower.saturating_add((upper.saturating_sub(lower)) / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A status with these ended runs, the newest first: state, digest and duration.
    fn status(runs: &[(&str, &str, Option<i64>)]) -> Status {
        let entry = |(state, digest, seconds): &(&str, &str, Option<i64>)| json!({"number": 1, "trigger": {"type": "Creation"}, "attempts": 1, "state": state, "requestDigest": digest, "durationSeconds": seconds});
        serde_json::from_value(json!({"history": runs.iter().map(entry).collect::<Vec<_>>()})).unwrap()
    }

    fn same(durations: &[i64]) -> Estimate {
        let runs: Vec<_> = durations.iter().map(|seconds| ("Succeeded", "d", Some(*seconds))).collect();
        Estimate::of(&status(&runs), "d").unwrap()
    }

    #[test]
    fn estimate_uses_successes_of_the_same_work_first() {
        let (ok, failed) = ("Succeeded", "Failed");
        let runs =
            [(ok, "a", Some(10)), (failed, "a", Some(1)), (ok, "b", Some(90)), (ok, "a", Some(30)), (ok, "a", None), (ok, "a", Some(20))];
        let estimate = Estimate::of(&status(&runs), "a").unwrap();
        assert_eq!((estimate.usual(), estimate.range(), estimate.runs(), estimate.scope()), (20, (10, 30), 3, Scope::Same));
        // Only one of this work, so those of all work.
        let estimate = Estimate::of(&status(&runs), "b").unwrap();
        assert_eq!((estimate.usual(), estimate.range(), estimate.runs(), estimate.scope()), (25, (10, 90), 4, Scope::Any));
        assert_eq!(Estimate::of(&status(&runs[..3]), "a"), None);
        assert_eq!(Estimate::of(&Status::default(), "a"), None);
    }

    #[test]
    fn remaining_is_by_the_runs_that_took_longer() {
        let estimate = same(&[600, 700, 720, 730, 840]);
        let rows = [
            (0, Remaining::About(720)),
            (552, Remaining::About(168)),
            (600, Remaining::About(125)),
            (725, Remaining::About(60)),
            (839, Remaining::About(1)),
            (840, Remaining::LongerThanAll),
            (9_999, Remaining::LongerThanAll),
        ];
        for (elapsed, expected) in rows {
            assert_eq!(estimate.remaining(elapsed), expected, "{elapsed}");
        }
    }

    #[test]
    fn slower_run_is_counted_above_half() {
        let estimate = same(&[10, 20, 30, 40]);
        let counts: Vec<_> = [20, 21, 31, 41].into_iter().map(|elapsed| estimate.slower_than(elapsed)).collect();
        assert_eq!(counts, [None, None, Some(3), Some(4)]);
    }

    #[test]
    fn turn_is_estimated_only_if_each_run_ahead_is() {
        assert_eq!(until_turn([]), Some(0));
        assert_eq!(until_turn([Some(Remaining::About(60)), Some(Remaining::About(5))]), Some(65));
        assert_eq!(until_turn([Some(Remaining::About(60)), None]), None);
        assert_eq!(until_turn([Some(Remaining::LongerThanAll)]), None);
    }

    proptest! {
        #[test]
        fn estimates_stay_within_the_observed_range(durations in proptest::collection::vec(0..1_000_000_i64, 3..30), elapsed in 0..1_000_000_i64) {
            let estimate = same(&durations);
            let (shortest, longest) = estimate.range();
            prop_assert!(estimate.runs() <= MAX_RUNS && (shortest..=longest).contains(&estimate.usual()));
            match estimate.remaining(elapsed) {
                Remaining::About(left) => prop_assert!(left > 0 && elapsed + left <= longest),
                Remaining::LongerThanAll => prop_assert!(elapsed >= longest),
            }
        }
    }
}
