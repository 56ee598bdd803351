//! The identity of a resource at a service. The objects that its credentials reference are read by name, and never listed or watched.

pub(crate) mod denials;
mod error;
mod rbac_hint;
mod resolver;
mod secret;
mod service_account;

#[cfg(test)]
mod tests;

pub(crate) use error::CredentialError;
pub(crate) use resolver::{CredentialResolver, OperatorIdentity};
pub(crate) use secret::identity_of as service_principal;
