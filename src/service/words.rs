//! The services' words for where an operation stands.

use crate::operation::Phase;

/// The phase that a status word stands for, in whatever case.
///
/// Analysis Services documentation, asynchronous refresh, "Status values"; `Completed` is Power BI's. A word that
/// nobody has documented is no end, so it counts as running.
pub(super) fn phase(word: &str) -> Phase {
    match word.trim().to_ascii_lowercase().as_str() {
        "notstarted" => Phase::NotStarted,
        "succeeded" | "completed" => Phase::Succeeded,
        "failed" => Phase::Failed,
        "timedout" => Phase::TimedOut,
        "cancelled" | "canceled" => Phase::Cancelled,
        _ => Phase::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_end_is_an_end() {
        let rows = [
            ("notStarted", Phase::NotStarted),
            ("inProgress", Phase::InProgress),
            ("timedOut", Phase::TimedOut),
            ("Cancelled", Phase::Cancelled),
            ("FAILED", Phase::Failed),
            (" succeeded ", Phase::Succeeded),
            ("cancelling", Phase::InProgress),
            ("succeededish", Phase::InProgress),
            ("", Phase::InProgress),
        ];
        for (word, expected) in rows {
            assert_eq!(phase(word), expected, "{word}");
        }
    }
}
