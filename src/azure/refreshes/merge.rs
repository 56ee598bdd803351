//! Combines a list of refreshes with the details of its rows. Needs no network.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::list::{Row, Selected, Selection};
use super::window::ListWindow;
use crate::operation::{ClockSkew, Listing, Operation, OperationId, Origin, PollResult, ServiceError, ServiceErrorKind, ServiceKind};

/// Number of newest refreshes that the client requests from Power BI: more than the service keeps ([`super::coverage`]).
pub(in crate::azure) const PAGE_SIZE: usize = 100;

/// Maximum number of rows of a list whose details are read.
const MAX_DETAILS: usize = 20;

/// How much the start of a row and that of its details may differ. The clocks of the machines of the service differ, and some times have
/// whole seconds.
const SAME_START: SignedDuration = SignedDuration::from_secs(6);

/// The relevant rows of a list, if the clock of the service is `clock_skew` and a refresh may run for `longest`.
pub(in crate::azure) fn selection(
    service: ServiceKind,
    window: &ListWindow,
    clock_skew: Option<ClockSkew>,
    longest: Duration,
) -> Selection {
    let top = match service {
        // The service returns all refreshes of 30 days.
        ServiceKind::AnalysisServices => None,
        ServiceKind::PowerBi => Some(PAGE_SIZE),
    };
    Selection::new(service, (window.since(clock_skew), window.oldest_running(clock_skew, longest)), top)
}

/// Whether the client requests the details of the row with this index.
///
/// Power BI documentation, enhanced refresh: details are available only for enhanced refreshes.
pub(in crate::azure) fn needs_details(index: usize, row: &Row) -> bool {
    index < MAX_DETAILS && row.origin != Origin::External
}

/// Combines a row with its details. If the service refuses the details, the rest of the list is still valid: the operation is then as its
/// row shows it; `None` if that row is outdated.
///
/// # Errors
/// If the service requests fewer calls.
pub(in crate::azure) fn merge_details(id: OperationId, row: Row, result: PollResult) -> Result<Option<Operation>, ServiceError> {
    let is_outdated = row.is_outdated;
    match result {
        PollResult::Found { operation, .. } => {
            let bare = row.into_operation(id);
            // If the two disagree, the later start counts. The earlier one could exclude an operation that the operator searches for.
            let (start, end) = (operation.start.max(bare.start), operation.end.or(bare.end));
            // It may be the start of the present attempt of a refresh that is much older, so it does not identify the operation.
            let disagree =
                start.zip(operation.start.min(bare.start)).is_some_and(|(later, earlier)| later.duration_since(earlier) > SAME_START);
            let incomplete = operation.incomplete || disagree;
            Ok(Some(Operation { start, end, incomplete, origin: bare.origin, ..with_row_errors(*operation, bare) }))
        }
        // The list contains the operation, so it exists.
        PollResult::NotFound => Ok((!is_outdated).then(|| row.into_operation(id))),
        PollResult::Failed(error) if error.kind == ServiceErrorKind::Throttled => Err(error),
        PollResult::Failed(error) if error.kind == ServiceErrorKind::Rejected => Ok((!is_outdated).then(|| row.into_operation(id))),
        PollResult::Failed(_) => Ok(Some(Operation { incomplete: true, ..row.into_operation(id) })),
    }
}

/// The operation from its details, with the errors of its row if the details have none.
pub(super) fn with_row_errors(details: Operation, row: Operation) -> Operation {
    if !details.messages.is_empty() || details.phase != row.phase {
        return details;
    }
    Operation { messages: row.messages, failure: details.failure.or(row.failure), ..details }
}

impl Selected {
    /// The list, after each row has become an operation, or `None` if it is outdated.
    pub(in crate::azure) fn listing(self, rows: Vec<Option<Operation>>, clock_skew: Option<ClockSkew>) -> Listing {
        let truncated = self.truncated || rows.len() > MAX_DETAILS;
        let mut operations: Vec<Operation> = rows.into_iter().flatten().collect();
        operations.sort_by_key(|operation| Reverse(operation.start.unwrap_or(Timestamp::MAX)));
        // A row may have no start, and its details a start that is too early.
        operations.retain(|operation| operation.phase.ended() || operation.start.is_none_or(|start| start >= self.oldest));
        let Self { may_hide_running, has_unknown_rows, unnamed, .. } = self;
        Listing { operations, truncated, may_hide_running, has_unknown_rows, unnamed, clock_skew }
    }
}
