//! The released plugin on the real API server, with the operator and the local Azure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod change;
mod check;
mod completion;
mod connection;
mod create;
mod decisions;
mod hostile;
mod mutations;
mod plugin;
mod pod;
mod program;
mod run;
mod secrets;
mod show;
mod skew;
mod terminal;
mod validate;
mod watch;
mod why;
