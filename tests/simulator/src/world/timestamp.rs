//! Timestamp formats of the services.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};

/// The format of timestamps in bodies. Captures of Analysis Services show seven digits and `Z`; Power BI and the sync routes were
/// observed without `Z` and with fewer digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TimestampStyle {
    /// Fractional digits, 0 to 7. Default 7.
    pub digits: u8,
    /// Whether a `Z` follows. Default true.
    pub zone: bool,
    /// Whether trailing zeros of the fraction are omitted, as by .NET serializers. Default false.
    pub trim_zeros: bool,
}

impl Default for TimestampStyle {
    fn default() -> Self {
        Self { digits: 7, zone: true, trim_zeros: false }
    }
}

impl TimestampStyle {
    /// The time in this format.
    #[must_use]
    pub fn format(self, time: Timestamp) -> String {
        let civil = Offset::UTC.to_datetime(time);
        let mut text = String::with_capacity(28);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        );
        let digits = usize::from(self.digits.min(7));
        if digits > 0 {
            let _ = write!(text, ".{:07}", civil.subsec_nanosecond() / 100);
            text.truncate(text.len() - (7 - digits));
            if self.trim_zeros {
                let kept = text.trim_end_matches('0').trim_end_matches('.').len();
                text.truncate(kept);
            }
        }
        if self.zone {
            text.push('Z');
        }
        text
    }
}

/// The value of `x-ms-current-utc-date`, in the captured form of the shared front end: `11/17/2025 8:25:35 AM`.
#[must_use]
pub fn current_utc_date(time: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(time);
    let (hour, half) = match civil.hour() {
        0 => (12, "AM"),
        hour @ 1..=11 => (hour, "AM"),
        12 => (12, "PM"),
        hour => (hour - 12, "PM"),
    };
    format!("{}/{}/{} {hour}:{:02}:{:02} {half}", civil.month(), civil.day(), civil.year(), civil.minute(), civil.second())
}

/// The value of `Date`, RFC 9110's IMF-fixdate.
#[must_use]
pub fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: fn(u8, bool, bool) -> TimestampStyle = |digits, zone, trim_zeros| TimestampStyle { digits, zone, trim_zeros };

    #[test]
    fn timestamps_have_every_format() {
        let time: Timestamp = "2020-12-15T21:58:20.271220099Z".parse().unwrap();
        assert_eq!(TimestampStyle::default().format(time), "2020-12-15T21:58:20.2712200Z");
        assert_eq!(STYLE(7, true, true).format(time), "2020-12-15T21:58:20.27122Z");
        assert_eq!(STYLE(3, false, false).format(time), "2020-12-15T21:58:20.271");
        assert_eq!(STYLE(0, false, false).format(time), "2020-12-15T21:58:20");
        let whole: Timestamp = "2020-12-15T21:58:20Z".parse().unwrap();
        assert_eq!(STYLE(7, true, true).format(whole), "2020-12-15T21:58:20Z");
    }

    #[test]
    fn header_dates_have_their_format() {
        let time: Timestamp = "2025-11-17T00:05:09Z".parse().unwrap();
        assert_eq!(current_utc_date(time), "11/17/2025 12:05:09 AM");
        assert_eq!(http_date(time), "Mon, 17 Nov 2025 00:05:09 GMT");
    }
}
