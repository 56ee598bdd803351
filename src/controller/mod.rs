//! Kubernetes I/O: connects the resources, the state machine and the services.
//!
//! Dependencies point one way: `cluster` accesses the Kubernetes API, and [`lease`], `store` and `credentials` build on it. `reconcile`
//! performs the reconciliation of one resource, and [`manager`] is the lifecycle of the process. [`drain`] is a separate command.

pub(crate) mod cluster;
pub(crate) mod credentials;
pub mod drain;
#[cfg(test)]
pub(crate) mod fixture;
#[doc(hidden)]
pub mod fuzzing;
pub mod lease;
pub mod manager;
pub(crate) mod reconcile;
pub mod shutdown;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use cluster::connect::{ClientError, from_kubeconfig};
