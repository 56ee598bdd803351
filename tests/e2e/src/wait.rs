//! Polling with a deadline, for conditions without a watch.

use std::time::{Duration, Instant};

/// The maximum duration of any step, far above the usual one even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(15);

/// Polls until `look` returns a value, for at most [`DEADLINE`].
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look).await
}

/// Polls until `look` returns a value, for at most `limit`.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < limit, "timed out after {limit:?} waiting for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
