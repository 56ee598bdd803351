//! Invariants of the runs in two successive statuses of a resource. The end-to-end tests check them on the versions of a resource.

use tabular_operator::api::{HistoryEntry, Status};

use super::names::{FINISHED, RUN_ORDER, holds};
use crate::world::Violation;

/// Checks that a run never goes back, and that an ended run and its entry in the history never change.
pub fn runs(before: &Status, after: &Status) -> Result<(), Violation> {
    if let Some(old) = &before.run {
        let is_in_order = after.run.as_ref().is_some_and(|new| (new.number, new.attempt) >= (old.number, old.attempt));
        holds(is_in_order, RUN_ORDER, || format!("{old:?} becomes {:?}", after.run))?;
        let is_another = after.run.as_ref().is_some_and(|new| new.number > old.number);
        holds(is_another || !old.state.ended() || after.run.as_ref() == Some(old), FINISHED, || {
            format!("run {} had ended {:?}, and becomes {:?}", old.number, old.state, after.run)
        })?;
    }
    let entry = |number: i32| before.history.iter().find(|entry| entry.number == number);
    let changed = |new: &&HistoryEntry| entry(new.number).is_some_and(|old| old != *new);
    let changed = after.history.iter().find(changed);
    holds(changed.is_none(), FINISHED, || format!("the history of run {} changes", changed.map_or(0, |new| new.number)))
}
