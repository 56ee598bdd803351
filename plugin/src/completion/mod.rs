//! The completion of a command line in a shell, in the protocol of Cobra: kubectl runs `kubectl_complete-tabular` for it.
//!
//! The engine of clap finds what can follow. Where that is a name in the cluster or in the kubeconfig, it returns a placeholder, which
//! [`source`] resolves.

mod candidates;
mod line;
mod source;

pub use candidates::complete;
pub use line::{Directive, render};
