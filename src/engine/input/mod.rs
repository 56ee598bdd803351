//! The request of a resource and the other input of a decision: data, and how it is read from a resource.

mod annotations;
mod desired;
mod external;
mod resource;
mod schedule;
mod schedule_trigger;
mod service_defaults;
mod settings;
mod upstream;

pub use annotations::Requests;
pub use desired::{Deletion, Desired, Following, Policy, Work};
pub use external::{Cure, Fault, Leaving, Surroundings};
pub use schedule::Schedule;
pub use schedule_trigger::Scheduled;
pub use settings::Settings;
pub use upstream::{Followed, Success};
