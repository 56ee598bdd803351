//! The group of commands that request something of the operator: a run, a cancellation, a suspension.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::time::Duration;

use clap::{Args, Subcommand};

use super::submit::Annotate;
use super::{submit, suspend};
use crate::exit::Exit;
use crate::request_value::reason;
use crate::session::{CommonArgs, Session};
use crate::target::Target;

const RUN_EXAMPLES: &str = "\
The run starts when the model is free. spec.concurrencyPolicy determines what a request during a run does.

Without --wait, the command ends as soon as the operator has accepted the request, or after 5 seconds.

Examples:
  kubectl tabular run sales-orders -n bi
      Request a run.

  kubectl tabular run sales-orders -n bi --wait --reason \"late file from SAP\"
      Request a run and wait for its end. The exit code shows whether it succeeded.

  kubectl tabular run sales-orders inventory -n bi --wait --timeout 1h
      Request two runs, and wait for at most an hour.";

const CANCEL_EXAMPLES: &str = "\
The resource remains, and its next trigger starts a run. The services cannot cancel a sync that has started.

Without --wait, the command ends as soon as the operator has handled the request, or after 5 seconds.

Examples:
  kubectl tabular cancel sales-orders -n bi
      Cancel the run that is running or waiting.

  kubectl tabular cancel sales-orders -n bi --wait
      Wait until the service reports the end. A run that succeeded meanwhile has exit code 0.";

const SUSPEND_EXAMPLES: &str = "\
A run in progress continues. A GitOps tool that applies the resource from Git may revert the change.

Examples:
  kubectl tabular suspend sales-orders inventory -n bi
      Start no further runs of two resources.

  kubectl tabular get -n bi -o name | xargs kubectl tabular suspend -n bi
      Start no further runs in a namespace.";

const RESUME_EXAMPLES: &str = "\
One run covers everything that was triggered meanwhile.

Examples:
  kubectl tabular resume sales-orders -n bi
      Start runs again.";

/// The commands that request something.
#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Request a run, and optionally wait for its end.
    #[command(after_help = RUN_EXAMPLES)]
    Run(AnnotateArgs),
    /// Cancel the run that is running or waiting.
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel(AnnotateArgs),
    /// Start no further runs.
    #[command(after_help = SUSPEND_EXAMPLES)]
    Suspend(SuspendArgs),
    /// Start runs again.
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(SuspendArgs),
}

/// The arguments of `run` and `cancel`.
#[derive(Args, Debug)]
pub struct AnnotateArgs {
    /// Names of ModelRefreshes, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<Target>,
    /// Why, in one line of at most 200 bytes. It is recorded with the time of the request.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
    /// Wait until the run has ended.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as 30m. Then the exit code is 4, and the request remains.
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = crate::cli::timeout)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `suspend` and `resume`.
#[derive(Args, Debug)]
pub struct SuspendArgs {
    /// Names of ModelRefreshes, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<Target>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl RequestCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let common = match &self {
            Self::Run(args) | Self::Cancel(args) => &args.common,
            Self::Suspend(args) | Self::Resume(args) => &args.common,
        };
        let mut session = Session::of(common);
        let ended = match self {
            Self::Run(args) => submit::run(&args, Annotate::Run, &mut session).await,
            Self::Cancel(args) => submit::run(&args, Annotate::Cancel, &mut session).await,
            Self::Suspend(args) => suspend::run(&args, true, &mut session).await,
            Self::Resume(args) => suspend::run(&args, false, &mut session).await,
        };
        ended.unwrap_or_else(|failure| session.fail(&failure))
    }
}
