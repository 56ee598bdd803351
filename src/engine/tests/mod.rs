//! Scenarios of the decision, invariants over random histories, and data that must not change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod driver;
mod invariants;
mod schedules;
mod service;
mod world;

mod accepted;
mod adoption;
mod bounds;
mod cancellations;
mod concurrency;
mod conflicts;
mod deletions;
mod drain;
mod ends;
mod evidence;
mod exactness;
mod followers;
mod forbidden;
mod lasting;
mod missing_model;
mod names;
mod newer;
mod operations;
mod queue;
mod references;
mod refusals;
mod restoration;
mod rivals;
mod simulation;
mod submissions;
mod syncs;
mod triggers;
mod user_decisions;
