//! The commands: they read the cluster, and print what the screens render.

mod dispatch;
pub mod explain;
mod get;
mod history;
mod queue;
pub mod show;
mod status;
mod watching;
mod why;

pub use dispatch::run;
