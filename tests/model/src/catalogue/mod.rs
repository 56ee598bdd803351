//! The scenarios by name: those in which all invariants hold, and the known gaps.

mod all;
mod appearances;
mod known_gaps;
mod operators;
mod resources;
mod runs;
mod service;
mod specs;
mod users;

pub use all::{Size, scenarios};
pub(crate) use appearances::{OTHERS, OURS};
pub use known_gaps::known_gaps;
