//! The fuzz targets: one for each parser of external input.
//!
//! A target accepts any bytes and panics if an invariant is violated. `make fuzz` searches for such inputs, `make test` runs all
//! targets over the corpus, and `cargo run -p fuzz -- TARGET FILE` replays one input. The invariants are in [`invariants`] and in
//! each target.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::must_use_candidate, reason = "a target may discard the values that it checks")]
#![allow(clippy::missing_panics_doc, reason = "a panic reports a violated invariant")]

pub mod fixtures;
pub mod invariants;
pub mod mutate;
pub mod paths;
pub mod response;
mod targets;

pub use targets::{TARGETS, Target, target};
