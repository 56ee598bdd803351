//! When to look again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::Settings;
use crate::api::Time;

/// What a cure in the cluster is looked for at, such as a Secret that is missing.
pub(super) const CLUSTER: Duration = Duration::from_secs(5);
/// What a cure at the service is looked for at, such as a server that is paused.
pub(super) const SERVICE: Duration = Duration::from_mins(1);
/// How long a cancellation that was answered may show no effect before it is sent again.
pub(super) const CANCEL_AGAIN: Duration = Duration::from_secs(30);
/// The pause before a cancellation is sent again that was refused or interrupted; each further one doubles it.
const CANCEL_RETRY: Duration = Duration::from_secs(2);
/// The shortest time between two writes of nothing but progress.
pub(super) const PROGRESS: Duration = Duration::from_secs(10);
/// The pause before the second attempt of a run; each further one doubles it.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The longest that a service may send us away for at once.
pub(super) const LONGEST_ABSENCE: Duration = Duration::from_hours(1);
/// A time on record that lies ahead by more than this is no clock that was set back.
pub(super) const CLOCK_STEP: Duration = Duration::from_hours(1);
/// The longest pause between two submissions that the service refuses.
pub(super) const LONGEST_REFUSED: Duration = Duration::from_mins(15);
/// The longest pause between two attempts, or between two tries of a call.
const LONGEST: Duration = Duration::from_mins(1);

/// The pause after `elapsed` of an operation: a part of it, so that its end is known within that part of its length.
#[must_use]
pub(super) fn poll(settings: &Settings, elapsed: Duration, seed: (&str, Timestamp)) -> Duration {
    let part = Duration::try_from_secs_f64(elapsed.as_secs_f64() * settings.poll_fraction).unwrap_or(settings.poll_max);
    let pause = part.min(settings.poll_max).max(settings.poll_min);
    // Many operations that began together must not be looked at together for ever. Never beyond the pause itself.
    pause.mul_f64(1.0 - 0.15 * spread(seed)).max(settings.poll_min)
}

/// The pause after the `count`th call in a row that brought nothing, from a second to a minute.
#[must_use]
pub(super) fn retry(count: u32, seed: (&str, Timestamp)) -> Duration {
    let pause = Duration::from_secs(1).saturating_mul(1 << count.saturating_sub(1).min(6)).min(LONGEST);
    pause.mul_f64(1.0 - 0.25 * spread(seed))
}

/// The pause after the `count`th refused submission in a row: `first`, then twice as long each time, up to [`LONGEST_REFUSED`].
#[must_use]
pub(super) fn refused(first: Duration, count: u32, seed: (&str, Timestamp)) -> Duration {
    let pause = first.saturating_mul(1 << count.saturating_sub(1).min(8)).min(LONGEST_REFUSED);
    pause.mul_f64(1.0 - 0.15 * spread(seed))
}

/// The pause before a resource is looked at again that goes on only when somebody acts in the cluster, `waited` for so long: a part of
/// that, from a few seconds to a minute. Each look costs a read of a Secret, say, and many resources may wait.
#[must_use]
pub(super) fn cluster(waited: Duration) -> Duration {
    (waited / 4).clamp(CLUSTER, LONGEST)
}

/// The pause between two looks at an operation that is being cancelled: somebody is waiting for it.
#[must_use]
pub(super) fn brief(settings: &Settings) -> Duration {
    settings.poll_min.saturating_mul(2).min(settings.poll_max)
}

/// The pause after the service was busy, with `waited` spent waiting: whoever is ahead may not be visible in the listing yet,
/// and each further try costs two writes.
#[must_use]
pub(super) fn busy(settings: &Settings, waited: Duration) -> Duration {
    (waited / 2).min(settings.poll_max).max(settings.poll_min)
}

/// The pause before a cancellation is sent again after `refusals` in a row.
#[must_use]
pub(super) fn cancel_again(refusals: u32) -> Duration {
    CANCEL_RETRY.saturating_mul(1 << refusals.saturating_sub(1).min(6)).min(CANCEL_AGAIN)
}

/// The pause before attempt `attempt` of a run.
#[must_use]
pub(super) fn attempt(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2).clamp(0, 6)).unwrap_or(0);
    ATTEMPT.saturating_mul(1 << doublings).min(LONGEST)
}

/// How long after its intent a submission may still come to be seen: the call may be under way until its deadline, and then the
/// listing may be late. The intent is recorded in whole seconds, so a second more.
#[must_use]
pub(super) fn seen_after(settings: &Settings) -> Duration {
    settings.call_timeout + settings.listing_lag + Duration::from_secs(1)
}

/// How far the window in which a submission arrives can be off by the clocks that it is told by: those of two operators, and whole seconds.
const ARRIVAL_SLACK: Duration = Duration::from_secs(10);

/// How long after its intent a submission can no longer arrive. An intent that is recorded later has a window of its own.
#[must_use]
pub(super) fn arrived_after(settings: &Settings) -> Duration {
    settings.call_timeout + ARRIVAL_SLACK
}

/// Whether the submission of an intent can no longer arrive.
#[must_use]
pub(super) fn has_arrived(intent: Timestamp, now: Timestamp, settings: &Settings) -> bool {
    between(intent, now) >= arrived_after(settings)
}

/// From 0 to 1, different for each resource and moment, and the same when asked again: the decision has no dice.
fn spread((uid, now): (&str, Timestamp)) -> f64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    now.as_second().hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// How long until a moment on record that lies at most [`LONGEST`] ahead; nothing where it is further, since then the clock
/// was set back.
#[must_use]
pub(super) fn until(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(between(now, moment)).filter(|pause| !pause.is_zero() && *pause <= LONGEST)
}

/// Whether `pause` has passed since `at`, or the clock was set back so that nobody can tell.
#[must_use]
pub(super) fn passed(at: Timestamp, pause: Duration, now: Timestamp) -> bool {
    now < at || between(at, now) >= pause
}

/// When a time on record is so long ago, by the clock that set it: a time on record has whole seconds, and may be almost a second later
/// than it shows. `None` where that is beyond the calendar.
#[must_use]
pub(super) fn after(recorded: Time, pause: Duration) -> Option<Timestamp> {
    recorded.timestamp().checked_add(pause + Duration::from_secs(1)).ok()
}

/// The next look, which comes after `pause` at the latest.
#[must_use]
pub(super) fn at_latest(look_again: Option<Duration>, pause: Duration) -> Duration {
    look_again.map_or(pause, |sooner| sooner.min(pause))
}

/// How long the service asked us to stay away, as far as it is heeded.
#[must_use]
pub(super) fn asked(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(LONGEST_ABSENCE)
}

/// The time from `earlier` to `later`; nothing where it is the other way round.
#[must_use]
pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
