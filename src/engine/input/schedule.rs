//! When a schedule is due: five cron fields in a time zone, with daylight saving time.
//!
//! - A schedule with fixed hours (`30 2 * * *`) runs once a day on every day: a time that the clock skips runs at the first
//!   time after the gap, and a time that occurs twice runs the first time.
//! - A schedule over all hours (`*/15 * * * *`, an hour field that begins with `*`) follows the local time: it has no time in a
//!   skipped hour, and runs in both hours of one that occurs twice.

use cronexpr::{Crontab, MakeTimestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// The year after which no schedule is due. The cron library searches some decades ahead, and panics at the end of the
/// calendar, in the year 9999. An edited status may contain a time near it.
const LAST_YEAR: i16 = 9000;

/// How often the four years that the library searches are searched: 44 years. Between two 29 February on one day of the week lie up to 40
/// years, because a year such as 2100 is not a leap year.
const MAX_SEARCHES: usize = 11;

/// The time zone of a schedule that names none.
pub(super) const DEFAULT_ZONE: &str = "Etc/UTC";

/// A parsed schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In the time zone, or in UTC if the hours are fixed: then its times are local times.
    crontab: Crontab,
    zone: TimeZone,
    fixed_hours: bool,
}

impl Schedule {
    /// Reads a schedule, and the IANA name of its time zone.
    ///
    /// # Errors
    /// One sentence with the fault and the remedy.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, String> {
        let zone_name = zone.unwrap_or(DEFAULT_ZONE);
        let zone = TimeZone::get(zone_name)
            .map_err(|_| format!("spec.trigger.timeZone: unknown time zone {zone_name}: set an IANA name such as Europe/Rome"))?;
        let hours = expression.split_whitespace().nth(1).unwrap_or_default();
        let fixed_hours = !hours.starts_with('*');
        let fields: Vec<&str> = expression.split_whitespace().collect();
        // The library parses a sixth field as a time zone, which may differ from `zone`.
        if fields.len() != 5 {
            return Err(format!(
                "spec.trigger.schedule: {expression:?} has {} fields: set the five fields of a cron expression",
                fields.len()
            ));
        }
        let whole = format!("{} {}", fields.join(" "), if fixed_hours { "UTC" } else { zone_name });
        let crontab = cronexpr::parse_crontab(&whole).map_err(|error| {
            let why = error.to_string().lines().last().unwrap_or_default().trim().trim_start_matches(['^', ' ']).to_owned();
            format!("spec.trigger.schedule: {expression:?} is not a valid cron expression: {why}")
        })?;
        let schedule = Self { crontab, zone, fixed_hours };
        if schedule.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(format!("spec.trigger.schedule: {expression:?} never matches: no year has such a day"));
        }
        Ok(schedule)
    }

    /// The first scheduled time after `after`; `None` if there is none within 44 years.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.zone.to_datetime(after).year() > LAST_YEAR {
            return None;
        }
        if !self.fixed_hours {
            return self.find(after).map(|time| time.timestamp());
        }
        let mut shown = self.zone.to_datetime(after);
        loop {
            // The local time, as if it were UTC.
            let from = TimeZone::UTC.to_timestamp(shown).ok()?;
            shown = self.find(from)?.datetime();
            // In an hour that occurs twice, the first one may be over.
            if let Some(time) = self.to_timestamp(shown).filter(|time| *time > after) {
                return Some(time);
            }
        }
    }

    /// The first match after `after`, within [`MAX_SEARCHES`] times four years.
    fn find(&self, after: Timestamp) -> Option<Zoned> {
        let mut from = after;
        for _ in 0..MAX_SEARCHES {
            if let Ok(found) = self.crontab.find_next(MakeTimestamp(from)) {
                return Some(found);
            }
            // A day less than the library has searched, because it may count the years in another zone.
            from = from.to_zoned(TimeZone::UTC).checked_add(4.years()).ok()?.checked_sub(1.day()).ok()?.timestamp();
        }
        None
    }

    /// The last scheduled time after `after` and not after `now`.
    #[must_use]
    pub fn latest(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        // Every time before `low` has a next time that is not after `now`; every time from `high` on has none.
        let mut low = self.next(after).filter(|first| *first <= now)?;
        let mut high = now;
        while high.duration_since(low) > SignedDuration::from_secs(1) {
            let middle = low.checked_add(high.duration_since(low) / 2).unwrap_or(high);
            match self.next(middle).filter(|next| *next <= now) {
                Some(next) => low = next,
                None => high = middle,
            }
        }
        Some(low)
    }

    /// The first time at which a clock in the time zone shows a local time, or has just skipped it.
    fn to_timestamp(&self, shown: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
            AmbiguousOffset::Gap { before, .. } => {
                // By the old offset it lies behind the change, or at it.
                let behind = before.to_timestamp(shown).ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
                self.zone.preceding(behind).next().map(|change| change.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, Some(zone)).unwrap();
        let mut now = at(from);
        let next = |_| {
            now = schedule.next(now)?;
            Some(now.to_zoned(schedule.zone.clone()).strftime("%m-%d %H:%M %:z").to_string())
        };
        (0..count).map_while(next).collect()
    }

    #[test]
    fn each_field_counts_in_its_zone() {
        assert_eq!(times("0 5 * * *", "Europe/Rome", "2026-07-01T00:00:00Z", 2), ["07-01 05:00 +02:00", "07-02 05:00 +02:00"]);
        assert_eq!(times("0 5 * * 1-5", "Etc/UTC", "2026-11-20T06:00:00Z", 2), ["11-23 05:00 +00:00", "11-24 05:00 +00:00"]);
        assert_eq!(times("15,45 */6 1 JAN,JUL *", "Asia/Tokyo", "2026-06-01T00:00:00Z", 2), ["07-01 00:15 +09:00", "07-01 00:45 +09:00"]);
        assert_eq!(times("0 0 29 2 *", "Etc/UTC", "2026-01-01T00:00:00Z", 1), ["02-29 00:00 +00:00"]);
        assert_eq!(times("30 23 31 12 *", "Etc/UTC", "2026-12-31T23:30:00Z", 1), ["12-31 23:30 +00:00"]);
    }

    #[test]
    fn fixed_time_in_skipped_hour_runs_after_the_gap() {
        // Europe/Rome, 2026-03-29: 02:00 becomes 03:00.
        let expected = ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"];
        assert_eq!(times("30 2 * * *", "Europe/Rome", "2026-03-28T00:00:00Z", 3), expected);
        let expected = ["03-28 02:00 +01:00", "03-29 03:00 +02:00", "03-30 02:00 +02:00"];
        assert_eq!(times("0 2 * * *", "Europe/Rome", "2026-03-28T00:00:00Z", 3), expected);
        // Several in the gap, and one right behind it, are one run.
        assert_eq!(times("0,30 2,3 29 3 *", "Europe/Rome", "2026-03-28T12:00:00Z", 2), ["03-29 03:00 +02:00", "03-29 03:30 +02:00"]);
        // Lord Howe Island moves by half an hour.
        assert_eq!(times("15 2 4 10 *", "Australia/Lord_Howe", "2026-10-01T00:00:00Z", 1), ["10-04 02:30 +11:00"]);
        // Samoa left out the whole of 2011-12-30.
        assert_eq!(times("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2), ["12-31 00:00 +14:00", "12-31 12:00 +14:00"]);
    }

    #[test]
    fn fixed_time_in_repeated_hour_runs_the_first_time() {
        // Europe/Rome, 2026-10-25: 03:00 becomes 02:00.
        let expected = ["10-24 02:30 +02:00", "10-25 02:30 +02:00", "10-26 02:30 +01:00"];
        assert_eq!(times("30 2 * * *", "Europe/Rome", "2026-10-24T00:00:00Z", 3), expected);
        // From between the two.
        assert_eq!(times("30 2 * * *", "Europe/Rome", "2026-10-25T01:10:00Z", 1), ["10-26 02:30 +01:00"]);
    }

    #[test]
    fn schedule_over_all_hours_follows_local_time() {
        let expected = ["03-29 01:30 +01:00", "03-29 03:00 +02:00", "03-29 03:30 +02:00"];
        assert_eq!(times("*/30 * * * *", "Europe/Rome", "2026-03-29T00:10:00Z", 3), expected);
        let expected = ["10-25 02:30 +02:00", "10-25 02:00 +01:00", "10-25 02:30 +01:00", "10-25 03:00 +01:00"];
        assert_eq!(times("*/30 * * * *", "Europe/Rome", "2026-10-25T00:10:00Z", 4), expected);
    }

    #[test]
    fn latest_missed_time_is_found() {
        let found = |expression: &str, after: &str, now: &str| {
            Schedule::parse(expression, Some("Europe/Rome")).unwrap().latest(at(after), at(now)).map(|time| time.to_string())
        };
        assert_eq!(found("0 5 * * *", "2026-11-01T00:00:00Z", "2026-11-22T12:00:00Z").as_deref(), Some("2026-11-22T04:00:00Z"));
        assert_eq!(found("0 5 * * *", "2026-11-22T04:00:00Z", "2026-11-22T12:00:00Z"), None);
        assert_eq!(found("0 5 * * *", "2026-11-21T04:00:00Z", "2026-11-22T04:00:00Z").as_deref(), Some("2026-11-22T04:00:00Z"));
        assert_eq!(found("* * * * *", "2020-01-01T00:00:00Z", "2026-11-22T12:00:30Z").as_deref(), Some("2026-11-22T12:00:00Z"));
        assert_eq!(found("* * 1-16 * *", "2020-01-01T00:00:00Z", "2026-10-31T12:00:30Z").as_deref(), Some("2026-10-16T21:59:00Z"));
    }

    #[test]
    fn next_29_february_is_found_however_far_it_is() {
        let dates = |expression: &str, from: &str, count: usize| {
            let schedule = Schedule::parse(expression, None).unwrap();
            let mut now = at(from);
            let next = |_| {
                now = schedule.next(now)?;
                Some(now.strftime("%F").to_string())
            };
            (0..count).map_while(next).collect::<Vec<_>>()
        };
        // Both a day of the month and one of the week: either of them, as cron has it.
        assert_eq!(dates("0 0 29 2 1", "2026-11-29T00:00:00Z", 1), ["2027-02-01"]);
        // 2100 is no leap year.
        assert_eq!(dates("0 0 29 2 *", "2096-02-29T00:00:00Z", 2), ["2104-02-29", "2108-02-29"]);
        // Where one of them begins with an asterisk, both: a 29 February on a Sunday.
        assert_eq!(dates("0 0 29 2 */7", "2026-11-29T00:00:00Z", 4), ["2032-02-29", "2060-02-29", "2088-02-29", "2128-02-29"]);
        assert_eq!(dates("*/30 * 29 2 */7", "2032-02-29T23:30:00Z", 1), ["2060-02-29"]);
        let schedule = Schedule::parse("0 0 29 2 */7", Some("Asia/Tokyo")).unwrap();
        assert_eq!(schedule.latest(at("2026-01-01T00:00:00Z"), at("2070-01-01T00:00:00Z")), Some(at("2060-02-28T15:00:00Z")));
        assert!(Schedule::parse("0 0 30 2 */7", None).unwrap_err().contains("never matches"));
    }

    #[test]
    fn no_time_is_due_at_the_end_of_the_calendar() {
        for expression in ["0 0 * * MON#2", "*/5 * * * *", "0 0 29 2 *"] {
            let schedule = Schedule::parse(expression, None).unwrap();
            assert_eq!((schedule.next(Timestamp::MAX), schedule.latest(Timestamp::MAX, Timestamp::MAX)), (None, None));
            assert!(schedule.next(Timestamp::MIN).is_some());
        }
    }

    #[test]
    fn invalid_schedule_is_reported_in_one_sentence() {
        let refused = |expression: &str, zone: &str| Schedule::parse(expression, Some(zone)).unwrap_err();
        assert!(refused("0 5 * * *", "Europe/Roma").contains("unknown time zone Europe/Roma"));
        assert!(refused("0 25 * * *", "Etc/UTC").contains("is not a valid cron expression"));
        assert!(refused("0 7 7 * * type5", "Etc/UTC").contains("has 6 fields"));
        assert!(refused("0 7 * *", "Etc/UTC").contains("has 4 fields"));
        assert!(refused("0 0 30 2 *", "Etc/UTC").contains("never matches"));
        assert!(Schedule::parse("0 5 * * *", None).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn times_increase_and_latest_is_the_last(start in 0_i64..4_000_000_000, minute in 0..60, hour in 0..24, step in 1..12) {
            let start = Timestamp::from_second(start).unwrap();
            for expression in [format!("{minute} {hour} * * *"), format!("*/{step} * * * *"), format!("{minute} {hour}-23 * * 1-5")] {
                let schedule = Schedule::parse(&expression, Some("America/New_York")).unwrap();
                let first = schedule.next(start).unwrap();
                let second = schedule.next(first).unwrap();
                proptest::prop_assert!(start < first && first < second);
                proptest::prop_assert_eq!(schedule.latest(start, second), Some(second));
                proptest::prop_assert_eq!(schedule.latest(start, first), Some(first));
            }
        }
    }
}
