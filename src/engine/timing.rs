//! Polling intervals, delays and time windows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::Settings;
use crate::api::Time;

/// The shortest interval at which the operator checks whether a fault in the cluster is fixed, such as a missing Secret.
pub(super) const CLUSTER: Duration = Duration::from_secs(5);
/// The interval at which the operator checks whether an error at the service is fixed, such as a paused server.
pub(super) const SERVICE: Duration = Duration::from_mins(1);
/// How long an accepted cancellation may have no effect before it is sent again.
pub(super) const CANCEL_AGAIN: Duration = Duration::from_secs(30);
/// The delay before a refused or interrupted cancellation is sent again; each further one doubles it.
const CANCEL_RETRY: Duration = Duration::from_secs(2);
/// The shortest time between two writes that record only progress.
pub(super) const PROGRESS: Duration = Duration::from_secs(10);
/// The delay before the second attempt of a run; each further one doubles it.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The longest backoff that a response of a service can request.
pub(super) const LONGEST_ABSENCE: Duration = Duration::from_hours(1);
/// A recorded time that is further in the future than this was edited; a clock that was set back does not explain it.
pub(super) const CLOCK_STEP: Duration = Duration::from_hours(1);
/// The longest delay between two submissions that the service refuses.
pub(super) const LONGEST_REFUSED: Duration = Duration::from_mins(15);
/// The longest delay between two attempts, or between two tries of a call.
const LONGEST: Duration = Duration::from_mins(1);

/// The polling interval after `elapsed` of an operation: a fraction of it, so that its end is known within that fraction of its length.
#[must_use]
pub(super) fn poll(settings: &Settings, elapsed: Duration, seed: (&str, Timestamp)) -> Duration {
    let part = Duration::try_from_secs_f64(elapsed.as_secs_f64() * settings.poll_fraction).unwrap_or(settings.poll_max);
    let pause = part.min(settings.poll_max).max(settings.poll_min);
    // Spreads the polls of operations that started together. Only ever shortens the interval.
    pause.mul_f64(1.0 - 0.15 * spread(seed)).max(settings.poll_min)
}

/// The delay after the `count`th failed call in a row, from a second to a minute.
#[must_use]
pub(super) fn retry(count: u32, seed: (&str, Timestamp)) -> Duration {
    let pause = Duration::from_secs(1).saturating_mul(1 << count.saturating_sub(1).min(6)).min(LONGEST);
    pause.mul_f64(1.0 - 0.25 * spread(seed))
}

/// The delay after the `count`th refused submission in a row: `first`, then twice as long each time, up to [`LONGEST_REFUSED`].
#[must_use]
pub(super) fn refused(first: Duration, count: u32, seed: (&str, Timestamp)) -> Duration {
    let pause = first.saturating_mul(1 << count.saturating_sub(1).min(8)).min(LONGEST_REFUSED);
    pause.mul_f64(1.0 - 0.15 * spread(seed))
}

/// The interval at which the operator checks a resource that is blocked by a fault in the cluster, after it has `waited`: a quarter of
/// that time, from 5 seconds to a minute. Each check may cost a read of a Secret, and many resources may wait.
#[must_use]
pub(super) fn cluster(waited: Duration) -> Duration {
    (waited / 4).clamp(CLUSTER, LONGEST)
}

/// The polling interval of an operation that is being cancelled. It is short, because a user waits for the end.
#[must_use]
pub(super) fn brief(settings: &Settings) -> Duration {
    settings.poll_min.saturating_mul(2).min(settings.poll_max)
}

/// The delay after the service was busy, with `waited` spent waiting: the list may not show the blocking operation yet, and each
/// further try costs two writes.
#[must_use]
pub(super) fn busy(settings: &Settings, waited: Duration) -> Duration {
    (waited / 2).min(settings.poll_max).max(settings.poll_min)
}

/// The delay before a cancellation is sent again after `refusals` in a row.
#[must_use]
pub(super) fn cancel_again(refusals: u32) -> Duration {
    CANCEL_RETRY.saturating_mul(1 << refusals.saturating_sub(1).min(6)).min(CANCEL_AGAIN)
}

/// The delay before attempt `attempt` of a run.
#[must_use]
pub(super) fn attempt(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2).clamp(0, 6)).unwrap_or(0);
    ATTEMPT.saturating_mul(1 << doublings).min(LONGEST)
}

/// How long after its intent a submission may still become visible: the call may last until its deadline, and then the
/// list may be late. The intent is recorded in whole seconds, so a second more.
#[must_use]
pub(super) fn seen_after(settings: &Settings) -> Duration {
    settings.call_timeout + settings.listing_lag + Duration::from_secs(1)
}

/// How inaccurate the window in which a submission arrives can be: by the clocks of two operators, and by whole seconds.
const ARRIVAL_SLACK: Duration = Duration::from_secs(10);

/// How long after its intent a submission can no longer arrive. A later intent has its own window.
#[must_use]
pub(super) fn arrived_after(settings: &Settings) -> Duration {
    settings.call_timeout + ARRIVAL_SLACK
}

/// Whether the submission of an intent can no longer arrive.
#[must_use]
pub(super) fn has_arrived(intent: Timestamp, now: Timestamp, settings: &Settings) -> bool {
    between(intent, now) >= arrived_after(settings)
}

/// From 0 to 1, different for each resource and second, but not random: a decision is deterministic.
fn spread((uid, now): (&str, Timestamp)) -> f64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    now.as_second().hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// How long until a recorded moment that is at most [`LONGEST`] ahead. `None` if it is further ahead, because then the clock
/// was set back.
#[must_use]
pub(super) fn until(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(between(now, moment)).filter(|pause| !pause.is_zero() && *pause <= LONGEST)
}

/// Whether `pause` has passed since `at`. Also true if the clock was set back, because then it is unknown.
#[must_use]
pub(super) fn passed(at: Timestamp, pause: Duration, now: Timestamp) -> bool {
    now < at || between(at, now) >= pause
}

/// The moment `pause` after a recorded time. A recorded time has whole seconds, so it may be almost a second later than it shows.
/// `None` if the moment is beyond the calendar.
#[must_use]
pub(super) fn after(recorded: Time, pause: Duration) -> Option<Timestamp> {
    recorded.timestamp().checked_add(pause + Duration::from_secs(1)).ok()
}

/// The delay until the next decision, at most `pause`.
#[must_use]
pub(super) fn at_latest(look_again: Option<Duration>, pause: Duration) -> Duration {
    look_again.map_or(pause, |sooner| sooner.min(pause))
}

/// The backoff that the service requested, as far as the operator honors it.
#[must_use]
pub(super) fn asked(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(LONGEST_ABSENCE)
}

/// The time from `earlier` to `later`; zero if they are the other way round.
#[must_use]
pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
