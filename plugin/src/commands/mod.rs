//! The commands: they read the cluster, and print what the screens render.

mod adopt;
pub mod author;
mod carry_out;
pub mod check;
pub mod create;
pub mod decide;
mod dispatch;
pub mod explain;
mod follow;
mod get;
mod history;
mod queue;
mod release;
pub mod request;
mod resubmit;
pub mod show;
mod status;
mod submit;
mod suspend;
pub mod tools;
mod validate;
mod version;
mod watching;
mod why;

pub use dispatch::run;
