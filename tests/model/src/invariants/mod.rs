//! The guarantees, as invariants that hold in each state. The world knows the actual state; the decision knows only what was reported to it.

mod accepted;
mod accountability;
mod calls;
mod checks;
mod conditions;
mod freshness;
mod names;
mod resources;
mod runs;
mod shown;
mod status;

pub use accepted::{SubmittedWork, upstream_runs_handled};
pub use accountability::{applied_resubmit, exemptions};
pub use calls::{cancellation, submission};
pub use checks::checks_answered;
pub use conditions::conditions;
pub use freshness::freshness;
pub use names::*;
pub use resources::{always, finalizer_removed_by_uninstall, release, turn, uninstalled};
pub use runs::runs;
pub use shown::{reference, settled, shown};
pub use status::{decision, schedules_handled, submits, write};
