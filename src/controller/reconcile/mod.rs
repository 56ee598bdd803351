//! The reconciliation of one resource.

pub(crate) mod action;
mod calls;
pub(crate) mod context;
mod denied_writes;
pub(crate) mod detached;
mod driver;
mod entry;
mod namespaces;
mod observe;
mod report;
mod runs;
mod target;
mod undecodable;
mod validate;
mod write;

pub(crate) use entry::reconcile;

#[cfg(test)]
mod tests;
