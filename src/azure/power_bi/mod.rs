//! Power BI: its names, request bodies, ambiguous refusals and query scale-out.

mod bad_request;
mod lookup;
mod names;
mod refresh_body;
pub(super) mod scale_out;
mod similar_names;

pub(super) use bad_request::resolve_bad_request;
pub(super) use lookup::{find, page_of, resolve};
pub use names::ModelName;
pub(super) use names::{ModelRef, of_dataset};
pub(super) use refresh_body::body as refresh_body;
