//! The identities for calls to the services.

mod application;
pub(super) mod assertion;
mod cache;
mod certificate;
mod der;
pub(super) mod entra;
mod environment;
mod fingerprint;
mod identities;
pub(super) mod managed;
mod pem;
mod secret;
mod spelling;
mod token;
pub(super) mod token_response;
pub(super) mod tokens;
pub mod value;

pub use application::FieldNames;
pub use assertion::{AUDIENCE, AssertionSource};
pub use environment::Environment;
pub use fingerprint::Fingerprint;
pub use identities::Identity;
pub use secret::SecretText;

pub(super) use token::{Access, Token};
