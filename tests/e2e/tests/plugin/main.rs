//! The released plugin on the real API server, with the operator and the local Azure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod change;
mod check;
mod completion;
mod create;
mod decisions;
mod mutations;
mod plugin;
mod pod;
mod run;
mod secrets;
mod show;
mod validate;
mod why;
