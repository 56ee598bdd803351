//! The sync of a database with its read-only replicas.
//!
//! The operator polls it by the `Location` of each response, or by its id if there is none. It uses the management URL of the server,
//! `<server>:rw`.

mod protocol;
pub(in crate::azure) mod responses;
mod status;

pub(in crate::azure) use protocol::{list, poll, submit};
