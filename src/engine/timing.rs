//! Polling intervals, delays and time windows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::Settings;
use crate::api::Time;

/// The shortest interval at which the operator checks whether a fault in the cluster is fixed, such as a missing Secret.
pub(super) const CLUSTER_RECHECK: Duration = Duration::from_secs(5);
/// The interval at which the operator checks whether an error at the service is fixed, such as a paused server.
pub(super) const SERVICE_RECHECK: Duration = Duration::from_mins(1);
/// The shortest time between two checks of a resource.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The maximum duration of a check. The work of its resource waits for it.
const MAX_CHECK: Duration = Duration::from_secs(10);
/// How long the first accepted cancellation may have no effect before it is sent again; each further one doubles it.
pub(super) const CANCEL_RESEND: Duration = Duration::from_secs(30);
/// The number of cancellations from which on their delays no longer grow.
pub(super) const MOST_CANCELS: u32 = 6;
/// The delay before a refused or interrupted cancellation is sent again; each further one doubles it.
const CANCEL_DELAY: Duration = Duration::from_secs(2);
/// The shortest time between two writes that record only progress.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// The delay before the second attempt of a run; each further one doubles it.
const ATTEMPT_DELAY: Duration = Duration::from_secs(5);
/// The longest backoff that a response of a service can request.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// How much the clocks of two machines may differ, such as those of the operator and of the service, if no response shows it.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_mins(5);
/// A recorded time that is further in the future than this was edited; a clock that was set back does not explain it.
pub(super) const CLOCK_STEP: Duration = Duration::from_hours(1);
/// A longer sleep is split, because the clock may be set meanwhile.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_hours(1);
/// The longest delay between two submissions that the service refuses.
pub(super) const MAX_REFUSAL_DELAY: Duration = Duration::from_mins(15);
/// The longest delay between two attempts, or between two tries of a call.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// The polling interval after `elapsed` of an operation: a fraction of it, so that its end is known within that fraction of its length.
#[must_use]
pub(super) fn poll_interval(settings: &Settings, elapsed: Duration, seed: (&str, Timestamp)) -> Duration {
    let part = Duration::try_from_secs_f64(elapsed.as_secs_f64() * settings.poll_fraction).unwrap_or(settings.poll_max);
    let delay = part.min(settings.poll_max).max(settings.poll_min);
    // Spreads the polls of operations that started together. Only ever shortens the interval.
    delay.mul_f64(1.0 - 0.15 * jitter(seed)).max(settings.poll_min)
}

/// The delay after the `count`th failed call in a row, from a second to a minute.
#[must_use]
pub(super) fn retry_delay(count: u32, seed: (&str, Timestamp)) -> Duration {
    let delay = Duration::from_secs(1).saturating_mul(1 << count.saturating_sub(1).min(6)).min(MAX_DELAY);
    delay.mul_f64(1.0 - 0.25 * jitter(seed))
}

/// The delay after the `count`th refused submission in a row: `first`, then twice as long each time, up to [`MAX_REFUSAL_DELAY`].
#[must_use]
pub(super) fn refusal_delay(first: Duration, count: u32, seed: (&str, Timestamp)) -> Duration {
    let delay = first.saturating_mul(1 << count.saturating_sub(1).min(8)).min(MAX_REFUSAL_DELAY);
    delay.mul_f64(1.0 - 0.15 * jitter(seed))
}

/// The interval at which the operator checks a resource that is blocked by a fault in the cluster, after it has `waited`: a quarter of
/// that time, from 5 seconds to a minute. Each check may cost a read of a Secret, and many resources may wait.
#[must_use]
pub(super) fn cluster_recheck(waited: Duration) -> Duration {
    (waited / 4).clamp(CLUSTER_RECHECK, MAX_DELAY)
}

/// The polling interval of an operation that is being cancelled, after `cancels` were sent. At first it is short, because a user waits for
/// the end.
#[must_use]
pub(super) fn cancel_poll_interval(settings: &Settings, cancels: u32) -> Duration {
    settings.poll_min.saturating_mul(2 << cancels.saturating_sub(1)).min(settings.poll_max)
}

