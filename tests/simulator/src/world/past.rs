//! The ended operations of past days that a list shows besides the real ones; they stay the same for a day.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// A past operation. It succeeded.
pub struct Past {
    /// Its id.
    pub id: Uuid,
    /// The time of its start.
    pub start: Timestamp,
    /// The time of its end.
    pub end: Timestamp,
}

/// This many past operations over the last 28 days, newest first.
pub fn past(count: u32, now: Timestamp) -> impl Iterator<Item = Past> {
    let day = 24 * 3_600;
    let today = Timestamp::from_second(now.as_second() / day * day).unwrap_or(now);
    let apart = 28 * day * 1_000 / i64::from(count.max(1));
    (1..=count).map(move |index| {
        let start = today.saturating_sub(SignedDuration::from_millis(apart * i64::from(index))).unwrap_or(today);
        let end = start.saturating_add(SignedDuration::from_millis(apart / 2)).unwrap_or(start);
        let seed = u128::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Past { id: uuid::Builder::from_random_bytes(seed.to_be_bytes()).into_uuid(), start, end }
    })
}
