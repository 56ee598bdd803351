//! The command line: the commands, their flags, and the help of each flag.
//!
//! Every flag of `run` is also an environment variable: `TABULAR_OPERATOR_` and the name of the flag in capitals. The parser of a flag
//! validates its value ([`values`]). [`settings`] validates combinations of flags, and files.

mod args;
mod output;
mod settings;
mod values;

#[cfg(test)]
mod tests;

pub use args::{Cli, CloudName, Command, DrainArgs, DrainRuns, RunArgs};
pub use output::{print_crds, yaml};
pub use settings::{CloudChoice, DrainSettings, LeaderElection, Polling, Settings, SettingsError};
