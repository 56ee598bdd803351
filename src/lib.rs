//! The tabular-operator: refreshes and synchronizes tabular models, exactly once.
//!
//! `docs/architecture.md` describes the modules. Dependencies point one way: [`api`], [`operation`], [`text`] and `tls` are leaves,
//! [`engine`] makes decisions from them, and [`azure`] calls Azure. Only [`controller`] depends on all of them. [`cli`] and [`telemetry`]
//! serve the process.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod azure;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod operation;
pub mod telemetry;
pub mod text;
mod tls;
