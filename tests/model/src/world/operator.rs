//! An operator: its process, its memory, and its reconciliations in progress.

use std::sync::Arc;

use tabular_operator::engine::claims::Claims;
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, InMemoryState, PendingDecision, Reconciliation, Stage};
use tabular_operator::engine::{DrainMode, TurnQueue};

use super::Seconds;
use super::object::Object;

/// A reconciliation in progress.
#[derive(Clone, Debug)]
pub struct Task {
    /// The real machine.
    pub machine: Reconciliation<Object>,
    /// What it waits for.
    pub pending: Pending,
}

/// What a reconciliation waits for.
#[derive(Clone, Debug)]
pub enum Pending {
    /// Its request will be performed.
    Request(DriverRequest<Object>),
    /// Its request was performed, and the response will be delivered.
    Response(DriverResponse<Object>),
}

impl Task {
    /// Whether it is between a decision and its effect. Nothing else happens there, because its requests before the effect change only the
    /// operator and the resource.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(
            self.machine.state().stage,
            Stage::Reading(_) | Stage::ReadingNamespace | Stage::Preparing(_) | Stage::Reserving(_) | Stage::Writing(_)
        )
    }

    /// The decision that it executes.
    #[must_use]
    pub fn decision(&self) -> Option<&PendingDecision> {
        decision(&self.machine)
    }
}

/// The decision that a machine executes.
#[must_use]
pub fn decision(machine: &Reconciliation<Object>) -> Option<&PendingDecision> {
    match machine.state().stage {
        Stage::Preparing(decision)
        | Stage::Reserving(decision)
        | Stage::Writing(decision)
        | Stage::Publishing(decision)
        | Stage::Checking(decision)
        | Stage::Changing(decision)
        | Stage::Calling(decision)
        | Stage::RunningCheck(decision) => Some(decision),
        Stage::Initial
        | Stage::Reading(_)
        | Stage::ReadingNamespace
        | Stage::Observing(_)
        | Stage::Removing
        | Stage::Reporting
        | Stage::Acquiring
        | Stage::Ended => None,
    }
}

/// The state of one resource in the memory of an operator.
#[derive(Clone, Debug, Default)]
pub struct ResourceState {
    /// The state that is kept between two reconciliations.
    pub in_memory: InMemoryState,
    /// The reconciliation in progress.
    pub task: Option<Arc<Task>>,
    /// When the next one is due.
    pub due: Option<Seconds>,
    /// Whether the resource has changed since, or was triggered.
    pub dirty: bool,
    /// The newest version that it knows. The cache and the remembered writes never go back.
    pub known: u32,
    /// The resource, if its operation may be running.
    pub tracked: Option<Object>,
    /// Whether the resource exists, as far as the operator has observed.
    pub existence: Existence,
}

/// How an operator handles a resource, by whether it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existence {
    /// It exists, or the operator has not observed its deletion yet.
    #[default]
    Present,
    /// It was deleted, and its operation is tracked to the end.
    Detached,
    /// It was deleted, and the operator keeps nothing of it.
    Forgotten,
}

impl ResourceState {
    fn new() -> Self {
        Self { dirty: true, ..Self::default() }
    }

    /// The current state in memory.
    #[must_use]
    pub fn in_memory(&self) -> &InMemoryState {
        self.task.as_ref().map_or(&self.in_memory, |task| task.machine.in_memory())
    }

    /// Whether a reconciliation is due.
    #[must_use]
    pub fn is_due(&self, now: Seconds) -> bool {
        self.task.is_none() && (self.dirty || self.due.is_some_and(|due| due <= now))
    }
}

/// Whether an operator may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Leader election is disabled.
    NoElection,
    /// It holds the Lease, and acts on it until then.
    Leader {
        /// By its monotonic clock.
        until: Seconds,
    },
    /// It is a candidate: another operator holds the Lease.
    Standby,
}

/// A process of the operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Whether it is running.
    pub up: bool,
    /// How far its wall clock is ahead of the true time, in seconds.
    pub clock: Seconds,
    /// Whether it may act.
    pub leadership: Leadership,
    /// The drain that it has observed.
    pub observed_drain: Option<DrainMode>,
    /// Its state of each resource.
    pub states: Vec<ResourceState>,
    /// The real queue of each model.
    pub queue: Arc<TurnQueue>,
    /// The real index of the operations that resources claim.
    pub claims: Arc<Claims>,
}

impl Operator {
    pub(super) fn new(resources: usize, leadership: Leadership) -> Self {
        Self {
            up: true,
            clock: 0,
            leadership,
            observed_drain: None,
            states: vec![ResourceState::new(); resources],
            queue: Arc::default(),
            claims: Arc::default(),
        }
    }

    /// Restarts it: its memory is lost.
    pub(super) fn restart(&mut self, up: bool) {
        self.up = up;
        let leadership = if self.leadership == Leadership::NoElection { Leadership::NoElection } else { Leadership::Standby };
        *self = Self { up, clock: self.clock, ..Self::new(self.states.len(), leadership) };
    }

    /// Whether a SIGKILL would lose anything.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.states.iter().any(|state| {
            state.task.is_some() || state.in_memory != InMemoryState::default() || state.due.is_some() || state.tracked.is_some()
        })
    }

    /// Whether it still tracks the operation of a deleted resource.
    #[must_use]
    pub fn tracks(&self, resource: usize) -> bool {
        let state = &self.states[resource];
        self.up && (state.existence == Existence::Detached || state.tracked.is_some() || state.task.is_some())
    }
}
