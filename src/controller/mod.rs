//! Kubernetes I/O: where the resources, the decision and the services meet.

pub mod call;
pub mod client;
pub mod lease;
pub mod run;
pub mod shutdown;
