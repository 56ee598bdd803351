//! The documented causes of a failed refresh.

use jiff::{SignedDuration, Timestamp};

use crate::azure::classify::messages::number;
use crate::operation::{FailureCause, Phase, ServiceKind, ServiceMessage};

/// Minimum duration of a refresh that exceeded the limit of all attempts, and not of one: 24 hours, minus the offset of clocks and the last
/// poll of the service. A single attempt has at most this limit, too.
const ALL_ATTEMPTS: SignedDuration = SignedDuration::from_mins(23 * 60 + 55);

/// The code of an eviction. Power BI documentation, enhanced refresh, "Semantic model eviction".
const EVICTED: u32 = 0xC11C_0020;

/// The cause of a failure: from a message ([`by_message`]), or else from the status and the times of the service.
///
/// Power BI documentation, enhanced refresh, "Considerations and limitations"; Analysis Services documentation, asynchronous refresh, which
/// requests a resubmission.
pub(super) fn cause(
    service: ServiceKind,
    (phase, service_status): (Phase, &str),
    by_message_cause: Option<FailureCause>,
    (start, end): (Option<Timestamp>, Option<Timestamp>),
) -> Option<FailureCause> {
    match phase {
        Phase::NotStarted | Phase::InProgress | Phase::Succeeded => return None,
        Phase::Failed | Phase::TimedOut | Phase::Cancelled => {}
    }
    if by_message_cause.is_some() {
        return by_message_cause;
    }
    if service_status.eq_ignore_ascii_case("disabled") {
        return Some(FailureCause::Disabled);
    }
    match (service, phase) {
        (ServiceKind::PowerBi, Phase::TimedOut) => {
            let took = start.zip(end).map(|(start, end)| end.duration_since(start));
            Some(if took.is_some_and(|took| took >= ALL_ATTEMPTS) { FailureCause::TotalTimeLimit } else { FailureCause::AttemptTimeLimit })
        }
        (ServiceKind::PowerBi | ServiceKind::AnalysisServices, _) => None,
    }
}

/// Whether the error of an attempt can be the cause of the end. A later attempt may have been cancelled, or exceeded its time limit.
pub(super) fn is_by_attempt(phase: Phase) -> bool {
    phase == Phase::Failed
}

/// The cause in one message.
pub(super) fn by_message(message: &ServiceMessage) -> Option<FailureCause> {
    let code = message.code.as_deref().unwrap_or_default().to_ascii_lowercase();
    let text = message.text.to_ascii_lowercase();
    let contains = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if number(&code) == Some(EVICTED) || contains(&["0xc11c0020", "has been evicted"]) {
        Some(FailureCause::Evicted)
    } else if contains(&["stuck without any updates", "locate a long running xmla request"]) {
        Some(FailureCause::NodeMoved)
    } else if code.contains("capacitynotactive") || contains(&["capacitynotactive", "capacity is paused", "capacity is not active"]) {
        Some(FailureCause::CapacityPaused)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(code: &str, text: &str) -> ServiceMessage {
        ServiceMessage { severity: "Error".to_owned(), code: Some(code.to_owned()), text: text.to_owned(), times: 1 }
    }

    #[test]
    fn documented_causes_are_distinguished() {
        let evicted =
            "Session cancelled because it is connected to a database that has been evicted to free up memory for other operations";
        let stuck = "Cancelling the refresh request since it was stuck without any updates. Please resubmit.";
        let moved = "An error has occurred while trying to locate a long running XMLA request.";
        let rows = [
            (Phase::Failed, "Failed", note("0xC11C0020", "x"), Some(FailureCause::Evicted)),
            (Phase::Failed, "Failed", note("3239837728", "x"), Some(FailureCause::Evicted)),
            (Phase::Failed, "Failed", note("-1055129568", "x"), Some(FailureCause::Evicted)),
            (Phase::Failed, "Failed", note("0x", "x"), None),
            (Phase::Failed, "Failed", note("", evicted), Some(FailureCause::Evicted)),
            (Phase::Cancelled, "Cancelled", note("0xc11c0020", "x"), Some(FailureCause::Evicted)),
            (Phase::Failed, "failed", note("", stuck), Some(FailureCause::NodeMoved)),
            (Phase::Cancelled, "cancelled", note("", stuck), Some(FailureCause::NodeMoved)),
            (Phase::Failed, "failed", note("", moved), Some(FailureCause::NodeMoved)),
            (Phase::Failed, "Failed", note("CapacityNotActive", "x"), Some(FailureCause::CapacityPaused)),
            (Phase::Failed, "Disabled", note("", ""), Some(FailureCause::Disabled)),
            (Phase::Failed, "Failed", note("0x1", "The column 'evicted' was not found"), None),
            (Phase::Cancelled, "Cancelled", note("", ""), None),
            (Phase::InProgress, "Unknown", note("0xC11C0020", evicted), None),
            (Phase::Succeeded, "Completed", note("0xC11C0020", evicted), None),
        ];
        for service in [ServiceKind::AnalysisServices, ServiceKind::PowerBi] {
            for (phase, service_status, message, expected) in &rows {
                let found = cause(service, (*phase, service_status), by_message(message), (None, None));
                assert_eq!(found, *expected, "{message:?}");
            }
        }
    }

    #[test]
    fn limit_of_one_attempt_differs_from_limit_of_all() {
        let start = "2026-01-01T00:00:00Z".parse().ok();
        let rows = [
            (ServiceKind::PowerBi, Some("2026-01-01T05:00:00Z"), Some(FailureCause::AttemptTimeLimit)),
            (ServiceKind::PowerBi, None, Some(FailureCause::AttemptTimeLimit)),
            (ServiceKind::PowerBi, Some("2026-01-02T00:00:01Z"), Some(FailureCause::TotalTimeLimit)),
            (ServiceKind::AnalysisServices, Some("2026-01-02T00:00:01Z"), None),
        ];
        for (service, end, expected) in rows {
            let end = end.and_then(|end| end.parse().ok());
            assert_eq!(cause(service, (Phase::TimedOut, "TimedOut"), None, (start, end)), expected, "{end:?}");
        }
    }
}
