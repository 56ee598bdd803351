//! Kubernetes I/O: where the resources, the decision and the services meet.
//!
//! [`run`] has the life of the process, `work` what it does while it leads, `reconcile` one pass over one resource,
//! `effects` the calls to the services.

pub mod call;
pub mod client;
mod context;
mod effects;
mod events;
pub mod lease;
mod memory;
pub mod queue;
mod reconcile;
mod records;
mod references;
pub mod run;
pub mod shutdown;
mod supervise;
mod watched;
mod wiring;
mod work;

pub use work::work;

/// A resource's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}
