//! Scenarios: what a user does or a service reports, and the resulting decision, in the simulated world of the model check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod accepted;
mod adoption;
mod bounds;
mod cancellations;
mod checks;
mod competing_submissions;
mod completion;
mod concurrency;
mod conflicts;
mod delays;
mod deletions;
mod dependents;
mod drain;
mod edited_runs;
mod evidence;
mod forbidden;
mod freshness;
mod joined;
mod machine;
mod missing_model;
mod names;
mod newer_version;
mod operations;
mod queue;
mod references;
mod refusals;
mod restoration;
mod restored_upstreams;
mod schedules;
mod service_defaults;
mod submissions;
mod syncs;
mod triggers;
mod unknown_owners;
mod user_decisions;
