//! The lifecycle of the process: startup, leader election, the watches and the schedule of reconciliations, and shutdown.

pub(crate) mod configure;
mod controllers;
mod dispatch;
mod entries;
mod process;
mod scheduler;
pub(crate) mod watch;

pub use controllers::run_controllers;
pub use process::{ManagerContext, RunError, run};
