//! Power BI: its names, request bodies, ambiguous refusals and query scale-out.

mod doubt;
mod lookup;
mod names;
mod request;
pub(super) mod scale_out;

pub(super) use doubt::settle;
pub(super) use lookup::{find, page_of, resolve};
pub use names::ModelName;
pub(super) use names::{Named, of_dataset};
pub(super) use request::body as refresh_body;
