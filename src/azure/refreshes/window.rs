//! The window of `GET refreshes`: which refreshes are relevant by their start.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::operation::ClockSkew;

/// How much earlier the start of a row in the window may be, if the service shows its clock. A submission may be
/// recorded on one machine and searched for on another one, whose clocks may differ by 5 s. The clock of the service has whole seconds.
const KNOWN_CLOCK: SignedDuration = SignedDuration::from_secs(6);

/// How much earlier it may be if the service does not show its clock.
const UNKNOWN_CLOCK: SignedDuration = SignedDuration::from_mins(5);

/// The window of relevant operations: those that are running, and those that started since the intent of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListWindow {
    /// The time of the intent, by our clock.
    pub intent: Timestamp,
    /// Our clock at the time of the list request.
    pub now: Timestamp,
}

impl ListWindow {
    /// How far the clock of the service is ahead, if the response shows it. `elapsed` is the time until the start of the response.
    pub(in crate::azure) fn clock_skew(&self, server_time: Option<Timestamp>, elapsed: Duration) -> Option<ClockSkew> {
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        let received = self.now.checked_add(elapsed).unwrap_or(Timestamp::MAX);
        server_time.map(|server| ClockSkew::of(server, (self.now, received)))
    }

    /// The start of the window by the clock of the service.
    ///
    /// Any uncertainty makes it earlier: the engine can rule out an additional row, but a missing row is a second submission.
    pub(in crate::azure) fn since(&self, clock_skew: Option<ClockSkew>) -> Timestamp {
        let back = |time: Timestamp, by: SignedDuration| time.checked_sub(by).unwrap_or(Timestamp::MIN);
        let Some(clock_skew) = clock_skew else {
            return back(self.intent, UNKNOWN_CLOCK);
        };
        let by_server = self.intent.checked_add(clock_skew.min).unwrap_or(self.intent);
        if clock_skew.is_plausible() { back(by_server, KNOWN_CLOCK) } else { back(self.intent.min(by_server), UNKNOWN_CLOCK) }
    }

    /// The earliest possible start of a running refresh by the clock of the service, if one may run for `longest`.
    ///
    /// Any uncertainty makes it earlier: the operator waits for an additional operation, but would overtake a missing one.
    pub(in crate::azure) fn oldest_running(&self, clock_skew: Option<ClockSkew>, longest: Duration) -> Timestamp {
        let by_server = clock_skew.filter(|clock_skew| clock_skew.is_plausible()).map_or(-UNKNOWN_CLOCK, |clock_skew| clock_skew.min);
        let longest = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
        self.now.checked_add(by_server).and_then(|now| now.checked_sub(longest)).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn window_starts_at_the_intent_by_service_clock() {
        let window = ListWindow { intent: at("2026-01-01T12:00:00Z"), now: at("2026-01-01T12:01:00Z") };
        let rows = [
            (Some("2026-01-01T12:01:00Z"), 0, "2026-01-01T11:59:54Z"),
            (Some("2026-01-01T12:03:00Z"), 0, "2026-01-01T12:01:54Z"),
            (Some("2026-01-01T12:03:00Z"), 20, "2026-01-01T12:01:34Z"),
            (Some("2026-01-01T11:51:00Z"), 0, "2026-01-01T11:49:54Z"),
            (None, 0, "2026-01-01T11:55:00Z"),
            (Some("2027-01-01T12:01:00Z"), 0, "2026-01-01T11:55:00Z"),
            (Some("2026-01-01T10:01:00Z"), 0, "2026-01-01T09:55:00Z"),
        ];
        for (server, elapsed, expected) in rows {
            let since = window.since(window.clock_skew(server.map(at), Duration::from_secs(elapsed)));
            assert_eq!(since, at(expected), "{server:?}");
        }
    }
}
