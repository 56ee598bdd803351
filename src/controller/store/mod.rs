//! The state in memory that all reconciliations share. Nothing here performs I/O.

pub(crate) mod cached;
pub(crate) mod dependents;
pub(crate) mod detached_index;
mod gauges;
pub(crate) mod index;
pub(crate) mod local_state;
mod reconciliation;
mod refused_writes;
mod resource_rows;
pub(crate) mod resources;
pub(crate) mod scope;
mod unreadable_namespaces;
