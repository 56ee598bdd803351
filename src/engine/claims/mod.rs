//! Which resource claims which operation.

mod index;
mod unclaimed;

pub use index::{ClaimSource, Claims};
pub use unclaimed::exclude_unclaimed;
