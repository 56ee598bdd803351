//! Large worlds, made of dice, for the random schedules.

use tabular_operator::api::{ConcurrencyPolicy, ConflictPolicy, DeletionPolicy};
use tabular_operator::engine::reconcile::Rejection;
use tabular_operator::operation::{Phase, ServiceErrorKind};

use crate::catalogue::{OTHERS, OURS};
use crate::scenario::{Ail, Left, Scenario, by_ids, by_names, of_one_table, spec, sync, times};
use crate::walk::Dice;
use crate::world::cluster::Spec;
use crate::world::{How, Sight, Wish};

/// A large world: several resources on several models, every policy, every fault.
#[must_use]
pub fn large(dice: &mut Dice) -> Scenario {
    let count = 1 + dice.below(5);
    let any = |dice: &mut Dice, most: u64| u8::try_from(dice.below(most)).unwrap_or(0);
    // Whoever asks for a whole model cannot tell it from another client's refresh of some of its tables, a known gap.
    let of_tables = dice.below(2) == 0;
    let specs = (0..count)
        .map(|index| {
            let model = any(dice, 2);
            // The others follow the first, which is a refresh.
            let after = (index > 0 && dice.below(3) == 0).then_some("resource-0");
            let deadlines = ([60, 86_400][dice.below(2) as usize], [60, 86_400][dice.below(2) as usize]);
            let backoff = i32::from(any(dice, 3));
            if index > 0 && dice.below(3) == 0 {
                let mut spec = sync(model, after);
                (spec.active_deadline_seconds, spec.wait_deadline_seconds) = deadlines;
                spec.backoff_limit = backoff;
                return Spec::Sync(spec);
            }
            let mut spec = match dice.below(6) {
                0 => by_names(),
                1 => by_ids(model),
                _ => spec(model),
            };
            if of_tables {
                spec.refresh = of_one_table(model).refresh;
            }
            spec.trigger = sync(model, after).trigger;
            if after.is_none() && dice.below(4) == 0 {
                spec.trigger = Some(times("1,2,5,6 12 1 1 *"));
            }
            spec.concurrency_policy =
                [ConcurrencyPolicy::Queue, ConcurrencyPolicy::Replace, ConcurrencyPolicy::Forbid][dice.below(3) as usize];
            spec.conflict_policy = [ConflictPolicy::Wait, ConflictPolicy::Fail, ConflictPolicy::Replace][dice.below(3) as usize];
            (spec.active_deadline_seconds, spec.wait_deadline_seconds) = deadlines;
            spec.backoff_limit = backoff;
            Spec::Refresh(spec)
        })
        .collect();
    let wishes = [
        Wish::Token,
        Wish::Work,
        Wish::Request,
        Wish::Cancel,
        Wish::Suspend,
        Wish::Model,
        Wish::Concurrency(ConcurrencyPolicy::Replace),
        Wish::Concurrency(ConcurrencyPolicy::Forbid),
        Wish::Conflict(ConflictPolicy::Wait),
        Wish::Conflict(ConflictPolicy::Fail),
        Wish::Conflict(ConflictPolicy::Replace),
        Wish::Deletion(DeletionPolicy::Orphan),
        Wish::Deletion(DeletionPolicy::Cancel),
        Wish::Adopt(0),
        Wish::Adopt(2),
        Wish::Resubmit,
        Wish::Leftover,
        Wish::Release,
        Wish::Delete,
    ];
    let lag = [0, 10, 120][dice.below(3) as usize];
    let operators = 1 + usize::from(dice.below(4) == 0);
    // A list that is short for good, and out of order for good, never tells whether a refresh runs: a sync would wait for its
    // deadline, which is not met in these worlds.
    let short = dice.below(5) == 0;
    let ails = [Ail::Throttled, Ail::Refused, Ail::SecretGone, Ail::Writes, Ail::WritesDenied, Ail::WritesRefused];
    Scenario {
        specs,
        operators,
        left: Left {
            posts: any(dice, 6),
            calls: any(dice, 8),
            unprepared: any(dice, 4),
            stale: any(dice, 6),
            crashes: any(dice, 4),
            delays: any(dice, 6),
            wakes: any(dice, 4),
            wishes: any(dice, 12),
            strangers: any(dice, 4),
            failures: any(dice, 5),
            vanishes: any(dice, 3),
            jumps: any(dice, 2),
            leaves: any(dice, 2),
            guises: any(dice, 6),
            ails: any(dice, 2),
            sights: any(dice, 3),
            abandons: any(dice, 4),
        },
        posts: vec![
            How::LostBefore,
            How::LostAfter,
            How::Late,
            How::Refused(ServiceErrorKind::Throttled),
            How::Refused(ServiceErrorKind::AccessDenied),
            How::Refused(ServiceErrorKind::Rejected),
        ],
        wishes: wishes.to_vec(),
        ends: vec![Phase::Failed, Phase::TimedOut, Phase::Cancelled],
        others: OTHERS.into_iter().filter(|(_, guise)| !short || guise.keeps_order()).collect(),
        guises: OURS.to_vec(),
        ail: Some(ails[dice.below(6) as usize]),
        late_writes: dice.below(2) == 0,
        rejections: vec![Rejection::Conflict, Rejection::NotFound, Rejection::Denied, Rejection::Refused],
        sights: vec![Sight::All, Sight::Deleted, Sight::Hidden],
        namespace_ends: dice.below(8) == 0,
        orphans: true,
        lag,
        // What the listing lag leaves, and the grain of the clocks. Where another operator takes over, one clock that is ahead is
        // the other that is set back.
        jumps: if lag < 120 && operators == 1 { vec![-1, 60] } else { vec![-1] },
        rows: short.then_some(2),
        renames: dice.below(2) == 0,
        service_ahead: [-240, 0, 240][dice.below(3) as usize],
        tells_time: dice.below(2) == 0,
        sleeps: vec![7, 31, 200],
        poll: [5, 10, 30][dice.below(3) as usize],
        call_timeout: 30,
        listing_lag: 120,
        ..Scenario::calm("large", "many resources on several models, every policy and every fault")
    }
}
