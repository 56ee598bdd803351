//! All scenarios in which the invariants hold.

use super::{operators, resources, runs, service, users};
use crate::scenario::Scenario;

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// What each test run explores, in minutes.
    Share,
    /// More faults and user actions, bounded.
    Full,
}

/// The most states of a scenario that are explored with more faults.
const FULL_BOUND: usize = 1_500_000;

/// The scenarios in which all invariants hold. With [`Size::Share`] each is exhausted; with more faults some are not, so each is bounded.
#[must_use]
pub fn scenarios(size: Size) -> Vec<Scenario> {
    let (more, max_states) = match size {
        Size::Share => (0, None),
        Size::Full => (1, Some(FULL_BOUND)),
    };
    let bounded = |scenario| Scenario { max_states, ..scenario };
    [runs::scenarios(more), users::scenarios(more), resources::scenarios(more), operators::scenarios(more), service::scenarios(more)]
        .into_iter()
        .flatten()
        .map(bounded)
        .collect()
}
