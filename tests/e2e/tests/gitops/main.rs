//! The resources as seen by other tools, on the real API server with the real operator: kstatus, Flux and Argo CD by their own libraries
//! (`tests/tools/gitops-health`), Argo Workflows by its own (`tests/tools/argo-workflows`), and the unmodified kubectl.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod argo_workflows;
mod drift;
mod history;
mod hooks;
mod kubectl;
mod power_bi;
mod scripts;
mod states;
mod syncing;
