//! The group of commands that explain the state of a resource.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use clap::{Args, Subcommand};

use super::why;
use crate::connect::ConnectionArgs;
use crate::exit::Exit;
use crate::session::{OutputArgs, Session};
use crate::target::Target;

const WHY_EXAMPLES: &str = "\
If you may not list events or read the operator's Lease, the command shows the rest.

Examples:
  kubectl tabular why forecast -n bi
      The cause of its state, the evidence, the commands that help, and what happens next.

  kubectl tabular why msync/adventureworks -n bi --exit-code
      In a script: 3 if nothing proceeds until a user acts, otherwise 0.

  kubectl tabular why forecast -n bi --operator-namespace platform --operator-lease bi-tabular-operator
      For an operator with another namespace and name than by default.";

/// The commands that explain.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Explain why a refresh or sync is in its state, and what to do.
    #[command(after_help = WHY_EXAMPLES)]
    Why(WhyArgs),
}

/// The arguments of `why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// A ModelRefresh by name, or msync/NAME, mref/NAME.
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
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

impl Explain {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let Self::Why(args) = self;
        let mut session = Session::new(&args.output);
        why::run(&args, &mut session).await.unwrap_or_else(|failure| session.fail(&failure))
    }
}
