//! The group of commands that record a decision which only a user can make.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use clap::{Args, Subcommand};

use screen::Style;

use super::carry_out::Decided;
use super::{adopt, release, resubmit};
use crate::connect::{ConnectionArgs, connect};
use crate::exit::Exit;
use crate::report::Report;
use crate::report_requests::{RequestReport, RequestsReport};
use crate::session::{OutputArgs, Session};
use crate::target::Target;

const ADOPT_EXAMPLES: &str = "\
Only for a resource with the reason SubmissionUnknown. The operator submits nothing for it until you decide.
The command changes the version of the resource that it showed. If it changed meanwhile, nothing is written: exit code 5.

Examples:
  kubectl tabular adopt orders -n bi
      Show the operations that the submission may have started, and ask which one it was.

  kubectl tabular adopt orders 1344a272-7893-4afa-a4b3-3fb87222fdac -n bi --yes
      Track this operation, without a question.";

const RESUBMIT_EXAMPLES: &str = "\
Only for a resource with the reason SubmissionUnknown. If one of the operations is that of the run after all, the model is
refreshed twice. Check the operations first, for example in SQL Server Management Studio or the Power BI portal.

Examples:
  kubectl tabular resubmit orders -n bi
      Show the operations that the submission may have started, and submit the run again if none of them is its own.";

const RELEASE_EXAMPLES: &str = "\
Only for a resource that is being deleted, if its deletion waits for an operation. The operation may continue, and nothing
watches it. You confirm by typing the name of the resource.

Examples:
  kubectl tabular release orders -n bi
      Delete the resource now.";

/// The commands that record a decision.
#[derive(Debug, Subcommand)]
pub enum Decide {
    /// Select the operation that a submission with a lost response started.
    #[command(after_help = ADOPT_EXAMPLES)]
    Adopt(AdoptArgs),
    /// Submit a run again whose submission with a lost response started nothing.
    #[command(after_help = RESUBMIT_EXAMPLES)]
    Resubmit(DecideArgs),
    /// Delete a resource now, and leave its operation running.
    #[command(after_help = RELEASE_EXAMPLES)]
    Release(DecideArgs),
}

/// The arguments of `adopt`.
#[derive(Args, Debug)]
pub struct AdoptArgs {
    /// A ModelRefresh by name, or msync/NAME, mref/NAME.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// The id of one of the candidates. Default: the command asks.
    #[arg(value_name = "OPERATION")]
    pub operation: Option<String>,
    #[command(flatten)]
    pub(super) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// The arguments of `resubmit` and `release`.
#[derive(Args, Debug)]
pub struct DecideArgs {
    /// A ModelRefresh by name, or msync/NAME, mref/NAME.
    #[arg(value_name = "NAME")]
    pub name: Target,
    #[command(flatten)]
    pub(super) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Whether to ask.
#[derive(Args, Clone, Copy, Debug)]
pub struct ConfirmArgs {
    /// Do not ask. Required if standard input is not a terminal.
    #[arg(short, long)]
    pub yes: bool,
}

impl Decide {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let (command, target, output, flags) = match &self {
            Self::Adopt(args) => ("adopt", &args.name, &args.output, &args.connection),
            Self::Resubmit(args) => ("resubmit", &args.name, &args.output, &args.connection),
            Self::Release(args) => ("release", &args.name, &args.output, &args.connection),
        };
        let mut session = Session::new(output);
        let connection = match connect(flags) {
            Ok(connection) => connection,
            Err(failure) => return session.fail(&failure),
        };
        let ended = match &self {
            Self::Adopt(args) => adopt::run(args, &connection, &mut session).await,
            Self::Resubmit(args) => resubmit::run(args, &connection, &mut session).await,
            Self::Release(args) => release::run(args, &connection, &mut session).await,
        };
        let (result, exit, value, message) = match ended {
            Ok(Decided { effect, exit, value, sentence }) => {
                if exit == Exit::Success && session.is_text() {
                    session.print(&[vec![(Style::Plain, sentence.clone())]]);
                } else if exit != Exit::Success {
                    session.note(&sentence);
                }
                (effect.as_str(), exit, Some(value), sentence)
            }
            Err(failure) => {
                let exit = session.fail(&failure);
                (if exit == Exit::NoChange { "Unchanged" } else { "Error" }, exit, None, failure.sentence)
            }
        };
        if !session.is_text() {
            let request = RequestReport::new(command, target.key(&connection.namespace), result, exit, message);
            let request = RequestReport { value, ..request };
            if let Err(failure) = session.report(&Report::Requests(RequestsReport { requests: vec![request] })) {
                return session.fail(&failure);
            }
        }
        exit
    }
}
