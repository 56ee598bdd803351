//! What a screen is rendered for.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time and the terminal for which a screen is rendered. A screen has no other input than this and the resources.
#[derive(Clone, Debug)]
pub struct View {
    /// The current time.
    pub now: Timestamp,
    /// The time zone of the times.
    pub zone: TimeZone,
    /// Whether the times are in UTC by request, which they then show.
    pub utc: bool,
    /// The width of the terminal; `None` if the output is not a terminal, so that nothing is truncated.
    pub width: Option<usize>,
    /// Whether additional columns are requested.
    pub wide: bool,
}

impl View {
    /// Whole seconds since a time; 0 if a clock that is ahead reported it.
    #[must_use]
    pub fn since(&self, time: Timestamp) -> i64 {
        self.now.duration_since(time).as_secs().max(0)
    }
}
