//! Scenarios of two resources on one model.

use tabular_operator::api::DeletionPolicy;

use super::specs::replacing;
use crate::scenario::{Budget, Impairment, Scenario, spec, sync};
use crate::world::object::Spec;
use crate::world::{RequestOutcome, UserAction};

/// Two resources on one model. The first one is impaired; the second one cancels what it takes for another client's operation.
pub(super) fn tenants(impairment: Impairment, more: u8, (name, description): (&'static str, &'static str)) -> Scenario {
    Scenario {
        specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(replacing())],
        budget: Budget { submissions: 1 + more, impairments: 1, crashes: more, calls: more, ..Budget::default() },
        submission_outcomes: if more > 0 {
            vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter, RequestOutcome::Late]
        } else {
            vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter]
        },
        impairment: Some(impairment),
        ..Scenario::base(name, description)
    }
}

/// These scenarios, with `more` faults and user actions.
pub(super) fn scenarios(more: u8) -> Vec<Scenario> {
    vec![
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            budget: Budget { submissions: 1, user_actions: 2, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Adopt(0)],
            max_rows: Some(0),
            ..Scenario::base("same-decision", "users name the same operation for two resources")
        },
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            budget: Budget { submissions: 1, user_actions: 1, crashes: more, ..Budget::default() },
            user_actions: vec![UserAction::Token, UserAction::Delete],
            adopts_orphans: more > 0,
            ..Scenario::base("two-resources", "two resources request the same on the same model")
        },
        Scenario {
            specs: vec![Spec::Refresh(replacing()), Spec::Refresh(replacing())],
            symmetric: true,
            budget: Budget { submissions: 1, user_actions: 2, calls: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Deletion(DeletionPolicy::Orphan), UserAction::Release, UserAction::Delete],
            ..Scenario::base("orphaned", "an operation is orphaned; another resource replaces it and never adopts it")
        },
        Scenario {
            specs: vec![Spec::Sync(sync(0, None)), Spec::Sync(sync(0, None))],
            symmetric: true,
            budget: Budget { submissions: 1, user_actions: 1, calls: more, stale: more, ..Budget::default() },
            user_actions: vec![UserAction::Delete],
            lag: 30,
            ..Scenario::base("orphaned-sync", "a sync is orphaned, and another resource never adopts it")
        },
        tenants(
            Impairment::Throttled,
            more,
            ("tenant-throttled", "the identity of one of two resources is throttled; the other one replaces other clients' operations"),
        ),
        tenants(Impairment::Refused, more, ("tenant-refused", "the identity of one of two resources is refused")),
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            budget: Budget { submissions: 2, impairments: 1, user_actions: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Adopt(0), UserAction::Adopt(1)],
            poll: 30,
            reports_time: false,
            ..tenants(
                Impairment::Refused,
                more,
                ("tenant-ambiguous", "the submissions of two resources are lost, and by its times an operation may belong to either"),
            )
        },
        tenants(Impairment::SecretDeleted, more, ("tenant-secret", "the Secret of one of two resources is deleted")),
        tenants(Impairment::Writes, more, ("tenant-unwritten", "every write of one of two resources fails")),
        tenants(Impairment::WritesDenied, more, ("denied-write", "every write of one of two resources is denied")),
        tenants(Impairment::WritesRefused, more, ("refused-write", "every write of one of two resources is refused")),
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            budget: Budget { submissions: 1, abandonments: 1, calls: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            ..Scenario::base("abandoned", "a reconciliation is abandoned at any point, by a timeout or a panic")
        },
    ]
}
