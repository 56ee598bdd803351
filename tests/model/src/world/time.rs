//! The true time, and durations.

use jiff::{SignedDuration, Timestamp};

/// The true time, in seconds since the start, or a duration.
pub type Seconds = i64;

/// How long a Lease is valid, in seconds. As in `controller::lease`.
pub const LEASE_DURATION: Seconds = 15;
/// How long the holder of a Lease acts on it, in seconds: four fifths.
pub const LEASE_HOLD: Seconds = 12;
/// How much of it must be left for a submission, in seconds.
pub const SUBMIT_MARGIN: Seconds = 3;

/// How long a missing reference may still arrive, in seconds.
pub const GRACE: Seconds = 8;

/// The timestamp of a true time.
#[must_use]
pub fn timestamp(seconds: Seconds) -> Timestamp {
    // 2026-01-01T12:00:00Z
    let beginning = Timestamp::constant(1_767_268_800, 0);
    beginning.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(beginning)
}

/// The true time of a timestamp.
#[must_use]
pub fn seconds_of(time: Timestamp) -> Seconds {
    time.duration_since(timestamp(0)).as_secs()
}
