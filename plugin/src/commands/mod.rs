//! The commands: they read the cluster, and print what the screens render.

mod dispatch;
pub mod explain;
mod follow;
mod get;
mod history;
mod queue;
pub mod request;
pub mod show;
mod status;
mod submit;
mod suspend;
mod watching;
mod why;

pub use dispatch::run;
