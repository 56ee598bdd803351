//! What several screens need to know of a resource. Pure: the resources and the time in, a fact out.

mod cancel_request;
mod check_request;
mod commands;
pub mod decision;
mod diagnosis;
mod duration;
mod freshness;
mod managed;
mod model_queue;
mod request;
mod request_outcome;
mod resource_status;
mod run_request;
mod unobserved;
mod waiting;

pub use cancel_request::CancelRequest;
pub use check_request::{check_result, is_check_requested};
pub use commands::OperatorNames;
pub use diagnosis::{Diagnosis, Since, Verdict, diagnosis};
pub use duration::{Typical, running_seconds, success_durations, typical, waited};
pub use freshness::{Freshness, freshness};
pub use managed::manager;
pub use model_queue::{ModelQueue, Place, Visible, elapsed, is_queued, place, queues};
pub use request::Request;
pub use request_outcome::{RequestOutcome, RunEnd, warnings};
pub use resource_status::{ResourceStatus, order, reason, resource_status, state, state_name};
pub use run_request::RunRequest;
pub use unobserved::{Unobserved, unobserved};
pub use waiting::{Chain, chain};

#[cfg(test)]
mod request_tests;
