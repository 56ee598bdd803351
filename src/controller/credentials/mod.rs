//! The identity of a resource at a service. The objects that its credentials reference are read by name, and never listed or watched.

pub(crate) mod denials;
mod error;
mod rbac_hint;
mod resolver;
mod secret;
mod service_account;

#[cfg(test)]
mod tests;

pub(crate) use error::NoIdentity;
pub(crate) use resolver::{Identities, OwnIdentity};
pub(crate) use secret::identity_of as service_principal;
