//! Refreshes: the calls and the answers that both services have in common. What is Power BI's alone is said where it is read.

mod calls;
mod detail;
mod details;
mod failure;
mod listing;

pub(super) use calls::{cancel, each_row, list, look, submit};
pub(super) use detail::{operation, running};
pub(super) use details::{are_requested, joined, selection};
pub use listing::Window;
pub(super) use listing::{Row, Selected, Selection};
