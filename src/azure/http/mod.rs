//! HTTP exchanges, and the parsers of the parts of a response that have the same format in every API.

mod client;
pub(in crate::azure) mod error_body;
pub(in crate::azure) mod json_array;
pub(in crate::azure) mod lenient_json;
pub(in crate::azure) mod location;
pub(in crate::azure) mod page;
mod response;
pub(in crate::azure) mod text;
pub(in crate::azure) mod timestamp;

pub(in crate::azure) use client::{Client, Incoming, MAX_BODY_BYTES, MAX_SHORT_BODY_BYTES, REDIRECTS, SendError};
pub use response::BodyFault;
pub(in crate::azure) use response::{ErrorSummary, Response, server_time};
