//! Checks the guarantees of `docs/exactly-once.md` on the real state machine, `tabular_operator::engine::reconcile::Reconciliation`.
//!
//! One [`world`] drives it, with the [`laws`] that must hold there. [`explore`] looks into every state of the small worlds
//! of the [`catalogue`], [`walk`] plays random schedules of large ones, and from each state that is met [`calm`] sees whether
//! everything comes to its end once nothing goes wrong any more. A law that is broken is told as a [`story`].

#![allow(clippy::cast_possible_truncation, reason = "small numbers: dice, seconds of a story, states of a small world")]
#![allow(clippy::missing_errors_doc, reason = "the error of a law is that it is broken")]
#![allow(
    clippy::match_same_arms,
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    reason = "a catalogue of cases reads better one by one"
)]

pub mod accepted;
pub mod calm;
pub mod catalogue;
pub mod explore;
pub mod large;
pub mod laws;
pub mod scenario;
pub mod story;
pub mod walk;
pub mod world;

#[cfg(test)]
mod tests;
