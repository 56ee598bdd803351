//! Checks the guarantees of `docs/exactly-once.md` on the real state machine, `tabular_operator::engine::reconcile::Reconciliation`.
//!
//! A simulated [`world`] drives the machine, and the [`invariants`] are checked at each step. [`explore`] visits every state of the small
//! scenarios in the [`catalogue`]. [`random`] runs random schedules of large ones. From each state, [`quiesce`] plays a continuation without
//! faults and checks that each run ends and each deletion completes. A violation is printed as a [`trace`].

#![allow(clippy::cast_possible_truncation, reason = "small numbers: random choices, seconds, states of a small world")]
#![allow(clippy::missing_errors_doc, reason = "the error of an invariant is its violation")]
#![allow(
    clippy::match_same_arms,
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    reason = "a list of cases is easier to read one by one"
)]

pub mod catalogue;
pub mod explore;
pub mod invariants;
pub mod large;
pub mod quiesce;
pub mod random;
pub mod scenario;
pub mod script;
pub mod trace;
pub mod world;

#[cfg(test)]
mod tests;
