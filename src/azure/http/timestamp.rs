//! The formats of times in the responses of the services.

use std::ops::Range;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// Maximum wait of a `Retry-After`.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// The plausible years for a service that started in 2015. The default values of .NET, databases, Windows and Unix are outside this range:
/// they represent a missing time.
const YEARS: Range<i16> = 2010..9000;

/// Parses a time in ISO 8601, with `Z`, an offset or neither (then UTC), and any number of fractional digits; or in the format of HTTP or
/// of older .NET services.
///
/// Analysis Services documentation, asynchronous refresh: seven digits and `Z`. The responses about syncs there have neither. A time
/// without seconds is rejected, because it would seem to be up to a day early.
pub(in crate::azure) fn parse(text: &str) -> Option<Timestamp> {
    let text = shorten_fraction(text.trim());
    let has_seconds = |text: &str| text.bytes().skip(10).take(9).filter(|byte| *byte == b':').count() == 2;
    let local = || text.parse::<DateTime>().ok().and_then(|time| Offset::UTC.to_timestamp(time).ok());
    let time = text.parse::<Timestamp>().ok().or_else(local).filter(|_| has_seconds(&text));
    let time = time.or_else(|| http_date(&text)).or_else(|| milliseconds(&text))?;
    YEARS.contains(&Offset::UTC.to_datetime(time).year()).then_some(time)
}

/// `/Date(1512787466180)/`, the format of older .NET services in JSON. An offset in it has no effect.
fn milliseconds(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("/Date(")?;
    // The first character may be the sign.
    let (end, _) = rest.char_indices().skip(1).find(|(_, c)| matches!(c, ')' | '+' | '-'))?;
    Timestamp::from_millisecond(rest.get(..end)?.parse().ok()?).ok()
}

/// Truncates to nine fractional digits, the precision of a [`Timestamp`].
fn shorten_fraction(text: &str) -> String {
    let Some((whole, rest)) = text.split_once('.') else {
        return text.to_owned();
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (fraction, zone) = rest.split_at(digits);
    format!("{whole}.{}{zone}", fraction.get(..9).unwrap_or(fraction))
}

/// Parses an HTTP date, `Fri, 01 Jan 2021 00:00:00 GMT`.
pub(in crate::azure) fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim()).ok()
}

/// Parses the clock of the service: `x-ms-current-utc-date`, observed as `11/17/2025 8:25:35 AM`, or in ISO 8601.
pub(in crate::azure) fn service_clock(text: &str) -> Option<Timestamp> {
    let american = || {
        let time = DateTime::strptime("%m/%d/%Y %I:%M:%S %p", text.trim()).ok()?;
        Offset::UTC.to_timestamp(time).ok()
    };
    parse(text).or_else(american).or_else(|| http_date(text))
}

/// The requested wait of a `Retry-After` (seconds, an HTTP date, or a .NET time span such as `00:56:32`), at most 1 hour.
pub(in crate::azure) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that do not fit represent a very long time.
        return Some(text.parse().map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_WAIT));
    }
    if let Some(wait) = time_span(text) {
        return Some(wait.min(MAX_WAIT));
    }
    let wait = http_date(text)?.duration_since(now).max(SignedDuration::ZERO);
    Some(wait.unsigned_abs().min(MAX_WAIT))
}

