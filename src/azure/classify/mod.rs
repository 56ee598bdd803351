//! Determines what the status and the error of a response mean, as a type of [`crate::operation`]. `refreshes`, `sync` and `scale_out` parse
//! the bodies of successful responses.
//!
//! [`response_kind()`] classifies a response independently of the request. The function of each verb then returns what the kind means for
//! it. The body takes precedence over the status: Analysis Services returns 400 instead of 401, 404 or 409, and Power BI returns 400 instead
//! of 409 or 429.

mod error;
pub(in crate::azure) mod messages;
mod outcome;
mod response_kind;
#[cfg(test)]
mod tests;

pub(in crate::azure) use error::{COMPRESSED, body_error, error_of, scale_out_disabled, throttled, unreachable};
pub(in crate::azure) use outcome::{
    accepted_without_id, body_id, body_text, cancel_result, id_in_location, list_error, poll_result, request_id, submission,
    submission_with,
};
pub(in crate::azure) use response_kind::{ResponseKind, response_kind};
