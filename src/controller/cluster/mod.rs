//! Access to the Kubernetes API.

pub mod connect;
pub(crate) mod events;
pub(crate) mod installation;
pub(crate) mod resource_api;
pub mod timeout;
