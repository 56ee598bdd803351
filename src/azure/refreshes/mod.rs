//! Refreshes: the common calls and responses of both services. Code that is specific to Power BI states it.

mod calls;
mod detail;
mod details;
mod failure;
mod listing;

pub(super) use calls::{Refusal, cancel, each_row, list, look, newest, submit};
pub(super) use detail::{operation, running};
pub(super) use details::{are_requested, joined, selection};
pub use listing::Window;
pub(super) use listing::{Row, Selected, Selection};
