//! Analysis Services: its names, what it is sent, and how its answers are read.

pub(super) mod calls;
mod detail;
mod fields;
mod listing;
mod names;
mod request;
mod rows;

pub(super) use detail::operation;
pub use listing::Window;
pub use names::{DatabaseName, ServerName};
