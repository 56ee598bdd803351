//! Analysis Services: its names, request bodies and syncs.

mod names;
mod presence;
mod refresh_body;
pub(super) mod sync;

pub use names::{DatabaseName, ServerName};
pub(super) use presence::find;
pub(super) use refresh_body::body as refresh_body;
