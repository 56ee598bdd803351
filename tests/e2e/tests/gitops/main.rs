//! The resources as seen by tools that deploy from Git: kstatus, Flux and Argo CD by their own libraries (`tests/tools/gitops-health`), and the
//! unmodified kubectl, on the real API server with the real operator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod drift;
mod history;
mod hooks;
mod kubectl;
mod power_bi;
mod scripts;
mod states;
mod syncing;
