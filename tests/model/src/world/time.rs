//! Moments of the true time, and durations.

use jiff::{SignedDuration, Timestamp};

/// A moment of the true time, in seconds since the start.
pub type Second = i64;

/// How long a Lease is valid, in seconds. As in `controller::lease`.
pub const LEASE_DURATION: Second = 15;
/// How long the holder of a Lease acts on it, in seconds: four fifths.
pub const LEASE_HOLD: Second = 12;
/// How much of it must be left for a submission, in seconds.
pub const SUBMIT_MARGIN: Second = 3;

/// How long a missing reference may still arrive, in seconds.
pub const GRACE: Second = 8;

/// A moment as a timestamp.
#[must_use]
pub fn moment(second: Second) -> Timestamp {
    // 2026-01-01T12:00:00Z
    let beginning = Timestamp::constant(1_767_268_800, 0);
    beginning.checked_add(SignedDuration::from_secs(second)).unwrap_or(beginning)
}

/// A timestamp as a moment.
#[must_use]
pub fn second(moment_of: Timestamp) -> Second {
    moment_of.duration_since(moment(0)).as_secs()
}
