//! The commands: they read the cluster, and print what the screens render.

mod dispatch;
mod get;
mod history;
mod queue;
pub mod show;
mod status;
mod watching;

pub use dispatch::run;
