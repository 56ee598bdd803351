//! The released plugin on the real API server, with the operator and the local Azure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod change;
mod decisions;
mod plugin;
mod pod;
mod run;
mod secrets;
mod show;
mod why;
