//! Random schedules of large worlds: many resources, every fault, virtual time. One number makes a schedule, and makes it again.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::calm::{self, Known};
use crate::scenario::Scenario;
use crate::world::{Action, Broken, World};

/// How many steps a schedule has before it becomes calm, at most.
const STEPS: u64 = 400;

/// A stream of numbers from one seed (splitmix64).
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of so many.
    pub fn below(&mut self, count: u64) -> u64 {
        self.roll() % count.max(1)
    }
}

/// What a schedule came to.
pub struct Walk {
    /// The world that it began in.
    pub scenario: Arc<Scenario>,
    /// What happened.
    pub actions: Vec<Action>,
    /// The law that it broke.
    pub outcome: Result<(), Broken>,
}

/// How likely an action is among the others: operators mostly go on, and time goes by.
fn weight(action: &Action) -> u64 {
    use crate::world::How;
    match action {
        Action::Begin { age: 0, .. } | Action::Deliver { .. } | Action::Go { how: How::Well, .. } | Action::Tick => 60,
        Action::Renew { heard: true, .. } | Action::Take { .. } | Action::Exit { .. } | Action::Start { .. } => 40,
        Action::Go { .. } => 12,
        Action::End { .. } | Action::Show { .. } | Action::Arrive { .. } | Action::Land { .. } => 8,
        Action::Begin { .. } | Action::Renew { .. } | Action::Sleep { .. } | Action::Crash { .. } | Action::Abandon { .. } => 3,
        Action::Wish { .. } | Action::Stranger { .. } | Action::Vanish { .. } | Action::Ail { .. } | Action::See { .. } => 1,
        Action::Jump { .. } | Action::EndNamespace | Action::Rename | Action::Leave { .. } | Action::Stay => 1,
        Action::Heed { .. } | Action::Drained | Action::Strip { .. } | Action::Uninstall | Action::Install => 8,
    }
}

/// One schedule of a scenario that is made from the same seed.
#[must_use]
pub fn walk(make: &(impl Fn(&mut Dice) -> Scenario + ?Sized), seed: u64) -> Walk {
    let mut dice = Dice::new(seed);
    let scenario = Arc::new(make(&mut dice));
    let mut world = World::new(&scenario);
    let mut actions = Vec::new();
    let steps = 40 + dice.below(STEPS - 40);
    let is_committed = |mind: &crate::world::Mind| mind.task.as_ref().is_some_and(|task| task.is_committed());
    let idle = |world: &World| world.operators.iter().all(|it| !it.minds.iter().any(is_committed));
    let mut taken = 0;
    while taken < steps || !idle(&world) {
        taken += 1;
        let open = world.actions();
        let total: u64 = open.iter().map(weight).sum();
        if total == 0 {
            break;
        }
        let mut at = dice.below(total);
        let chosen = open.iter().find(|action| {
            let hit = at < weight(action);
            at = at.saturating_sub(weight(action));
            hit
        });
        let Some(action) = chosen else { break };
        actions.push(*action);
        if let Err(broken) = world.play(*action) {
            return Walk { scenario, actions, outcome: Err(broken) };
        }
    }
    let outcome = calm::down(&world, &Known::default(), |_, _| {});
    Walk { scenario, actions, outcome }
}

/// What many schedules came to.
#[derive(Debug)]
pub struct Walked {
    /// Schedules that were played.
    pub schedules: u64,
    /// Steps in all of them.
    pub steps: usize,
    /// The lowest seed that breaks a law.
    pub broken: Option<u64>,
}

/// Plays the schedules of so many seeds, from the first on.
#[must_use]
pub fn walk_many(make: &(dyn Fn(&mut Dice) -> Scenario + Sync), first: u64, count: u64, threads: usize) -> Walked {
    let (next, steps, broken) = (AtomicU64::new(first), AtomicUsize::new(0), Mutex::new(None::<u64>));
    let played = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let lowest = broken.lock().ok().and_then(|broken| *broken);
            if seed >= first.saturating_add(count) || lowest.is_some() {
                return;
            }
            let walk = walk(make, seed);
            played.fetch_add(1, Ordering::Relaxed);
            steps.fetch_add(walk.actions.len(), Ordering::Relaxed);
            if walk.outcome.is_err()
                && let Ok(mut broken) = broken.lock()
            {
                *broken = Some(broken.map_or(seed, |other| other.min(seed)));
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    Walked { schedules: played.into_inner(), steps: steps.into_inner(), broken: broken.into_inner().ok().flatten() }
}
