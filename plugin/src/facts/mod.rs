//! What several screens need to know of a resource. Pure: the resources and the time in, a fact out.

mod cancel_request;
mod check_request;
mod commands;
pub mod decision;
mod diagnosis;
mod duration;
mod fate;
mod freshness;
mod managed;
mod model_queue;
mod request;
mod run_request;
mod standing;
mod unobserved;
mod waiting;

pub use cancel_request::CancelRequest;
pub use check_request::check_answer;
pub use diagnosis::{Diagnosis, Since, Verdict, diagnosis};
pub use duration::{Typical, elapsed, outcomes, typical, waited};
pub use fate::{Ending, Fate, warnings};
pub use freshness::{Freshness, freshness};
pub use managed::manager;
pub use model_queue::{ModelQueue, Place, occupied, place, queues};
pub use request::Request;
pub use run_request::RunRequest;
pub use standing::{Standing, order, reason, standing, state, state_name};
pub use unobserved::{Unobserved, unobserved};
pub use waiting::{Chain, chain};

#[cfg(test)]
mod request_tests;
