//! What several screens need to know of a resource. Pure: the resources and the time in, a fact out.

mod commands;
mod diagnosis;
mod duration;
mod freshness;
mod model_queue;
mod standing;
mod unobserved;
mod waiting;

pub use diagnosis::{Diagnosis, Since, Verdict, diagnosis};
pub use duration::{Typical, elapsed, outcomes, typical};
pub use freshness::{Freshness, freshness};
pub use model_queue::{ModelQueue, Place, occupied, place, queues};
pub use standing::{Standing, order, reason, standing, state, state_name};
pub use unobserved::{Unobserved, unobserved};
pub use waiting::{Chain, chain};
