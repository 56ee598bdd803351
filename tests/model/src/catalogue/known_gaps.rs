//! The known gaps.

use super::resources::tenants;
use crate::invariants;
use crate::scenario::{BrokenRules, Budget, Impairment, Scenario, spec};
use crate::world::object::Spec;
use crate::world::{Appearance, ClientRequest, RequestOutcome, UserAction};

/// The limits of the guarantees, and the assumptions that they depend on. Each violates an invariant, and it is known which.
#[must_use]
pub fn known_gaps() -> Vec<(Scenario, &'static str)> {
    vec![
        (
            Scenario {
                budget: Budget { submissions: 1, stale: 1, crashes: 1, calls: 1, ..Budget::default() },
                broken_rules: BrokenRules { version: true, ..BrokenRules::default() },
                ..Scenario::base("without-version", "the status is written under any resource version")
            },
            invariants::ONCE,
        ),
        (
            Scenario {
                operators: 2,
                budget: Budget { submissions: 1, delays: 2, ..Budget::default() },
                broken_rules: BrokenRules { lease: true, deadline: true, ..BrokenRules::default() },
                ..Scenario::base("without-lease", "a Lease never expires for its holder, and a submission is sent however late")
            },
            invariants::INTENT,
        ),
        (
            Scenario {
                broken_rules: BrokenRules { unwritten: true, ..BrokenRules::default() },
                ..Scenario::base("without-intent", "the intent of a submission counts as written, and is not")
            },
            invariants::INTENT,
        ),
        (
            Scenario {
                budget: Budget { drains: 1, ..Budget::default() },
                broken_rules: BrokenRules { drain: true, ..BrokenRules::default() },
                ..Scenario::base("without-drain", "an operator submits although it has observed an uninstall")
            },
            invariants::UNINSTALL,
        ),
        (
            Scenario {
                broken_rules: BrokenRules { claims: true, ..BrokenRules::default() },
                ..tenants(Impairment::Refused, 0, ("without-claims", "no operation counts as another resource's"))
            },
            invariants::OTHER_CLIENTS,
        ),
        (
            Scenario {
                budget: Budget { submissions: 1, other_operations: 1, ..Budget::default() },
                max_rows: Some(1),
                broken_rules: BrokenRules { truncation: true, ..BrokenRules::default() },
                ..Scenario::base("without-truncation", "a truncated list counts as complete")
            },
            invariants::ONCE,
        ),
        (
            Scenario {
                budget: Budget { drains: 1, ..Budget::default() },
                broken_rules: BrokenRules { unobserved_drain: true, ..BrokenRules::default() },
                ..Scenario::base("without-signal", "an uninstall does not wait until the operator has observed it")
            },
            invariants::UNINSTALL,
        ),
        (
            Scenario {
                budget: Budget { submissions: 1, delays: 1, ..Budget::default() },
                lag: 120,
                ..Scenario::base("long-lag", "the service shows operations later than the operator assumes")
            },
            invariants::END_MATCHES_SERVICE,
        ),
        (
            Scenario {
                budget: Budget { submissions: 1, clock_steps: 1, ..Budget::default() },
                clock_steps: vec![60],
                lag: 30,
                ..Scenario::base("clock-forward", "the operator's wall clock jumps ahead by more than the list lag")
            },
            invariants::END_MATCHES_SERVICE,
        ),
        (
            Scenario {
                budget: Budget { submissions: 1, clock_steps: 1, ..Budget::default() },
                clock_steps: vec![-2],
                lag: 30,
                ..Scenario::base("clock-back", "the operator's wall clock is set back by more than a second")
            },
            invariants::ONCE,
        ),
        (
            Scenario {
                budget: Budget { submissions: 1, other_operations: 1, ..Budget::default() },
                submission_outcomes: vec![RequestOutcome::Late],
                other_requests: vec![(ClientRequest::Same, Appearance::Plain)],
                lag: 30,
                ..Scenario::base("identical", "another client starts an identical refresh within the same seconds")
            },
            invariants::END_MATCHES_SERVICE,
        ),
        (
            Scenario {
                specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
                symmetric: true,
                budget: Budget { submissions: 1, crashes: 2, user_actions: 1, ..Budget::default() },
                user_actions: vec![UserAction::Delete],
                ..Scenario::base(
                    "orphan",
                    "a resource is deleted, the operator restarts, and another resource requests the same in the same second",
                )
            },
            invariants::END_MATCHES_SERVICE,
        ),
        (
            Scenario {
                budget: Budget { user_actions: 2, crashes: 1, ..Budget::default() },
                user_actions: vec![UserAction::RemoveFinalizer, UserAction::Delete],
                ..Scenario::base("unfinalized", "a user removes the finalizer by force, and the operator is killed")
            },
            invariants::RELEASE,
        ),
    ]
}
