//! Refreshes: the common calls and responses of both services. Code that is specific to Power BI states it.

mod body;
mod coverage;
mod detail;
mod failure;
mod list;
mod merge;
mod phase;
mod protocol;
mod window;

pub(super) use body::{objects_of, parameters};
pub(super) use coverage::Coverage;
pub(super) use detail::{operation, running};
pub(super) use list::{Row, Selected, Selection};
pub(super) use merge::{PAGE_SIZE, merge_details, needs_details, selection};
pub(super) use protocol::{BadRequest, cancel, check_list, for_each_row, list, list_url, may_run, poll, submit};
pub use window::ListWindow;
