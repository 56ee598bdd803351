//! Random schedules of large worlds: many resources, all faults, virtual time. One seed always results in the same schedule.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use tabular_operator::api::Status;

use crate::invariants;
use crate::quiesce::{self, KnownStates};
use crate::scenario::Scenario;
use crate::world::{Action, RequestOutcome, Violation, World};

/// The most steps of a schedule before the continuation without faults.
const STEPS: u64 = 400;

/// A stream of numbers from one seed (splitmix64).
#[derive(Clone, Copy, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: u64) -> u64 {
        self.next_u64() % count.max(1)
    }
}

/// A random schedule, and its result.
pub struct Schedule {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The actions.
    pub actions: Vec<Action>,
    /// The violation, if there is one.
    pub outcome: Result<(), Violation>,
}

/// The weight of an action in the random choice: mostly operators proceed and time passes.
fn weight(action: &Action) -> u64 {
    use crate::world::RequestOutcome;
    match action {
        Action::Reconcile { age: 0, .. }
        | Action::Deliver { .. }
        | Action::Perform { outcome: RequestOutcome::Done, .. }
        | Action::Tick => 60,
        Action::Renew { confirmed: true, .. } | Action::AcquireLease { .. } | Action::Exit { .. } | Action::Start { .. } => 40,
        Action::Perform { .. } => 12,
        Action::EndOperation { .. } | Action::ShowOperation { .. } | Action::DeliverSubmission { .. } | Action::PerformLateWrite { .. } => {
            8
        }
        Action::Reconcile { .. } | Action::Renew { .. } | Action::Delay { .. } | Action::Crash { .. } | Action::Abandon { .. } => 3,
        Action::User { .. }
        | Action::OtherClient { .. }
        | Action::LoseOperation { .. }
        | Action::Impair { .. }
        | Action::SetVisibility { .. } => 1,
        Action::StepClock { .. }
        | Action::DeleteNamespace
        | Action::RetargetNames
        | Action::RequestDrain { .. }
        | Action::WithdrawDrain => 1,
        Action::ObserveDrain { .. } | Action::CompleteDrain | Action::RemoveFinalizer { .. } | Action::Uninstall | Action::Install => 8,
    }
}

/// Runs one schedule of a scenario that is made from the same seed.
#[must_use]
pub fn run(make: &(impl Fn(&mut Rng) -> Scenario + ?Sized), seed: u64) -> Schedule {
    let mut rng = Rng::new(seed);
    let scenario = Arc::new(make(&mut rng));
    let mut world = World::new(&scenario);
    let mut actions = Vec::new();
    let steps = 40 + rng.below(STEPS - 40);
    let is_committed = |state: &crate::world::ResourceState| state.task.as_ref().is_some_and(|task| task.is_committed());
    let idle = |world: &World| world.operators.iter().all(|it| !it.states.iter().any(is_committed));
    let mut records_accepted = vec![vec![false; world.resources.len()]; world.operators.len()];
    let mut count = 0;
    while count < steps || !idle(&world) {
        count += 1;
        let possible = world.actions();
        let total: u64 = possible.iter().map(weight).sum();
        if total == 0 {
            break;
        }
        let mut at = rng.below(total);
        let chosen = possible.iter().find(|action| {
            let hit = at < weight(action);
            at = at.saturating_sub(weight(action));
            hit
        });
        let Some(action) = chosen else { break };
        actions.push(*action);
        if let Action::Reconcile { operator, resource, .. } = *action {
            records_accepted[operator][resource] = world.operators[operator].states[resource].in_memory.accepted.is_some();
        }
        let before: Vec<Arc<Status>> = world.resources.iter().map(|resource| Arc::clone(&resource.now().status)).collect();
        if let Err(violation) = world.apply(*action).and_then(|()| check_written(&world, &before, (&actions, &records_accepted))) {
            return Schedule { scenario, actions, outcome: Err(violation) };
        }
    }
    let outcome = quiesce::run(&world, &KnownStates::default(), |_, _| {});
    Schedule { scenario, actions, outcome }
}

/// Checks the statuses that the operators have written, and that a reconciliation that has settled has nothing more to write.
fn check_written(world: &World, before: &[Arc<Status>], (actions, records_accepted): (&[Action], &[Vec<bool>])) -> Result<(), Violation> {
    let written = world.resources.iter().zip(before).map(|(resource, before)| (resource, resource.now(), before));
    let mut written = written.filter(|(resource, now, before)| !Arc::ptr_eq(&now.status, before) && !resource.is_edited(&now.status));
    written.try_for_each(|(_, now, _)| invariants::shown(now))?;
    let Some(Action::Deliver { operator, resource } | Action::Perform { operator, resource, .. }) = actions.last() else { return Ok(()) };
    let (state, it) = (&world.operators[*operator].states[*resource], &world.resources[*resource]);
    let is_start =
        |action: &&Action| matches!(action, Action::Reconcile { operator: by, resource: of, .. } if (by, of) == (operator, resource));
    let is_time = |action: &Action| {
        let outcome = matches!(action, Action::Perform { outcome: RequestOutcome::Slow(_), .. });
        outcome || matches!(action, Action::Tick | Action::Delay { .. } | Action::StepClock { .. })
    };
    // Time that passes during a reconciliation is news.
    // The decision that records an earlier accepted submission applies no annotation: the next one does.
    let records_accepted = records_accepted[*operator][*resource];
    let is_slow = actions.iter().rev().take_while(|action| !is_start(action)).any(is_time);
    let has_failed = state.in_memory.failures > 0 || state.in_memory.reread || state.known != it.now().version;
    if is_slow || has_failed || records_accepted { Ok(()) } else { invariants::settled(world, *operator, *resource, true) }
}

/// The result of many schedules.
#[derive(Debug)]
pub struct Schedules {
    /// The number of schedules that were run.
    pub schedules: u64,
    /// The number of steps in all of them.
    pub steps: usize,
    /// The lowest seed with a violation.
    pub violation: Option<u64>,
}

/// Runs the schedules of `count` seeds, from the first on.
#[must_use]
pub fn run_many(make: &(dyn Fn(&mut Rng) -> Scenario + Sync), first: u64, count: u64, threads: usize) -> Schedules {
    let (next, steps, violation) = (AtomicU64::new(first), AtomicUsize::new(0), Mutex::new(None::<u64>));
    let finished = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let lowest = violation.lock().ok().and_then(|violation| *violation);
            if seed >= first.saturating_add(count) || lowest.is_some() {
                return;
            }
            let schedule = run(make, seed);
            finished.fetch_add(1, Ordering::Relaxed);
            steps.fetch_add(schedule.actions.len(), Ordering::Relaxed);
            if schedule.outcome.is_err()
                && let Ok(mut violation) = violation.lock()
            {
                *violation = Some(violation.map_or(seed, |other| other.min(seed)));
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    Schedules { schedules: finished.into_inner(), steps: steps.into_inner(), violation: violation.into_inner().ok().flatten() }
}
