//! Large random worlds for the random schedules.

use tabular_operator::api::{ConcurrencyPolicy, ConflictPolicy, DeletionPolicy};
use tabular_operator::engine::reconcile::Rejection;
use tabular_operator::operation::{FailureCause, Phase, ServiceErrorKind};

use crate::catalogue::{OTHERS, OURS};
use crate::random::Rng;
use crate::scenario::{Budget, Impairment, Scenario, by_ids, by_names, of_one_table, spec, sync, times};
use crate::world::object::Spec;
use crate::world::{RequestOutcome, UserAction, Visibility};

/// A large world: several resources on several models, with all policies and faults.
#[must_use]
pub fn large(rng: &mut Rng) -> Scenario {
    let count = 1 + rng.below(5);
    let any = |rng: &mut Rng, most: u64| u8::try_from(rng.below(most)).unwrap_or(0);
    // A request for a whole model cannot be distinguished from another client's refresh of some of its tables. This is a known gap.
    let of_tables = rng.below(2) == 0;
    let mut specs: Vec<Spec> = (0..count)
        .map(|index| {
            let model = any(rng, 2);
            // The first resource, a refresh, is the upstream of the others.
            let after = (index > 0 && rng.below(3) == 0).then_some("resource-0");
            let deadlines = ([60, 86_400][rng.below(2) as usize], [60, 86_400][rng.below(2) as usize]);
            let backoff = i32::from(any(rng, 3));
            if index > 0 && rng.below(3) == 0 {
                let mut spec = sync(model, after);
                (spec.active_deadline_seconds, spec.wait_deadline_seconds) = deadlines;
                spec.backoff_limit = backoff;
                return Spec::Sync(spec);
            }
            let mut spec = match rng.below(6) {
                0 => by_names(),
                1 => by_ids(model),
                _ => spec(model),
            };
            if of_tables {
                spec.refresh = of_one_table(model).refresh;
            }
            spec.trigger = sync(model, after).trigger;
            if after.is_none() && rng.below(4) == 0 {
                spec.trigger = Some(times("1,2,5,6 12 1 1 *"));
            }
            spec.concurrency_policy =
                [ConcurrencyPolicy::Queue, ConcurrencyPolicy::Replace, ConcurrencyPolicy::Forbid][rng.below(3) as usize];
            spec.conflict_policy = [ConflictPolicy::Wait, ConflictPolicy::Fail, ConflictPolicy::Replace][rng.below(3) as usize];
            (spec.active_deadline_seconds, spec.wait_deadline_seconds) = deadlines;
            spec.backoff_limit = backoff;
            Spec::Refresh(spec)
        })
        .collect();
    // A copy of the stream, so that the rest of the world of a seed stays the same.
    let mut ages = *rng;
    for spec in &mut specs {
        if let Spec::Refresh(spec) = spec {
            spec.stale_after_seconds = [None, None, Some(60), Some(180)][ages.below(4) as usize];
        }
    }
    let user_actions = [
        UserAction::Token,
        UserAction::RefreshType,
        UserAction::Request,
        UserAction::Cancel,
        UserAction::Suspend,
        UserAction::StaleAfter,
        UserAction::Model,
        UserAction::Concurrency(ConcurrencyPolicy::Replace),
        UserAction::Concurrency(ConcurrencyPolicy::Forbid),
        UserAction::Conflict(ConflictPolicy::Wait),
        UserAction::Conflict(ConflictPolicy::Fail),
        UserAction::Conflict(ConflictPolicy::Replace),
        UserAction::Deletion(DeletionPolicy::Orphan),
        UserAction::Deletion(DeletionPolicy::Cancel),
        UserAction::Adopt(0),
        UserAction::Adopt(2),
        UserAction::Resubmit,
        UserAction::ResubmitFirst,
        UserAction::Release,
        UserAction::Delete,
        UserAction::Check,
    ];
    let lag = [0, 10, 120][rng.below(3) as usize];
    let operators = 1 + usize::from(rng.below(4) == 0);
    // A list that is always truncated and out of order never shows whether a refresh is running. A sync would wait for its deadline, which
    // does not pass in these worlds.
    let short = rng.below(5) == 0;
    let impairments = [
        Impairment::Throttled,
        Impairment::Refused,
        Impairment::SecretDeleted,
        Impairment::Writes,
        Impairment::WritesDenied,
        Impairment::WritesRefused,
        Impairment::InvalidSpec,
        Impairment::UnmatchedNames,
    ];
    let causes = [None, Some(FailureCause::Evicted), Some(FailureCause::NodeMoved), Some(FailureCause::TotalTimeLimit)];
    Scenario {
        specs,
        operators,
        budget: Budget {
            submissions: any(rng, 6),
            calls: any(rng, 8),
            unprepared: any(rng, 4),
            stale: any(rng, 6),
            crashes: any(rng, 4),
            delays: any(rng, 6),
            spurious: any(rng, 4),
            user_actions: any(rng, 12),
            other_operations: any(rng, 4),
            failures: any(rng, 5),
            lost_operations: any(rng, 3),
            clock_steps: any(rng, 2),
            drains: any(rng, 2),
            appearances: any(rng, 6),
            impairments: any(rng, 2),
            visibility_changes: any(rng, 3),
            abandonments: any(rng, 4),
        },
        submission_outcomes: vec![
            RequestOutcome::LostBefore,
            RequestOutcome::LostAfter,
            RequestOutcome::Late,
            RequestOutcome::Refused(ServiceErrorKind::Throttled),
            RequestOutcome::Refused(ServiceErrorKind::AccessDenied),
            RequestOutcome::Refused(ServiceErrorKind::Rejected),
        ],
        user_actions: user_actions.to_vec(),
        outcomes: vec![Phase::Failed, Phase::TimedOut, Phase::Cancelled],
        other_requests: OTHERS.into_iter().filter(|(_, appearance)| !short || appearance.keeps_order()).collect(),
        appearances: OURS.to_vec(),
        impairment: Some(impairments[rng.below(8) as usize]),
        late_writes: rng.below(2) == 0,
        rejections: vec![Rejection::Conflict, Rejection::NotFound, Rejection::Permanent, Rejection::Temporary],
        visibility_changes: vec![Visibility::All, Visibility::Deleted, Visibility::Hidden],
        deletes_namespace: rng.below(8) == 0,
        adopts_orphans: true,
        lag,
        // What the list lag and the resolution of the clocks allow. If another operator takes over, a clock that is ahead is equivalent to
        // one that was set back.
        clock_steps: if lag < 120 && operators == 1 { vec![-1, 60] } else { vec![-1] },
        max_rows: short.then_some(2),
        retargets_names: rng.below(2) == 0,
        service_ahead: [-240, 0, 240][rng.below(3) as usize],
        reports_time: rng.below(2) == 0,
        failure_cause: causes[rng.below(4) as usize],
        replicas: rng.below(8) > 0,
        delay_lengths: vec![7, 31, 200],
        poll: [5, 10, 30][rng.below(3) as usize],
        call_timeout: 30,
        listing_lag: 120,
        ..Scenario::base("large", "many resources on several models, every policy and every fault")
    }
}
