//! The decision as stories, as laws over random histories, and as what must stay as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod laws;
mod service;
mod world;

mod simulation;
mod triggers;
