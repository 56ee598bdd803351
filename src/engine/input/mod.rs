//! The input of a decision: the desired state of a resource, the facts outside it, and the settings.

mod annotations;
mod desired;
mod external;
mod operation_digest;
mod resource;
mod schedule;
mod schedule_trigger;
mod service_defaults;
mod settings;
mod upstream;

pub use annotations::AnnotationRequests;
pub use desired::{Deletion, DesiredState, OperationSpec, RunPolicy, UpstreamRef};
pub use external::{Blocker, DrainMode, External, Remedy, SkippedWrites};
pub use operation_digest::Equivalents;
pub use schedule::Schedule;
pub use schedule_trigger::ScheduleTrigger;
pub use settings::Settings;
pub use upstream::{SuccessfulRun, Upstream};
