//! The tabular-operator: refreshes and synchronises tabular models, exactly once.
//!
//! `docs/architecture.md` has the map. Dependencies point one way: [`api`], [`operation`], [`text`] and `tls` are leaves, [`engine`]
//! decides from them, [`service`] speaks to Azure, and [`controller`] is the only place where all of them meet.
//! Around them stand [`cli`] and [`telemetry`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod operation;
pub mod service;
pub mod telemetry;
pub mod text;
mod tls;
