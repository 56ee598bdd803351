//! What is asked for, and what the decision depends on beside that: data, and how it is read from a resource.

mod annotations;
mod external;
mod schedule_trigger;
mod settings;
mod upstream;

pub use annotations::Requests;
pub use external::{Cure, Fault, Leaving, Surroundings};
pub use schedule_trigger::Scheduled;
pub use settings::Settings;
pub use upstream::{Followed, Success};
