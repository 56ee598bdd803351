//! A list of refreshes with what the details of its rows add: all of it that needs no network.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use super::listing::{Row, Selected, Selection, Window};
use crate::operation::{Ahead, Listing, Look, Operation, OperationId, Origin, ServiceKind, Trouble, TroubleKind};

/// How many of the newest refreshes Power BI is asked for: more than begin on one model while an answer is lost and found.
pub(super) const TOP: usize = 100;

/// How many rows of a list are looked at one by one.
const MOST_DETAILS: usize = 20;

/// The rows of a list that matter, where the service's clock is `ahead` and a refresh may run for `longest`.
pub(in crate::service) fn selection(service: ServiceKind, window: &Window, ahead: Option<Ahead>, longest: Duration) -> Selection {
    let top = match service {
        // It gives all of 30 days.
        ServiceKind::AnalysisServices => None,
        ServiceKind::PowerBi => Some(TOP),
    };
    Selection::new(service, (window.since(ahead), window.oldest_running(ahead, longest)), top)
}

/// Whether the details of the row with this index are requested.
///
/// Power BI documentation, enhanced refresh: details are for enhanced refreshes alone.
pub(in crate::service) fn are_requested(index: usize, row: &Row) -> bool {
    index < MOST_DETAILS && row.origin != Origin::External
}

/// One row with what its own description adds. A description that the service refuses takes nothing from the rest of the list: the
/// operation is then as its row shows it.
///
/// # Errors
/// Where the service asks for fewer calls.
pub(in crate::service) fn joined(id: OperationId, row: Row, look: Look) -> Result<Operation, Trouble> {
    match look {
        Look::Found { operation, .. } => {
            let bare = row.bare(id);
            // Where the two disagree, the later start: the earlier one may hide an operation that is searched for.
            let (start, end) = (operation.start.max(bare.start), operation.end.or(bare.end));
            Ok(Operation { start, end, origin: bare.origin, ..explained(*operation, bare) })
        }
        // The list shows it, so it exists.
        Look::Gone => Ok(row.bare(id)),
        Look::Trouble(trouble) if trouble.kind == TroubleKind::Throttled => Err(trouble),
        Look::Trouble(trouble) => Ok(Operation { unread: trouble.kind != TroubleKind::Rejected, ..row.bare(id) }),
    }
}

/// An operation as its description has it, with the errors of its row where the description has none.
pub(super) fn explained(described: Operation, row: Operation) -> Operation {
    if !described.messages.is_empty() || described.phase != row.phase {
        return described;
    }
    Operation { messages: row.messages, failure: described.failure.or(row.failure), ..described }
}

impl Selected {
    /// The list, once each row has become an operation.
    pub(in crate::service) fn listing(self, mut operations: Vec<Operation>, ahead: Option<Ahead>) -> Listing {
        operations.sort_by_key(|operation| Reverse(operation.start.unwrap_or(Timestamp::MAX)));
        let truncated = self.truncated || operations.len() > MOST_DETAILS;
        // A row may show no start, and its details one that is too long ago.
        operations.retain(|operation| operation.phase.ended() || operation.start.is_none_or(|start| start >= self.oldest));
        Listing { operations, truncated, may_hide_running: self.may_hide_running, unnamed: self.unnamed, ahead }
    }
}
