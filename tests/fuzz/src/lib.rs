//! The fuzz targets: one for each reader of what comes from outside.
//!
//! A target takes any bytes and panics where a law is broken: `make fuzz` tries to make it, `make test` runs all of them over
//! the corpus, and `cargo run -p fuzz -- TARGET FILE` plays one input again. What is asserted beside "it does not panic"
//! stands in [`invariants`] and in each target.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::must_use_candidate, reason = "a target may let go of what it has checked")]
#![allow(clippy::missing_panics_doc, reason = "everything here panics where a law is broken: that is what it is for")]

pub mod fixtures;
pub mod invariants;
pub mod mutate;
pub mod paths;
pub mod response;
mod targets;

pub use targets::{TARGETS, Target, target};
