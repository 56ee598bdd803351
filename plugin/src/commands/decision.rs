//! The group of commands that record a decision which only a user can make.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use clap::{Args, Subcommand};

use screen::Style;

use super::carry_out::Decided;
use super::{adopt, release, resubmit};
use crate::connect::connect;
use crate::exit::Exit;
use crate::report::{Report, RequestReport, RequestsReport};
use crate::session::{CommonArgs, Session};
use crate::target::Target;

const ADOPT_EXAMPLES: &str = "\
Only for a resource with the reason SubmissionUnknown. The operator submits nothing for it until you decide.

If the resource changed since the command showed it, the command writes nothing, and the exit code is 5.

Examples:
  kubectl tabular adopt orders -n bi
      Show the operations that the submission may have started, and ask which one it was.

  kubectl tabular adopt orders 1344a272-7893-4afa-a4b3-3fb87222fdac -n bi --yes
      Track this operation, without a question.";

const RESUBMIT_EXAMPLES: &str = "\
Only for a resource with the reason SubmissionUnknown. If one of the operations does belong to the run, the model is \
refreshed twice. Check the operations first, for example in SQL Server Management Studio or the Power BI portal.

The run of a resource that is suspended waits until you resume it. If the cancellation of the run is requested, the run ends and \
submits nothing, and the exit code is 3.

Examples:
  kubectl tabular resubmit orders -n bi
      Show the operations that the submission may have started, ask, and submit the run again.

  kubectl tabular resubmit orders -n bi --yes
      Submit the run again without a question.";

const RELEASE_EXAMPLES: &str = "\
Only for a resource that is being deleted, if its deletion waits for an operation. The operation may continue, and nothing \
watches it. You confirm by typing the name of the resource.

Examples:
  kubectl tabular release orders -n bi
      Ask for the name, and delete the resource now.

  kubectl tabular release orders -n bi --yes
      Delete the resource now without a question.";

/// The commands that record a decision.
#[derive(Debug, Subcommand)]
pub enum DecisionCommand {
    /// Select the operation that a submission with a lost response started.
    #[command(after_help = ADOPT_EXAMPLES)]
    Adopt(AdoptArgs),
    /// Submit a run again if its submission with a lost response started nothing.
    #[command(after_help = RESUBMIT_EXAMPLES)]
    Resubmit(DecisionArgs),
    /// Delete a resource now, and leave its operation running.
    #[command(after_help = RELEASE_EXAMPLES)]
    Release(DecisionArgs),
}

/// The arguments of `adopt`.
#[derive(Args, Debug)]
pub struct AdoptArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Id of one of the candidates. Default: the command asks.
    #[arg(value_name = "OPERATION")]
    pub operation: Option<String>,
    #[command(flatten)]
    pub(super) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `resubmit` and `release`.
#[derive(Args, Debug)]
pub struct DecisionArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    #[command(flatten)]
    pub(super) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Whether to ask.
#[derive(Args, Clone, Copy, Debug)]
pub struct ConfirmArgs {
    /// Do not ask. Required if standard input is not a terminal.
    #[arg(short, long)]
    pub yes: bool,
}

impl DecisionCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let (command, target, common) = match &self {
            Self::Adopt(args) => ("adopt", &args.name, &args.common),
            Self::Resubmit(args) => ("resubmit", &args.name, &args.common),
            Self::Release(args) => ("release", &args.name, &args.common),
        };
        let mut session = Session::of(common);
        let connection = match connect(&common.connection) {
            Ok(connection) => connection,
            Err(failure) => return session.fail(&failure),
        };
        let ended = match &self {
            Self::Adopt(args) => adopt::run(args, &connection, &mut session).await,
            Self::Resubmit(args) => resubmit::run(args, &connection, &mut session).await,
            Self::Release(args) => release::run(args, &connection, &mut session).await,
        };
        let key = target.key(&connection.namespace);
        let (request, exit) = match ended {
            Ok(Decided { outcome, exit, value, sentence }) => {
                if exit == Exit::Success && session.is_text() {
                    session.print(&[vec![(Style::Plain, sentence.clone())]]);
                } else if exit != Exit::Success {
                    session.note(&sentence);
                }
                (RequestReport::of_decision(command, key, &outcome, exit, value, sentence), exit)
            }
            Err(failure) => {
                let exit = session.fail(&failure);
                let result = if exit == Exit::NoChange { "Unchanged" } else { "Error" };
                (RequestReport::new(command, key, result, exit, failure.sentence), exit)
            }
        };
        if !session.is_text()
            && let Err(failure) = session.report(&Report::Requests(RequestsReport { requests: vec![request] }))
        {
            return session.fail(&failure);
        }
        exit
    }
}
