//! The group of commands that explain the state of a resource.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{check, why};
use crate::exit::Exit;
use crate::session::{CommonArgs, Session};
use crate::target::Target;

const WHY_EXAMPLES: &str = "\
If you may not list events or read the operator's Lease, the command shows the rest.

Examples:
  kubectl tabular why forecast -n bi
      The cause of its state, the evidence, the commands that help, and what happens next.

  kubectl tabular why msync/adventureworks -n bi --exit-code
      In a script: 3 if nothing proceeds until a user acts, otherwise 0.

  kubectl tabular why forecast -n bi --operator-namespace platform --operator-lease bi-tabular-operator
      For an operator whose namespace and Lease do not have the default names.";

const CHECK_EXAMPLES: &str = "\
The operator checks with the credentials of the resource: it gets a token, finds the model and lists its operations. It starts and \
cancels nothing, also while a run is in progress or the resource is suspended.

On Power BI, a passed check does not prove that the identity can refresh: the list needs less permission.

Exit code 0 is a passed check, 3 a failed one, and 4 no result within --timeout.

Examples:
  kubectl tabular check sales-orders -n bi
      Check the credentials, the token, the host, the model and the access, and show which step failed.

  kubectl tabular check msync/replicas --timeout 30s -o json
      The same for a sync, as a report for scripts.";

/// The commands that explain.
#[derive(Debug, Subcommand)]
pub enum ExplainCommand {
    /// Explain why a refresh or sync is in its state, and what to do.
    #[command(after_help = WHY_EXAMPLES)]
    Why(WhyArgs),
    /// Check whether the operator can reach the model of a refresh or sync.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
}

/// The arguments of `why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// End with exit code 3 if nothing proceeds until a user acts.
    #[arg(long)]
    pub exit_code: bool,
    /// Namespace of the operator, where its Lease is.
    #[arg(long, value_name = "NAMESPACE", default_value = "tabular-system")]
    pub operator_namespace: String,
    /// Name of the operator's Lease: the full name of its Helm release.
    #[arg(long, value_name = "NAME", default_value = "tabular-operator")]
    pub operator_lease: String,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// How long to wait for the result, such as 30s or 5m.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = crate::cli::timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl ExplainCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let common = match &self {
            Self::Why(args) => &args.common,
            Self::Check(args) => &args.common,
        };
        let mut session = Session::of(common);
        let ended = match self {
            Self::Why(args) => why::run(&args, &mut session).await,
            Self::Check(args) => check::run(&args, &mut session).await,
        };
        ended.unwrap_or_else(|failure| session.fail(&failure))
    }
}
