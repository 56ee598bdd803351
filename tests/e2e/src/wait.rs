//! Polling with a deadline, for conditions without a watch; panics as results.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

/// The maximum duration of any step, far above the usual one even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(15);

/// Polls until `check` returns a value, for at most [`DEADLINE`].
pub async fn eventually<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, check).await
}

/// Polls until `check` returns a value, for at most `limit`.
pub async fn within<T>(limit: Duration, what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = check().await {
            return seen;
        }
        assert!(began.elapsed() < limit, "timed out after {limit:?} waiting for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The result of `step`.
///
/// # Errors
///
/// Returns the first line of its panic, which the panic hook has printed completely.
pub async fn caught<T>(step: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(step).catch_unwind().await.map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        message.as_deref().unwrap_or("it panicked").lines().next().unwrap_or_default().to_owned()
    })
}