/// A time span in the format of .NET: `00:56:32`, with optional fractional digits.
fn time_span(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = whole.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    if ![*hours, *minutes, *seconds, fraction].into_iter().all(are_digits) {
        return None;
    }
    let number = |part: &str, end: u64| part.parse::<u64>().ok().filter(|number| *number < end);
    let (hours, minutes, seconds) = (number(hours, 24)?, number(minutes, 60)?, number(seconds, 60)?);
    Some(Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
}

/// The requested wait in the text of a throttle: `Retry in 3392 seconds.`, `Please wait 56 minutes.`, or
/// `… until: 11/29/2026 5:20:11 AM (UTC)`.
pub(in crate::azure) fn backoff_in(text: &str, now: Timestamp) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let after = |words: &str| lower.split_once(words).map(|(_, rest)| rest.trim_start());
    let span = |rest: &str| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = rest.split_at(digits);
        let seconds = match unit.trim_start() {
            unit if unit.starts_with("sec") => 1,
            unit if unit.starts_with("min") => 60,
            unit if unit.starts_with("hour") => 3600,
            _ => return time_span(rest.split_whitespace().next()?.trim_end_matches(['.', ','])),
        };
        let number: u64 = number.parse().ok()?;
        Some(Duration::from_secs(number.saturating_mul(seconds)))
    };
    let until = |rest: &str| {
        let end = service_clock(&rest.split(['(', ',']).next()?.trim_end_matches(['.', ' ']).to_ascii_uppercase())?;
        Some(end.duration_since(now).max(SignedDuration::ZERO).unsigned_abs())
    };
    let spans = ["retry in ", "try again in ", "retry after ", "try again after ", "please wait ", "wait for "]
        .into_iter()
        .filter_map(after)
        .find_map(span);
    let wait = spans.or_else(|| after(" until: ").or_else(|| after(" until ")).and_then(until))?;
    Some(wait.min(MAX_WAIT)).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_parsed_in_every_format() {
        let rows = [
            ("2020-12-15T21:58:20.2712217Z", "2020-12-15T21:58:20.2712217Z"),
            ("2017-12-09T02:44:26.18", "2017-12-09T02:44:26.18Z"),
            ("2017-12-09T02:44:26", "2017-12-09T02:44:26Z"),
            ("2017-12-09T02:44:26Z", "2017-12-09T02:44:26Z"),
            ("2017-12-09T02:44:26.123456789123Z", "2017-12-09T02:44:26.123456789Z"),
            ("2017-12-09T04:44:26.5+02:00", "2017-12-09T02:44:26.5Z"),
            (" 2017-12-09 02:44:26 ", "2017-12-09T02:44:26Z"),
            ("Sat, 09 Dec 2017 02:44:26 GMT", "2017-12-09T02:44:26Z"),
            ("/Date(1512787466180)/", "2017-12-09T02:44:26.18Z"),
            ("\\/Date(1512787466180+0100)\\/", "2017-12-09T02:44:26.18Z"),
            ("/Date(1512787466180-0700)/", "2017-12-09T02:44:26.18Z"),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), Some(at(expected)), "{text}");
        }
        for text in [
            "/Date()/",
            "/Date(x)/",
            "/Date(-62135596800000)/",
            "/Date(-62135596800000-0700)/",
            "/Date(1512787466180",
            "12/09/2017 2:44:26 AM",
            "1512787466",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["", "yesterday", "0001-01-01T00:00:00", "2017-13-09T02:44:26Z", "2017-12-09T02:44:26.Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn placeholder_time_is_rejected() {
        let rows = [
            "0001-01-01T00:00:00Z",
            "0001-01-01T01:00:00+01:00",
            "1601-01-01T00:00:00Z",
            "1753-01-01T00:00:00",
            "1899-12-30T00:00:00",
            "1900-01-01T00:00:00.000",
            "1970-01-01T00:00:00Z",
            "2000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.9999999",
        ];
        for text in rows {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn time_without_seconds_is_rejected() {
        for text in ["2026-01-01", "2026-01-01T12", "2026-01-01T12:00", "2026-01-01T12:00Z", "20260101", "2026-01-01T12:00+02:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn service_clock_is_parsed() {
        for text in ["11/17/2025 8:25:35 AM", "2025-11-17T08:25:35Z", "Mon, 17 Nov 2025 08:25:35 GMT"] {
            assert_eq!(service_clock(text), Some(at("2025-11-17T08:25:35Z")), "{text}");
        }
        assert_eq!(service_clock("1f0c5c3e-0000-0000-0000-000000000000"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = at("2021-01-01T00:00:00Z");
        let rows = [
            ("30", Some(30)),
            ("0", Some(0)),
            ("1.5", Some(1)),
            ("99999999999999999999999", Some(3600)),
            ("7200", Some(3600)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("NaN", None),
            ("00:56:32", Some(3392)),
            ("0:00:05", Some(5)),
            ("00:00:07.5000000", Some(7)),
            ("02:00:00", Some(3600)),
            ("00:60:00", None),
            ("56:32", None),
            ("00:00:+5", None),
            ("1.00:00:00", None),
            ("Fri, 01 Jan 2021 00:00:10 GMT", Some(10)),
            ("Thu, 31 Dec 2020 23:59:50 GMT", Some(0)),
            ("Fri, 01 Jan 2027 00:00:00 GMT", Some(3600)),
        ];
        for (text, expected) in rows {
            assert_eq!(retry_after(text, now).map(|wait| wait.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn backoff_is_found_in_text() {
        let now = at("2026-11-29T05:20:00Z");
        let rows = [
            ("Further requests will fail. Retry in 3392 seconds.", Some(3392)),
            ("Please wait 3392 seconds before retrying.", Some(3392)),
            ("Retry in 56 minutes.", Some(3360)),
            ("Try again in 5 min.", Some(300)),
            ("Please try again after 30 sec.", Some(30)),
            ("Too many requests; wait for 1 hour.", Some(3600)),
            ("Retry after 00:56:32.", Some(3392)),
            ("Retry after some time, at most 10 seconds.", None),
            ("Retry in 30", None),
            ("Please wait.", None),
            ("Please wait until: 11/29/2026 5:20:11 AM (UTC)", Some(11)),
        ];
        for (text, expected) in rows {
            assert_eq!(backoff_in(text, now).map(|wait| wait.as_secs()), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let now = Timestamp::UNIX_EPOCH;
            let _ = (parse(&text), service_clock(&text), retry_after(&text, now), backoff_in(&format!("retry in {text} until {text}"), now));
        }
    }
}
