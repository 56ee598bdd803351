//! Analysis Services: its names, request bodies and syncs.

mod names;
mod presence;
mod request;
pub(super) mod sync;

pub use names::{DatabaseName, ServerName};
pub(super) use presence::find;
pub(super) use request::body as refresh_body;
