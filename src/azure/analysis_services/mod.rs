//! Analysis Services: its names, request bodies and syncs.

mod existence;
mod names;
mod refresh_body;
pub(super) mod sync;

pub(super) use existence::find;
pub use names::{DatabaseName, ServerName};
pub(super) use refresh_body::body as refresh_body;
