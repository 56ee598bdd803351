//! The status values of refreshes.

use crate::operation::Phase;

/// The phase of a status value, in upper or lower case.
///
/// Analysis Services documentation, asynchronous refresh, "Status values". `Completed`, `Disabled` and `Unknown` (running) are values of
/// Power BI. An undocumented value is not an end, so it counts as running.
pub(super) fn phase(word: &str) -> Phase {
    match word.trim().to_ascii_lowercase().as_str() {
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
pub(super) fn told(status: Option<String>, extended: Option<String>) -> Option<(Phase, String)> {
    let said = |word: String| (phase(&word), word);
    let (status, extended) = match (status.map(said), extended.map(said)) {
        (None, None) => return None,
        (Some(only), None) | (None, Some(only)) => return Some(only),
        (Some(status), Some((_, word))) if word.eq_ignore_ascii_case("unknown") => return Some(status),
        (Some((_, word)), Some(extended)) if word.eq_ignore_ascii_case("unknown") => return Some(extended),
        (Some(status), Some(extended)) => (status, extended),
    };
    let closer = match (status.0, extended.0) {
        (one, other) if one == other => false,
        // If `status` is running, the other field is more precise. If it is an end, the other field disagrees.
        (Phase::NotStarted | Phase::InProgress | Phase::Succeeded, _) => true,
        (Phase::Failed | Phase::TimedOut | Phase::Cancelled, end) => end.ended() && end != Phase::Succeeded,
    };
    Some(if closer { extended } else { status })
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
        for (word, expected) in rows {
            assert_eq!(phase(word), expected, "{word}");
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
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (status, extended, phase, service_status) in rows {
            assert_eq!(told(word(status), word(extended)), Some((phase, service_status.to_owned())), "{status}, {extended}");
        }
        assert_eq!(told(None, None), None);
    }
}
