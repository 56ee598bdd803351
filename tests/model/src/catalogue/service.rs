//! Scenarios of what the service shows, and the operations of other clients.

use tabular_operator::api::{ConflictPolicy, ModelRefreshSpec};

use super::specs::with;
use super::{OTHERS, OURS};
use crate::scenario::{Budget, Scenario, of_one_table};
use crate::world::object::Spec;
use crate::world::{Appearance, ClientRequest, RequestOutcome, UserAction, Visibility};

/// These scenarios, with `more` faults and user actions.
pub(super) fn scenarios(more: u8) -> Vec<Scenario> {
    vec![
        Scenario {
            budget: Budget { submissions: 1, other_operations: 1 + more, crashes: 1, delays: more, calls: more, ..Budget::default() },
            lag: 30,
            ..Scenario::base("others-wait", "another client refreshes the model too, and the run waits")
        },
        Scenario {
            specs: with(|spec| spec.conflict_policy = ConflictPolicy::Fail),
            budget: Budget {
                submissions: 1,
                other_operations: 1,
                crashes: 1,
                user_actions: more,
                calls: more,
                delays: more,
                ..Budget::default()
            },
            user_actions: vec![UserAction::Token, UserAction::Conflict(ConflictPolicy::Wait)],
            lag: 30,
            ..Scenario::base("others-fail", "another client refreshes the model too, and the run fails")
        },
        Scenario {
            specs: with(|spec| spec.conflict_policy = ConflictPolicy::Replace),
            budget: Budget { submissions: 1, other_operations: 1 + more, crashes: 1, calls: more, user_actions: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete, UserAction::Conflict(ConflictPolicy::Wait)],
            lag: 30,
            ..Scenario::base(
                "others-replace",
                "another client refreshes the model too; the operator cancels that operation, and never its own",
            )
        },
        Scenario {
            budget: Budget { submissions: 1, visibility_changes: 2, crashes: more, user_actions: 1, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter],
            visibility_changes: vec![Visibility::All, Visibility::Deleted, Visibility::Hidden],
            user_actions: if more > 0 { vec![UserAction::Token, UserAction::Delete] } else { vec![UserAction::Delete] },
            ..Scenario::base("models-deleted", "the model is deleted and published again, or is hidden from the identity")
        },
        Scenario {
            budget: Budget { submissions: 1, crashes: more, other_operations: 2, delays: more, ..Budget::default() },
            max_rows: Some(1),
            lag: 30,
            ..Scenario::base("short-list", "a list has only the newest row, and another client refreshes the model too")
        },
        Scenario {
            specs: vec![Spec::Refresh(ModelRefreshSpec { conflict_policy: ConflictPolicy::Replace, ..of_one_table(0) })],
            budget: Budget { submissions: 1, other_operations: 1, crashes: more, delays: more, ..Budget::default() },
            other_requests: OTHERS.to_vec(),
            lag: 30,
            ..Scenario::base("other-rows", "the row of another client's refresh does not show the difference, or shows it wrong")
        },
        Scenario {
            specs: vec![Spec::Refresh(of_one_table(0))],
            budget: Budget { submissions: 1, appearances: 1 + more, crashes: 1, other_operations: 1, ..Budget::default() },
            other_requests: vec![
                (ClientRequest::Same, Appearance::UnknownOrigin),
                (ClientRequest::OtherType, Appearance::WithoutType),
                (ClientRequest::OtherWhitespace, Appearance::Plain),
            ],
            appearances: OURS.to_vec(),
            lag: 30,
            ..Scenario::base(
                "own-rows",
                "the row of the operator's own refresh lacks fields for a while, or has its names spelled differently",
            )
        },
        Scenario {
            budget: Budget { submissions: 1 + more, crashes: more, other_operations: 1, delays: more, ..Budget::default() },
            service_ahead: 240,
            reports_time: false,
            lag: 30,
            ..Scenario::base("unknown-clock", "the service's clock is four minutes ahead, and the service does not report its time")
        },
        Scenario {
            budget: Budget { submissions: 1 + more, crashes: 1, other_operations: 1, delays: more, ..Budget::default() },
            service_ahead: -240,
            lag: 30,
            ..Scenario::base("known-clock", "the service's clock is four minutes behind, and the service reports its time")
        },
    ]
}
