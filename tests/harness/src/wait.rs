//! Waiting with a deadline, for what no watch tells.

use std::time::{Duration, Instant};

/// How long anything may take. Far beyond what it does take, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// Between two looks at what only looking tells.
const PAUSE: Duration = Duration::from_millis(15);

/// Looks until there is something to see, at most for [`DEADLINE`].
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look).await
}

/// Looks until there is something to see, at most for `limit`.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < limit, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
