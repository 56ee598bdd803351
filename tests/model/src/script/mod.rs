//! A world of one resource whose events a test scripts: what users do, how the service behaves, and which responses differ. The simulated
//! [`world`](crate::world) below it is the one that is explored, and checks the invariants at each step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests use it: a violated invariant fails the test")]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "as above")]

mod observations;
mod service;
mod steps;
mod upstream;
mod world;

pub use service::{CallOutcome, Op, Service, SubmitOutcome, blocked, failed, missing, operation, polled, service_error, unreachable};
pub use steps::Ended;
pub use world::{World, at, model, named, secs, settings};
