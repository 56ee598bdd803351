//! The commands: they read the cluster, and print what the screens render.

pub mod about;
mod adopt;
mod carry_out;
mod check;
pub mod create;
pub mod decision;
mod dispatch;
pub mod explain;
mod follow;
mod get;
mod history;
pub mod manifest;
mod queue;
mod release;
pub mod request;
mod resubmit;
pub mod show;
mod status;
mod submit;
mod suspend;
mod validate;
mod version;
mod watching;
mod why;

pub use dispatch::run;
