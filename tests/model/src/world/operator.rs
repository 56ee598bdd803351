//! An operator: its process, its memory, and its reconciliations in progress.

use std::sync::Arc;

use tabular_operator::engine::claims::Claims;
use tabular_operator::engine::reconcile::{PendingDecision, Reconciliation, Request, Response, Stage, Transient};
use tabular_operator::engine::{DrainMode, TurnQueue};

use super::Second;
use super::cluster::Object;

/// A reconciliation in progress.
#[derive(Clone, Debug)]
pub struct Task {
    /// The real machine.
    pub machine: Reconciliation<Object>,
    /// What it waits for.
    pub waits: Waits,
}

/// What a reconciliation waits for.
#[derive(Clone, Debug)]
pub enum Waits {
    /// Its request is about to be performed.
    Request(Request<Object>),
    /// Its request was performed, and the response is on the way.
    Response(Response<Object>),
}

impl Task {
    /// Whether it waits between a decision and its effect. Nothing else happens there: what comes before the effect changes nothing but
    /// the operator and the resource.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(
            self.machine.state().stage,
            Stage::Reading(_) | Stage::ReadingNamespace | Stage::Preparing(_) | Stage::Reserving(_) | Stage::Writing(_)
        )
    }

    /// The decision that it carries out.
    #[must_use]
    pub fn decision(&self) -> Option<&PendingDecision> {
        decision(&self.machine)
    }
}

/// The decision that a machine carries out.
#[must_use]
pub fn decision(machine: &Reconciliation<Object>) -> Option<&PendingDecision> {
    match machine.state().stage {
        Stage::Preparing(decision)
        | Stage::Reserving(decision)
        | Stage::Writing(decision)
        | Stage::Publishing(decision)
        | Stage::Checking(decision)
        | Stage::Changing(decision)
        | Stage::Calling(decision) => Some(decision),
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

/// What an operator has in mind of one resource.
#[derive(Clone, Debug, Default)]
pub struct Mind {
    /// What is kept in memory between two reconciliations.
    pub transient: Transient,
    /// The reconciliation in progress.
    pub task: Option<Arc<Task>>,
    /// When the next one is due.
    pub due: Option<Second>,
    /// Whether the resource has changed since, or was triggered.
    pub dirty: bool,
    /// The newest version that it has had in hand: what the watch shows, and what is remembered of its own writes, never goes back.
    pub known: u32,
    /// The resource with its operation that may be running.
    pub tracked: Option<Object>,
    /// What has become of the resource, as far as the operator has seen.
    pub gone: Gone,
}

/// What an operator makes of a resource that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gone {
    /// It exists, or the operator has not seen yet that it does not.
    #[default]
    No,
    /// Its operation is followed to the end.
    Detached,
    /// It is forgotten.
    Forgotten,
}

impl Mind {
    fn new() -> Self {
        Self { dirty: true, ..Self::default() }
    }

    /// What is kept in memory, as it is now.
    #[must_use]
    pub fn transient(&self) -> &Transient {
        self.task.as_ref().map_or(&self.transient, |task| task.machine.transient())
    }

    /// Whether a reconciliation is due.
    #[must_use]
    pub fn is_due(&self, now: Second) -> bool {
        self.task.is_none() && (self.dirty || self.due.is_some_and(|due| due <= now))
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
    pub heard: Option<DrainMode>,
    /// What it has in mind, by resource.
    pub minds: Vec<Mind>,
    /// The real queue of each model.
    pub queue: Arc<TurnQueue>,
    /// The real index of the operations that resources claim.
    pub claims: Arc<Claims>,
}

impl Operator {
    pub(super) fn new(resources: usize, standing: Standing) -> Self {
        Self {
            up: true,
            clock: 0,
            standing,
            heard: None,
            minds: vec![Mind::new(); resources],
            queue: Arc::default(),
            claims: Arc::default(),
        }
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
        self.minds
            .iter()
            .any(|mind| mind.task.is_some() || mind.transient != Transient::default() || mind.due.is_some() || mind.tracked.is_some())
    }

    /// Whether it still follows the operation of a resource that is gone.
    #[must_use]
    pub fn follows(&self, resource: usize) -> bool {
        let mind = &self.minds[resource];
        self.up && (mind.gone == Gone::Detached || mind.tracked.is_some() || mind.task.is_some())
    }
}
