//! Scenarios of the writes of operators, their leadership, clocks and uninstalls.

use tabular_operator::api::DeletionPolicy;
use tabular_operator::engine::reconcile::Rejection;

use crate::scenario::{BrokenRules, Budget, Scenario, sync};
use crate::world::UserAction;
use crate::world::object::Spec;

/// These scenarios, with `more` faults and user actions.
pub(super) fn scenarios(more: u8) -> Vec<Scenario> {
    vec![
        Scenario {
            operators: 2,
            budget: Budget { submissions: 1, delays: 1 + more, calls: more, ..Budget::default() },
            lag: 30,
            ..Scenario::base(
                "two-operators",
                "the leader is frozen past its Lease with a submission on its way, and another operator takes over",
            )
        },
        Scenario {
            operators: 2,
            budget: Budget { submissions: 1, delays: 1 + more, ..Budget::default() },
            broken_rules: BrokenRules { lease: true, ..BrokenRules::default() },
            lag: 30,
            ..Scenario::base("two-leaders", "two operators lead at once: the recorded version and the deadline of a submission are enough")
        },
        Scenario {
            operators: 2,
            budget: Budget { user_actions: 1, delays: 1, submissions: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete],
            ..Scenario::base("two-releases", "the resource is deleted while the leader is frozen past its Lease")
        },
        Scenario {
            budget: Budget { calls: 3, user_actions: 1, crashes: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete],
            rejections: vec![Rejection::Conflict, Rejection::NotFound, Rejection::Permanent, Rejection::Temporary],
            ..Scenario::base("rejected-writes", "writes are rejected in every way, or lost, while the resource runs and is deleted")
        },
        Scenario {
            budget: Budget { calls: 5, submissions: more, ..Budget::default() },
            rejections: vec![Rejection::Conflict],
            ..Scenario::base("unrecorded", "the id of an accepted operation cannot be recorded for a while")
        },
        Scenario {
            budget: Budget { submissions: 1, calls: 1, crashes: 1, abandonments: more, stale: more, ..Budget::default() },
            late_writes: true,
            lag: 30,
            ..Scenario::base("late-write", "the response to a status write is lost, and the write is performed later")
        },
        Scenario {
            budget: Budget { submissions: 1, drains: 1, user_actions: 1 + more, crashes: more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete, UserAction::Deletion(DeletionPolicy::Orphan), UserAction::Token],
            lag: 30,
            ..Scenario::base("uninstall", "the operator is uninstalled, or the uninstall is stopped, and installed again")
        },
        Scenario {
            specs: vec![Spec::Sync(sync(0, None))],
            budget: Budget { submissions: 1, drains: 1, user_actions: 1, crashes: more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete, UserAction::Token],
            lag: 30,
            ..Scenario::base("uninstall-sync", "the operator is uninstalled while a sync runs, which cannot be cancelled")
        },
        Scenario {
            budget: Budget { submissions: 1 + more, crashes: 1, clock_steps: 1, delays: more, ..Budget::default() },
            clock_steps: vec![-1, 20],
            lag: 10,
            ..Scenario::base("clock-steps", "the operator's wall clock steps as far as the guarantees allow")
        },
    ]
}
