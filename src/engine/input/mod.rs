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

pub use annotations::AnnotationRequests;
pub use desired::{Deletion, Desired, OperationSpec, RunPolicy, UpstreamRef};
pub use external::{Blocker, DrainMode, External, Remedy};
pub use schedule::Schedule;
pub use schedule_trigger::ScheduleTrigger;
pub use settings::Settings;
pub use upstream::{SuccessfulRun, Upstream};
