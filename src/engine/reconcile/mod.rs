//! One reconciliation as a state machine without I/O and without a clock: it maps each response of its driver to the next request.

mod check;
mod effects;
mod end;
mod failure;
mod in_memory_state;
mod machine;
mod messages;
mod pending_decision;
mod stage;
mod steps;
mod view;

pub use in_memory_state::{AcceptedSubmission, InMemoryState, Repeated};
pub use machine::Reconciliation;
pub use messages::{
    DriverRequest, DriverResponse, Finish, Freshness, Observed, Outcome, PlannedCall, QueueUpdate, ReadFailed, Rejection, RunRef, Tracking,
};
pub use pending_decision::{NextEffect, PendingDecision};
pub use stage::{MachineState, ReadPurpose, Stage};
pub use view::View;
