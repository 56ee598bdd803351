//! Scenarios of one resource: lost submissions, crashes, failed operations, deadlines and schedules.

use tabular_operator::api::ModelSyncSpec;
use tabular_operator::operation::{Phase, ServiceErrorKind};

use super::specs::with;
use crate::scenario::{Budget, Scenario, by_names, spec, sync, times};
use crate::world::object::Spec;
use crate::world::{RequestOutcome, UserAction};

/// These scenarios, with `more` faults and user actions.
pub(super) fn scenarios(more: u8) -> Vec<Scenario> {
    let busy = [
        RequestOutcome::LostBefore,
        RequestOutcome::LostAfter,
        RequestOutcome::Late,
        RequestOutcome::Refused(ServiceErrorKind::Throttled),
        RequestOutcome::Refused(ServiceErrorKind::Rejected),
    ];
    vec![
        Scenario {
            budget: Budget { submissions: 2, crashes: 1, calls: more, stale: more, delays: more, ..Budget::default() },
            submission_outcomes: busy.to_vec(),
            lag: 30,
            ..Scenario::base("lost-responses", "submissions are lost, late or refused, and shown late; the operator is killed once")
        },
        Scenario {
            budget: Budget { submissions: 1, calls: 1, stale: 1, crashes: 1 + more, delays: more, unprepared: more, ..Budget::default() },
            ..Scenario::base(
                "crashes",
                "the operator is killed twice, its views are stale, and its writes are lost before or after they are performed",
            )
        },
        Scenario {
            specs: with(|spec| spec.backoff_limit = 1),
            budget: Budget { submissions: 1, failures: 2, crashes: 1, calls: more, stale: more, ..Budget::default() },
            outcomes: vec![Phase::Failed, Phase::TimedOut, Phase::Cancelled],
            user_actions: vec![UserAction::Token, UserAction::Delete],
            lag: 30,
            ..Scenario::base("attempts", "operations fail, and the run has a second attempt")
        },
        Scenario {
            specs: with(|spec| (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60)),
            budget: Budget { submissions: 1, crashes: 1, other_operations: 1, delays: more, lost_operations: more, ..Budget::default() },
            lag: 30,
            ..Scenario::base("deadlines", "both deadlines pass while responses are lost")
        },
        Scenario {
            specs: vec![Spec::Sync(ModelSyncSpec { backoff_limit: 1, active_deadline_seconds: 60, ..sync(0, None) })],
            budget: Budget { submissions: 1, failures: 1, crashes: 1, user_actions: 1, calls: more, delays: more, ..Budget::default() },
            user_actions: if more > 0 {
                vec![UserAction::Token, UserAction::Suspend, UserAction::Cancel, UserAction::Delete]
            } else {
                vec![UserAction::Token, UserAction::Cancel, UserAction::Delete]
            },
            lag: 30,
            ..Scenario::base("sync", "a sync, which cannot be cancelled, fails, is triggered again, and is deleted")
        },
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Sync(sync(0, Some("resource-0")))],
            budget: Budget { submissions: 1, crashes: 1, user_actions: more, ..Budget::default() },
            user_actions: vec![UserAction::Token],
            ..Scenario::base("dependent", "a sync runs after a refresh")
        },
        Scenario {
            specs: with(|spec| spec.trigger = Some(times("1,3 12 1 1 *"))),
            budget: Budget { submissions: 1, crashes: more, user_actions: more, delays: 1, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Suspend, UserAction::Token, UserAction::Delete],
            delay_lengths: vec![200],
            poll: 20,
            ..Scenario::base("schedule", "runs are due by the schedule while responses are lost and the operator is late")
        },
        Scenario {
            specs: vec![Spec::Refresh(by_names())],
            budget: Budget { submissions: 1, crashes: 1, user_actions: 1 + more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::Token, UserAction::Delete],
            retargets_names: true,
            lag: 30,
            ..Scenario::base("names", "the model is given by names, which refer to another model later")
        },
    ]
}
