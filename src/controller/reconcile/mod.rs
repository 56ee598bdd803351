//! The reconciliation of one resource: `reconciler` checks the Lease and isolates failures, `driver` performs the requests of the engine,
//! `calls` calls the services, `check` tries whether they can be called, `observe` reads the state outside the resource, and `report` counts and logs.

pub(crate) mod action;
mod calls;
mod check;
pub(crate) mod context;
mod denied_writes;
pub(crate) mod detached;
mod driver;
mod namespaces;
mod observe;
mod reconciler;
mod report;
mod run_metrics;
mod target;
mod undecodable;
mod validate;
mod write;

pub(crate) use reconciler::reconcile;

#[cfg(test)]
mod tests;
