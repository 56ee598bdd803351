//! An operator: the controller's loop around the decision, one step at a time. `engine::reconcile` is the real one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tabular_operator::engine::{Leaving, Scratch, Seen, Step, TurnUse};

use super::Second;
use super::calls::Named;
use super::cluster::Object;

/// Where an operator is in its pass over one resource.
#[derive(Clone, Debug)]
pub enum Task {
    /// Not in a pass.
    Idle,
    /// Something was learnt, and comes into the next decision.
    Learnt {
        /// The resource as the pass knows it.
        view: Object,
        /// What was learnt.
        seen: Seen,
        /// How many decisions the pass has made.
        rounds: u8,
    },
    /// Decided, and not yet written. Nothing else happens before it is: a decision changes nothing but its own process.
    Decided {
        /// The resource as it was decided on.
        view: Object,
        /// What was decided.
        step: Arc<Step>,
        /// What it was decided on, where the service has just accepted an operation: that is written until it is written.
        accepted: Option<Seen>,
        /// How many decisions the pass has made.
        rounds: u8,
    },
    /// Written, and its effect comes next.
    Acting {
        /// The resource as it was written.
        view: Object,
        /// What was decided.
        step: Arc<Step>,
        /// How many decisions the pass has made.
        rounds: u8,
    },
}

/// What an operator has in mind of one resource.
#[derive(Clone, Debug)]
pub struct Mind {
    /// What the decision remembers.
    pub scratch: Scratch,
    /// Where the pass is.
    pub task: Task,
    /// When the next pass is due.
    pub due: Option<Second>,
    /// Whether somebody has changed it since, or it was woken.
    pub dirty: bool,
    /// The newest version that it has had in hand: what the watch shows, and what is remembered of its own writes, never goes back.
    pub known: u32,
    /// What the service accepted, while its id cannot be written.
    pub accepted: Option<Seen>,
    /// How many passes in a row have failed, as far as that counts.
    pub failures: u8,
    /// Its place in the queue, and of which model.
    pub turn: (u8, TurnUse),
}

impl Mind {
    fn new() -> Self {
        Self {
            scratch: Scratch::default(),
            task: Task::Idle,
            due: None,
            dirty: true,
            known: 0,
            accepted: None,
            failures: 0,
            turn: (0, TurnUse::Free),
        }
    }

    /// Whether a pass is due.
    #[must_use]
    pub fn is_due(&self, now: Second) -> bool {
        matches!(self.task, Task::Idle) && (self.dirty || self.due.is_some_and(|due| due <= now))
    }
}

/// Whether an operator may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// There is no other: leader election is off.
    Alone,
    /// It holds the Lease, and acts by it until then.
    Leads {
        /// By its monotonic clock.
        until: Second,
    },
    /// Another holds the Lease.
    StandsBy,
}

/// A process of the operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Whether it runs.
    pub up: bool,
    /// How far its wall clock is ahead of the true time.
    pub clock: Second,
    /// Whether it may act.
    pub standing: Standing,
    /// What it has heard of an uninstall.
    pub heard: Option<Leaving>,
    /// What it has in mind, by resource.
    pub minds: Vec<Mind>,
    /// The operations of resources that it has let go.
    pub departed: BTreeSet<Named>,
}

impl Operator {
    pub(super) fn new(resources: usize, standing: Standing) -> Self {
        Self { up: true, clock: 0, standing, heard: None, minds: vec![Mind::new(); resources], departed: BTreeSet::new() }
    }

    /// Started anew: it remembers nothing.
    pub(super) fn restart(&mut self, up: bool) {
        self.up = up;
        let standing = if self.standing == Standing::Alone { Standing::Alone } else { Standing::StandsBy };
        *self = Self { up, clock: self.clock, ..Self::new(self.minds.len(), standing) };
    }

    /// Whether there is anything that a SIGKILL would take from it.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.minds.iter().any(|mind| !matches!(mind.task, Task::Idle) || mind.scratch != Scratch::default() || mind.due.is_some())
    }
}