/// How long the `cancels`th accepted cancellation, at most the [`MOST_CANCELS`]th, may have no effect before it is sent again: from 30
/// seconds to 16 minutes.
#[must_use]
pub(super) fn cancel_resend(cancels: u32) -> Duration {
    CANCEL_RESEND.saturating_mul(1 << cancels.saturating_sub(1))
}

/// The delay after the service was busy, with `waited` spent waiting: the list may not show the blocking operation yet, and each
/// further try costs two writes.
#[must_use]
pub(super) fn busy_delay(settings: &Settings, waited: Duration) -> Duration {
    (waited / 2).min(settings.poll_max).max(settings.poll_min)
}

/// The delay before a cancellation is sent again after `refusals` in a row.
#[must_use]
pub(super) fn cancel_delay(refusals: u32) -> Duration {
    CANCEL_DELAY.saturating_mul(1 << refusals.saturating_sub(1).min(6)).min(CANCEL_RESEND)
}

/// The delay before attempt `attempt` of a run.
#[must_use]
pub(super) fn attempt_delay(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2).clamp(0, 6)).unwrap_or(0);
    ATTEMPT_DELAY.saturating_mul(1 << doublings).min(MAX_DELAY)
}

/// How long after its intent a submission may still become visible: the call may last until its deadline, and then the
/// list may be late. The intent is recorded in whole seconds, so a second more.
#[must_use]
pub(super) fn visibility_timeout(settings: &Settings) -> Duration {
    settings.call_timeout + settings.listing_lag + Duration::from_secs(1)
}

/// How inaccurate the window in which a submission arrives can be: by the clocks of two operators, and by whole seconds.
const ARRIVAL_SLACK: Duration = Duration::from_secs(10);

/// How long after its intent a submission can no longer arrive. A later intent has its own window.
#[must_use]
pub(super) fn arrival_timeout(settings: &Settings) -> Duration {
    settings.call_timeout + ARRIVAL_SLACK
}

/// Whether the submission of an intent can no longer arrive.
#[must_use]
pub(super) fn is_arrival_over(intent: Timestamp, now: Timestamp, settings: &Settings) -> bool {
    elapsed(intent, now) >= arrival_timeout(settings)
}

/// From 0 to 1, different for each resource and second, but not random: a decision is deterministic.
fn jitter((uid, now): (&str, Timestamp)) -> f64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    now.as_second().hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// How long until a recorded time that is at most [`MAX_DELAY`] ahead. `None` if it is further ahead, because then the clock
/// was set back.
#[must_use]
pub(super) fn time_until(at: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(remaining(at, now)).filter(|delay| !delay.is_zero() && *delay <= MAX_DELAY)
}

/// Whether `delay` has passed since `at`. Also true if the clock was set back, because then it is unknown.
#[must_use]
pub(super) fn has_elapsed(at: Timestamp, delay: Duration, now: Timestamp) -> bool {
    now < at || elapsed(at, now) >= delay
}

/// The time `delay` after a recorded time. A recorded time has whole seconds, so it may be almost a second later than it shows.
/// `None` if that time is beyond the calendar.
#[must_use]
pub(super) fn timestamp_after(recorded: Time, delay: Duration) -> Option<Timestamp> {
    recorded.timestamp().checked_add(delay + Duration::from_secs(1)).ok()
}

/// The delay until the next decision, at most `delay`.
#[must_use]
pub(super) fn at_latest(requeue_after: Option<Duration>, delay: Duration) -> Duration {
    requeue_after.map_or(delay, |sooner| sooner.min(delay))
}

/// The backoff that the service requested, as far as the operator honors it.
#[must_use]
pub(super) fn retry_after(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
}

/// The timeout of a check.
pub(super) fn check_timeout(settings: &Settings) -> Duration {
    settings.call_timeout.min(MAX_CHECK)
}

/// How long until a time; zero if it has passed.
#[must_use]
pub(super) fn remaining(until: Timestamp, now: Timestamp) -> Duration {
    elapsed(now, until)
}

/// The time from `earlier` to `later`; zero if they are the other way round.
#[must_use]
pub(super) fn elapsed(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
