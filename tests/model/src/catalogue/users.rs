//! Scenarios of the actions of users.

use tabular_operator::api::{ConcurrencyPolicy, DeletionPolicy, RunState};

use super::specs::with;
use crate::scenario::{Budget, Scenario};
use crate::world::{RequestOutcome, UserAction};

/// These scenarios, with `more` faults and user actions.
pub(super) fn scenarios(more: u8) -> Vec<Scenario> {
    vec![
        Scenario {
            budget: Budget { submissions: 1, crashes: 1, user_actions: 1 + more, calls: more, stale: more, ..Budget::default() },
            user_actions: vec![UserAction::Token, UserAction::RefreshType, UserAction::Request, UserAction::Suspend, UserAction::Delete],
            lag: 30,
            ..Scenario::base("users", "users change, trigger, suspend and delete the resource at any moment")
        },
        Scenario {
            budget: Budget {
                submissions: 1,
                crashes: 1,
                user_actions: 1 + more,
                lost_operations: 1,
                calls: more,
                stale: more,
                ..Budget::default()
            },
            user_actions: vec![UserAction::Delete, UserAction::Release, UserAction::Deletion(DeletionPolicy::Orphan)],
            lag: 30,
            ..Scenario::base(
                "deletion",
                "the resource is deleted, released or orphaned at any moment, and the service may lose the operation",
            )
        },
        Scenario {
            budget: Budget {
                submissions: 1,
                unprepared: 1 + more,
                crashes: 1,
                user_actions: 1,
                calls: more,
                delays: more,
                ..Budget::default()
            },
            deletes_namespace: true,
            ..Scenario::base("namespace", "the whole namespace is deleted, and the Secret with it")
        },
        Scenario {
            budget: Budget { user_actions: 1, calls: 1, submissions: more, ..Budget::default() },
            deletes_namespace: true,
            ..Scenario::base("slow-namespace", "the namespace is deleted while calls to the service hang")
        },
        Scenario {
            specs: with(|spec| spec.stale_after_seconds = Some(60)),
            budget: Budget { submissions: 1, user_actions: 1 + more, failures: 1, crashes: more, calls: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            user_actions: vec![UserAction::StaleAfter, UserAction::Request, UserAction::Suspend, UserAction::Delete],
            ..Scenario::base("freshness", "the data becomes stale at any moment of a run, and users set and remove its maximum age")
        },
        Scenario {
            budget: Budget { calls: 1, unprepared: 1, user_actions: 2, stale: more, failures: more, ..Budget::default() },
            user_actions: vec![UserAction::Check, UserAction::Delete],
            ..Scenario::base("checks", "a user requests checks at any moment of a run, and their reads and writes fail")
        },
        Scenario {
            budget: Budget { submissions: 1, crashes: 1, user_actions: 2, calls: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Check, UserAction::Suspend],
            ..Scenario::base("killed-checks", "the operator is killed at any moment of a check, and submissions are lost")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace),
            budget: Budget { submissions: 1, crashes: 1, user_actions: 2, calls: more, stale: more, ..Budget::default() },
            user_actions: vec![UserAction::Token, UserAction::Concurrency(ConcurrencyPolicy::Forbid), UserAction::Delete],
            ..Scenario::base("replacement", "a new trigger replaces the run, or is dropped")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace),
            budget: Budget { user_actions: 2 + more, crashes: more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::RefreshType, UserAction::Request, UserAction::ReplaceManifest],
            ..Scenario::base("reverted-changes", "users revert changes and replace the manifest under Replace")
        },
        Scenario {
            budget: Budget { user_actions: 2 + more, crashes: more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::RefreshType, UserAction::Request, UserAction::ReplaceManifest, UserAction::Suspend],
            ..Scenario::base("queued", "users revert changes, replace the manifest and suspend while a run is queued")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid),
            budget: Budget { user_actions: 2 + more, failures: 1, crashes: more, calls: more, ..Budget::default() },
            user_actions: vec![UserAction::Token, UserAction::RefreshType, UserAction::Request],
            ..Scenario::base("forbidden", "users change the spec and request runs under Forbid")
        },
        Scenario {
            budget: Budget { submissions: 1, user_actions: 2, failures: more, crashes: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter],
            user_actions: vec![UserAction::EditState(RunState::Succeeded), UserAction::EditState(RunState::Waiting), UserAction::Delete],
            ..Scenario::base("edited", "a user edits the state of the run in the status")
        },
        Scenario {
            specs: with(|spec| spec.backoff_limit = 1),
            budget: Budget {
                submissions: 1,
                failures: 1,
                crashes: more,
                user_actions: 2,
                calls: more,
                stale: more,
                lost_operations: more,
                ..Budget::default()
            },
            user_actions: vec![UserAction::Cancel, UserAction::Token],
            lag: 30,
            ..Scenario::base("cancellation", "a user cancels runs that are running, waiting, unresolved or just ended")
        },
        Scenario {
            budget: Budget { submissions: 1, other_operations: 1, user_actions: 1 + more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostAfter, RequestOutcome::Late],
            user_actions: vec![
                UserAction::Adopt(0),
                UserAction::Adopt(1),
                UserAction::Resubmit,
                UserAction::RefreshType,
                UserAction::Delete,
            ],
            lag: 30,
            ..Scenario::base("user-decisions", "a user decides what a submission started, correctly or not, early or late")
        },
        Scenario {
            budget: Budget { submissions: 2 + more, user_actions: 2, crashes: more, calls: more, ..Budget::default() },
            submission_outcomes: vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter],
            user_actions: vec![UserAction::Resubmit, UserAction::ResubmitFirst, UserAction::Token],
            max_rows: Some(0),
            ..Scenario::base("decisions", "the lists are empty, so a user decides each time; some annotations are left over")
        },
        Scenario {
            budget: Budget { submissions: 1, user_actions: 2, calls: more, failures: more, ..Budget::default() },
            user_actions: vec![UserAction::RemoveFinalizer, UserAction::Delete],
            lag: 30,
            ..Scenario::base("detached", "a user removes the finalizer by force and deletes the resource; its operation is still tracked")
        },
    ]
}
