//! Kubernetes I/O: connects the resources, the state machine and the services.
//!
//! [`run`] is the lifecycle of the process, `work` its tasks while it leads, `reconcile` the reconciliation of one resource, and
//! `effects` the calls to the services.

mod agenda;
pub mod call;
mod census;
pub mod client;
mod context;
mod denials;
mod dispatch;
pub mod drain;
mod effects;
mod events;
mod faults;
#[cfg(test)]
mod fixture;
mod followers;
mod index;
pub mod lease;
mod memory;
mod namespaces;
mod orphans;
#[doc(hidden)]
pub mod outside;
mod reconcile;
mod records;
mod references;
mod refusals;
pub mod run;
mod scope;
mod shares;
pub mod shutdown;
mod surroundings;
mod target;
mod undecodable;
mod watch;
mod watched;
mod wiring;
mod work;

pub use work::work;
