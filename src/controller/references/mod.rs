//! The identity of a resource at a service. The objects that its credentials reference are read by name, and never listed or watched.

mod account;
mod failure;
mod grants;
mod resolver;
mod secret;

#[cfg(test)]
mod tests;

pub(super) use failure::NoIdentity;
pub(super) use resolver::{Identities, OwnIdentity};
pub(super) use secret::identity_of as service_principal;
