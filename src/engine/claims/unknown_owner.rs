//! Operations that may belong to another resource, while the records of some resources cannot be read.
//!
//! A watch that the API server has refused since the operator began to lead shows no resources. Their operations may be at the service,
//! which does not distinguish them from those of other clients or of this resource. So none of them is adopted, and none is cancelled.
//! Records that were read once stay known, because only this operator changes them.

use super::super::timing::MAX_CLOCK_SKEW;
use super::super::{Blocker, ClaimedOperations, Remedy};
use crate::api::{Reason, Run, RunState};
use crate::operation::{Listing, Operation};

/// Limits what a list proves while the claims of `unwatched` are unknown.
///
/// Returns why the list cannot be used. A run whose submission was lost waits if the list shows an operation that may be its own;
/// otherwise it continues. To a run that has not started, each operation is another resource's: the run waits for it, whatever
/// `conflictPolicy` is.
pub fn exclude_unknown_owners(run: Option<&Run>, listing: &Listing, claimed: &mut ClaimedOperations, unwatched: &str) -> Option<Blocker> {
    let unclaimed = |operation: &&Operation| {
        let id = operation.id.as_str().to_lowercase();
        !claimed.active.contains(&id) && !claimed.orphaned.contains(&id) && !run.is_some_and(|run| belongs_to_run(run, operation))
    };
    let unclaimed: Vec<&Operation> = listing.operations.iter().filter(unclaimed).collect();
    match run {
        Some(run) if run.state == RunState::Submitting => {
            if let Some(operation) = unclaimed.iter().find(|operation| may_belong_to_run(run, operation)) {
                let id = &operation.id;
                let message = format!(
                    "operation {id} may belong to this run or to another resource, because the operator cannot watch {unwatched}: \
                    grant the operator the permissions that its /readyz lists, or set the annotation adopt to this run's operation"
                );
                // The permission may never be granted, so this reason must not keep the turn on the model.
                return Some(Blocker { reason: Reason::Retrying, message, remedy: Remedy::ClusterChange });
            }
        }
        Some(_) | None => {
            let excluded: Vec<String> = unclaimed.iter().map(|operation| operation.id.as_str().to_lowercase()).collect();
            claimed.active.extend(excluded);
        }
    }
    None
}

/// Whether the run's record names an operation.
fn belongs_to_run(run: &Run, operation: &Operation) -> bool {
    run.operation_id.iter().chain(&run.previous_operation_ids).any(|id| operation.id.eq_ignoring_case(id))
}

/// Whether the run's submission may have started an operation.
fn may_belong_to_run(run: &Run, operation: &Operation) -> bool {
    let Some((start, intent)) = operation.start.zip(run.submitted_time) else { return true };
    start.checked_add(MAX_CLOCK_SKEW).map_or(true, |latest| latest >= intent.timestamp())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::operation::{OperationId, Phase};

    fn operation(id: &str, start: &str) -> Operation {
        Operation {
            start: start.parse::<Timestamp>().ok(),
            ..Operation::new(OperationId::parse(id).unwrap(), Phase::InProgress, "InProgress".to_owned())
        }
    }

    fn run(state: &str) -> Run {
        serde_json::from_value(json!({
            "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 2, "state": state, "requestedTime": "2026-01-01T00:00:00Z",
            "submittedTime": "2026-01-01T12:00:00Z", "requestDigest": "w", "previousOperationIds": ["op-1"],
            "model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}},
        }))
        .unwrap()
    }

    /// The message of the blocker, and the operations that count as another resource's.
    fn excluded(state: &str, operations: Vec<Operation>) -> (Option<String>, Vec<String>) {
        let listing = Listing { operations, ..Listing::default() };
        let mut claimed = ClaimedOperations::default();
        claimed.active.insert("op-2".to_owned());
        let blocker = exclude_unknown_owners(Some(&run(state)), &listing, &mut claimed, "ModelRefresh in namespace b");
        (blocker.map(|blocker| blocker.message), claimed.active.into_iter().collect())
    }

    #[test]
    fn operation_of_unknown_owner_is_undecided() {
        for start in ["2026-01-01T11:56:00Z", "2026-01-01T12:00:01Z", "unknown"] {
            let (blocker, _) = excluded("Submitting", vec![operation("op-3", start)]);
            assert!(blocker.unwrap().contains("operation op-3 may belong to this run or to another resource"), "{start}");
        }
    }

    #[test]
    fn list_without_unclaimed_operation_is_used() {
        let known = || vec![operation("OP-1", "2026-01-01T12:00:01Z"), operation("op-2", "2026-01-01T12:00:01Z")];
        for operations in [Vec::new(), known(), vec![operation("op-3", "2026-01-01T11:00:00Z")]] {
            assert_eq!(excluded("Submitting", operations), (None, vec!["op-2".to_owned()]));
        }
    }

    #[test]
    fn waiting_run_excludes_unclaimed_operations() {
        let (blocker, active) = excluded("Waiting", vec![operation("op-3", "2026-01-01T11:00:00Z"), operation("op-1", "unknown")]);
        assert_eq!((blocker, active), (None, vec!["op-2".to_owned(), "op-3".to_owned()]));
    }
}
