//! The decision: what is asked for, what is recorded, what was just learnt and the time, to a new record and one effect.
//!
//! Pure: no clock, no I/O, no tokio, no Kubernetes client, no HTTP. Read [`decide()`] from top to bottom, and then the file of
//! each state, to have read the promise: what is asked for runs exactly once, and nothing is left running unwatched.

mod cancellation;
mod cancelling;
pub mod claims;
mod conditions;
mod decide;
mod decision;
mod decisions;
mod deletion;
mod ending;
mod evidence;
mod failures;
mod followed;
mod gone;
mod idle;
mod input;
mod interrupts;
mod names;
mod next;
mod object_names;
mod observation;
mod pace;
mod pass;
mod poll;
mod progress;
mod refusals;
mod restoration;
mod running;
mod scheduled;
mod submission;
mod text;
mod triggers;
mod troubles;
mod turn_use;
mod turns;
mod waiting;

pub use decide::decide;
pub use decision::{Effect, Notice, Resolved, Scratch, Situation, Step};
pub use decisions::question;
pub use deletion::{namespace_patience, patience};
pub use ending::was_replaced;
pub use input::{
    Cure, Deletion, Desired, Fault, Followed, Following, Leaving, Policy, Requests, Schedule, Scheduled, Settings, Success, Surroundings,
    Work,
};
pub use observation::{Seen, Taken, Turn};
pub use text::sentence;
pub use turn_use::{TurnUse, turn_use, turn_use_unrecorded, unresolved_since};
pub use turns::TurnQueue;

#[cfg(test)]
mod tests;
