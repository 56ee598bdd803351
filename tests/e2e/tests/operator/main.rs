//! The operator on the real API server and the local Azure. A single program, so that all tests share the slow startup.
//!
//! Run it with many threads (`--test-threads 16`): the tests mostly wait.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod bad_responses;
mod bounds;
mod budget;
mod cancellation;
mod clouds;
mod collectors;
mod crash;
mod deleted_models;
mod deletion;
mod dependents;
mod drain;
mod failing_writes;
mod failures;
mod field_reports;
mod identities;
mod identities_lasting;
mod large;
mod lost_responses;
mod manifests;
mod memory;
mod observed;
mod operators;
mod parts;
mod power_bi;
mod power_bi_limits;
mod process;
mod prometheus;
mod refusals;
mod refused_writes;
mod resource_metrics;
mod restored;
mod stale;
mod success;
mod syncs;
mod tenants;
mod triggers;
mod turns;
mod users;
mod watches;
