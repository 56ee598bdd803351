//! The rules of a decision: one file for each state of a run, and one for each rule that states share. A rule changes the draft of a
//! decision and returns what to do next.
//!
//! - Without a run in progress: `idle`, with `triggers`, `schedule` and `upstream`.
//! - `Waiting`: `waiting`. `Submitting`: `submitting`, with `evidence`. `Running`: `running`. `Cancelling`: `cancelling`.
//! - A resource that is being deleted: `deletion`, with `finalizer`.
//!
//! The other files have what several states share.

pub(super) mod cancel_request;
pub(super) mod cancelling;
pub(super) mod completion;
pub(super) mod deletion;
pub(super) mod errors;
mod evidence;
mod failures;
pub(super) mod finalizer;
pub(super) mod idle;
pub(super) mod interrupts;
mod missing_model;
mod model_names;
mod object_names;
mod poll;
mod progress;
mod refusals;
pub(super) mod restoration;
pub(super) mod running;
pub(super) mod schedule;
pub(super) mod submitting;
mod triggers;
pub(super) mod upstream;
pub(super) mod user_decisions;
pub(super) mod waiting;

pub use completion::was_replaced;
pub use deletion::{deletion_timeout, namespace_time_left};
pub use user_decisions::resubmit_value;
