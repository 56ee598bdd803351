//! Which resource claims which operation.

mod index;
mod unclaimed;

pub use index::{Claims, Record};
pub use unclaimed::spare;
