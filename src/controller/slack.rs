//! When a resource is looked at again: together with others that are due about then.

use std::sync::LazyLock;
use std::time::Duration;

use kube::runtime::controller::Action;
use tokio::time::Instant;

/// How much later than was asked for a look may be. A burst of this length finds its place among the calls to one server within the
/// moment that a call waits for it ([`crate::service`]).
const SLACK: Duration = Duration::from_millis(100);
/// What is nearer than this is somebody's wait, and is not put off.
const NEAR: Duration = Duration::from_secs(1);

/// What the tenths of a second are counted from.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Looks again after `pause`, or up to [`SLACK`] later: one waking serves all that are due in the same tenth of a second. Each alone
/// would find the processor's caches cold, which costs more than the look itself.
pub(super) fn look_again(pause: Duration) -> Action {
    Action::requeue(in_company(pause, BEGAN.elapsed()))
}

/// The pause, drawn out to a whole [`SLACK`] since the beginning.
fn in_company(pause: Duration, since: Duration) -> Duration {
    if pause < NEAR {
        return pause;
    }
    let over = since.saturating_add(pause).as_nanos() % SLACK.as_nanos();
    let missing = if over == 0 { 0 } else { SLACK.as_nanos() - over };
    pause.saturating_add(u64::try_from(missing).map_or(SLACK, Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_in_the_same_tenth_is_looked_at_together() {
        let due = |pause: u64, since: u64| {
            let since = Duration::from_millis(since);
            (in_company(Duration::from_millis(pause), since) + since).as_millis()
        };
        assert_eq!([due(1_000, 1), due(1_000, 50), due(1_060, 40), due(1_000, 100)], [1_100; 4]);
        assert_eq!(due(30_000, 101), 30_200);
    }

    #[test]
    fn nothing_is_looked_at_sooner_or_much_later() {
        for pause in (1_000..2_000).step_by(7).map(Duration::from_millis) {
            for since in (0..300_000).step_by(997).map(Duration::from_micros) {
                let drawn = in_company(pause, since);
                assert!(drawn >= pause && drawn < pause + SLACK, "{pause:?} {since:?} {drawn:?}");
            }
        }
        assert!(in_company(Duration::MAX / 2, Duration::from_secs(1)) >= Duration::MAX / 2);
    }

    #[test]
    fn what_is_near_is_kept_to() {
        for pause in [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(999)] {
            assert_eq!(in_company(pause, Duration::from_millis(3)), pause);
        }
    }
}
