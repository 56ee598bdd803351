//! Which resource claims which operation.

mod index;
mod unknown_owner;

pub use index::{ClaimSource, Claims};
pub use unknown_owner::exclude_unknown_owners;
