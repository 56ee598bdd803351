//! A Kubernetes operator that submits each refresh and each sync of a tabular model exactly once.
//!
//! [Architecture](https://github.com/tabular-operator/tabular-operator/blob/main/docs/architecture.md) describes the modules. [`api`],
//! [`operation`], [`text`], `tls` and `fair_semaphore` depend on no other module. [`engine`] decides what to do, [`azure`] calls the
//! services, and [`controller`] connects both to Kubernetes. [`cli`] parses the flags; [`telemetry`] exports logs, metrics, traces and
//! health. Start with [`engine::decide()`], then [`engine::reconcile::Reconciliation`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
#[cfg(feature = "io")]
pub mod azure;
#[cfg(feature = "io")]
pub mod cli;
#[cfg(feature = "io")]
pub mod controller;
pub mod engine;
#[cfg(feature = "io")]
mod fair_semaphore;
pub mod operation;
#[cfg(feature = "io")]
pub mod telemetry;
pub mod text;
#[cfg(feature = "io")]
mod tls;
