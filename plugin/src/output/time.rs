//! Durations and times of day.

use jiff::Timestamp;

use super::View;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A duration to the second, in its two largest units: `58s`, `9m12s`, `1h02m`, `2d3h`. Negative ones count as zero.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m{:02}s", seconds / MINUTE, seconds % MINUTE),
        HOUR..DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        _ => format!("{}d{}h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// A duration at a glance: `45s`, `20m`, `2h10m`, `6h`, `1d`, `2d3h`, `9d`.
#[must_use]
pub fn rough(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let with = |whole: i64, unit: &str, part: i64, small: &str| {
        if part == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{part}{small}") }
    };
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..10_800 => with(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        10_800..DAY => format!("{}h", seconds / HOUR),
        DAY..172_800 => "1d".to_owned(),
        172_800..604_800 => with(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ => format!("{}d", seconds / DAY),
    }
}

/// An estimated duration, to the minute from one minute on: `45s`, `3m`, `2h10m`.
#[must_use]
pub fn about(seconds: i64) -> String {
    let rounded = if seconds < MINUTE { seconds } else { seconds.saturating_add(MINUTE / 2) / MINUTE * MINUTE };
    rough(rounded)
}

/// A time of day, with the day if it is more than a day away: `22:00`, `Wed 22:00`, `2026-11-29 22:00`.
#[must_use]
pub fn clock(time: Timestamp, view: &View) -> String {
    let distance = time.duration_since(view.now).as_secs().abs();
    match distance {
        0..DAY => formatted(time, "%H:%M", view),
        DAY..518_400 => formatted(time, "%a %H:%M", view),
        _ => formatted(time, "%F %H:%M", view),
    }
}

/// A time of day with its day in words: `today 05:07`, `yesterday 22:12`, `tomorrow 22:00`, `2026-11-20 22:00`.
#[must_use]
pub fn day_clock(time: Timestamp, view: &View) -> String {
    let date = |time: Timestamp| time.to_zoned(view.zone.clone()).date();
    let (day, today) = (date(time), date(view.now));
    let word = if day == today {
        "today"
    } else if today.yesterday().is_ok_and(|yesterday| day == yesterday) {
        "yesterday"
    } else if today.tomorrow().is_ok_and(|tomorrow| day == tomorrow) {
        "tomorrow"
    } else {
        return formatted(time, "%F %H:%M", view);
    };
    format!("{word} {}", formatted(time, "%H:%M", view))
}

/// In the time zone of the view. A time in UTC by request ends with `Z`.
fn formatted(time: Timestamp, format: &str, view: &View) -> String {
    let zone = if view.utc { "Z" } else { "" };
    format!("{}{zone}", time.to_zoned(view.zone.clone()).strftime(format))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn durations_have_two_units() {
        let rows = [
            (-5, "0s", "0s"),
            (58, "58s", "58s"),
            (552, "9m12s", "9m"),
            (723, "12m03s", "12m"),
            (3_600, "1h00m", "1h"),
            (7_800, "2h10m", "2h10m"),
            (21_599, "5h59m", "5h"),
            (86_400, "1d0h", "1d"),
            (172_799, "1d23h", "1d"),
            (183_600, "2d3h", "2d3h"),
            (864_000, "10d0h", "10d"),
        ];
        for (seconds, exact, at_a_glance) in rows {
            assert_eq!((duration(seconds).as_str(), rough(seconds).as_str()), (exact, at_a_glance), "{seconds}");
        }
        let estimates: Vec<String> = [45, 60, 89, 90, 168, 3_590].into_iter().map(about).collect();
        assert_eq!(estimates, ["45s", "1m", "1m", "2m", "3m", "1h"]);
    }

    #[test]
    fn times_are_in_the_zone_of_the_view() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let zone = TimeZone::get("Europe/Rome").unwrap();
        let mut view = View { now: at("2026-11-29T21:09:12Z"), zone, utc: false, width: None, wide: false, flags: String::new() };
        let rows = [
            ("2026-11-29T21:00:00Z", "22:00", "today 22:00"),
            ("2026-11-29T23:30:00Z", "00:30", "tomorrow 00:30"),
            ("2026-11-28T21:12:00Z", "22:12", "yesterday 22:12"),
            ("2026-12-02T21:00:00Z", "Wed 22:00", "2026-12-02 22:00"),
            ("2026-12-24T21:00:00Z", "2026-12-24 22:00", "2026-12-24 22:00"),
        ];
        for (time, short, with_day) in rows {
            assert_eq!((clock(at(time), &view).as_str(), day_clock(at(time), &view).as_str()), (short, with_day), "{time}");
        }
        (view.zone, view.utc) = (TimeZone::UTC, true);
        assert_eq!(clock(at("2026-11-29T21:00:00Z"), &view), "21:00Z");
    }
}
