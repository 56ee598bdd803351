//! The reconciliation of one resource.

pub(super) mod detached;
mod driver;
mod entry;
mod report;
mod runs;
mod write;

pub(super) use entry::reconcile;

#[cfg(test)]
mod tests;
