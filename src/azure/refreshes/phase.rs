//! The status values of refreshes.

use crate::operation::Phase;

/// The phase of a status value, in upper or lower case.
///
/// Analysis Services documentation, asynchronous refresh, "Status values". `Completed`, `Disabled` and `Unknown` (running) are values of
/// Power BI. An undocumented value is not an end, so it counts as running.
pub(super) fn phase(value: &str) -> Phase {
    match value.trim().to_ascii_lowercase().as_str() {
        "notstarted" => Phase::NotStarted,
        "succeeded" | "completed" => Phase::Succeeded,
        "failed" | "disabled" => Phase::Failed,
        "timedout" => Phase::TimedOut,
        "cancelled" | "canceled" => Phase::Cancelled,
        _ => Phase::InProgress,
    }
}

/// The combined phase of Power BI's `status` and `extendedStatus`, and the value that determines it.
///
/// While `status` is `Unknown`, `extendedStatus` determines the phase, as in other clients. If the two fields disagree, the less successful
/// one wins.
pub(super) fn combined_phase(status: Option<String>, extended: Option<String>) -> Option<(Phase, String)> {
    let with_phase = |value: String| (phase(&value), value);
    let (status, extended) = match (status.map(with_phase), extended.map(with_phase)) {
        (None, None) => return None,
        (Some(only), None) | (None, Some(only)) => return Some(only),
        (Some(status), Some((_, value))) if value.eq_ignore_ascii_case("unknown") => return Some(status),
        (Some((_, value)), Some(extended)) if value.eq_ignore_ascii_case("unknown") => return Some(extended),
        (Some(status), Some(extended)) => (status, extended),
    };
    let use_extended = match (status.0, extended.0) {
        (one, other) if one == other => false,
        // If `status` is running, the other field is more precise. If it is an end, the other field disagrees.
        (Phase::NotStarted | Phase::InProgress | Phase::Succeeded, _) => true,
        (Phase::Failed | Phase::TimedOut | Phase::Cancelled, end) => end.ended() && end != Phase::Succeeded,
    };
    Some(if use_extended { extended } else { status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documented_end_is_an_end() {
        let rows = [
            ("notStarted", Phase::NotStarted),
            ("inProgress", Phase::InProgress),
            ("timedOut", Phase::TimedOut),
            ("Cancelled", Phase::Cancelled),
            ("FAILED", Phase::Failed),
            (" succeeded ", Phase::Succeeded),
            ("Completed", Phase::Succeeded),
            ("Disabled", Phase::Failed),
            ("Unknown", Phase::InProgress),
            ("cancelling", Phase::InProgress),
            ("succeededish", Phase::InProgress),
            ("", Phase::InProgress),
        ];
        for (value, expected) in rows {
            assert_eq!(phase(value), expected, "{value}");
        }
    }

    #[test]
    fn disagreeing_status_fields_are_no_success() {
        let rows = [
            ("Unknown", "NotStarted", Phase::NotStarted, "NotStarted"),
            ("Unknown", "InProgress", Phase::InProgress, "InProgress"),
            ("Unknown", "Unknown", Phase::InProgress, "Unknown"),
            ("Unknown", "Cancelling", Phase::InProgress, "Cancelling"),
            ("Unknown", "Completed", Phase::Succeeded, "Completed"),
            ("Unknown", "TimedOut", Phase::TimedOut, "TimedOut"),
            ("Unknown", "", Phase::InProgress, "Unknown"),
            ("InProgress", "NotStarted", Phase::NotStarted, "NotStarted"),
            ("Completed", "Completed", Phase::Succeeded, "Completed"),
            ("Completed", "", Phase::Succeeded, "Completed"),
            ("Completed", "Unknown", Phase::Succeeded, "Completed"),
            ("Completed", "Failed", Phase::Failed, "Failed"),
            ("Completed", "InProgress", Phase::InProgress, "InProgress"),
            ("Failed", "TimedOut", Phase::TimedOut, "TimedOut"),
            ("Failed", "Cancelled", Phase::Cancelled, "Cancelled"),
            ("Failed", "Disabled", Phase::Failed, "Failed"),
            ("Failed", "Completed", Phase::Failed, "Failed"),
            ("Failed", "InProgress", Phase::Failed, "Failed"),
            ("Cancelled", "Completed", Phase::Cancelled, "Cancelled"),
            ("Disabled", "Disabled", Phase::Failed, "Disabled"),
            ("", "Completed", Phase::Succeeded, "Completed"),
        ];
        let value = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (status, extended, phase, service_status) in rows {
            assert_eq!(combined_phase(value(status), value(extended)), Some((phase, service_status.to_owned())), "{status}, {extended}");
        }
        assert_eq!(combined_phase(None, None), None);
    }
}
