//! Scenarios of the decision, invariants over random histories, and data that must not change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

mod driver;
mod invariants;
mod service;
mod simulation;
mod world;
