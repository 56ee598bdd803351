//! The group of commands that show resources and change nothing.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{get, history, queue, status};
use crate::exit::Exit;
use crate::session::{CommonArgs, Session};
use crate::target::Target;

const GET_EXAMPLES: &str = "\
Signs: ! needs action, ▶ runs, … waits, ✓ succeeded, ‖ suspended.

Order: what needs action, what is stale (most overdue first), what runs, what waits (the longest first), then the rest by name.

A model has one queue for all namespaces. If you may not list all namespaces, the command omits the position.

Examples:
  kubectl tabular get -A
      Which model is stale, and what needs action, in all namespaces.

  kubectl tabular get --stale --failed -n bi
      Only models that are stale or whose last run did not succeed.

  kubectl tabular get -l tier=gold -w
      Watch the resources with a label.

  kubectl tabular get -A -o json
      The same as a report for scripts.";

const STATUS_EXAMPLES: &str = "\
The remaining time is an estimate from the last successful runs with the same parameters, not a guarantee.

Examples:
  kubectl tabular status adventureworks -n bi
      The run in progress by table, the queue of the model, the next run and the history.

  kubectl tabular status adventureworks -n bi -w
      The same until Ctrl-C. Without a terminal, one line for each change.

  kubectl tabular status msync/adventureworks
      A sync instead of a refresh.";

const HISTORY_EXAMPLES: &str = "\
spec.historyLimit determines how many runs the operator keeps, by default 10.

Examples:
  kubectl tabular history inventory -n bi
      The ended runs, newest first, and how long they usually take.

  kubectl tabular history inventory -n bi --run 12
      One run in full.";

const QUEUE_EXAMPLES: &str = "\
The operator runs one operation on a model at a time, first come, first served, in all namespaces. If you may list one \
namespace only, the command shows neither the others nor a position.

Examples:
  kubectl tabular queue -n bi
      What runs, and what waits for its turn, in a namespace.

  kubectl tabular queue myserver/AdventureWorks -A
      The queue of one model.";

/// The commands that show resources.
#[derive(Debug, Subcommand)]
pub enum ShowCommand {
    /// List the refreshes and syncs. Those that need action come first.
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArgs),
    /// Show one refresh or sync: its run, the queue of its model, and what comes next.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Show the ended runs of a refresh or sync.
    #[command(after_help = HISTORY_EXAMPLES)]
    History(HistoryArgs),
    /// Show what runs on each model, and what waits for its turn.
    #[command(after_help = QUEUE_EXAMPLES)]
    Queue(QueueArgs),
}

/// The arguments of `get`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Args, Debug)]
pub struct GetArgs {
    /// Names of ModelRefreshes, or msync/NAME for a ModelSync. Default: all of the namespace.
    #[arg(value_name = "NAME", conflicts_with_all = ["all_namespaces", "selector"])]
    pub names: Vec<Target>,
    /// Include all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only resources with these labels, such as tier=gold.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only resources whose data is older than spec.staleAfterSeconds.
    #[arg(long)]
    pub stale: bool,
    /// Only resources that need action, or whose last run did not succeed.
    #[arg(long)]
    pub failed: bool,
    /// Only resources with a run in progress or waiting.
    #[arg(long)]
    pub running: bool,
    /// Show changes until Ctrl-C.
    #[arg(short, long, conflicts_with = "output")]
    pub watch: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Show changes until Ctrl-C.
    #[arg(short, long, conflicts_with = "output")]
    pub watch: bool,
    /// How long to watch, such as 30m. Then the exit code is 4.
    #[arg(long, value_name = "DURATION", requires = "watch", value_parser = crate::cli::timeout)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Name of a ModelRefresh, or msync/NAME for a ModelSync.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Show one run in full, by its number.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..))]
    pub run: Option<i32>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `queue`.
#[derive(Args, Debug)]
pub struct QueueArgs {
    /// Only this model, by its short name or a part of it, such as myserver/AdventureWorks.
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// Include the models of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl ShowCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let common = match &self {
            Self::Get(args) => &args.common,
            Self::Status(args) => &args.common,
            Self::History(args) => &args.common,
            Self::Queue(args) => &args.common,
        };
        let mut session = Session::of(common);
        let ended = match self {
            Self::Get(args) => get::run(&args, &mut session).await,
            Self::Status(args) => status::run(&args, &mut session).await,
            Self::History(args) => history::run(&args, &mut session).await,
            Self::Queue(args) => queue::run(&args, &mut session).await,
        };
        ended.unwrap_or_else(|failure| session.fail(&failure))
    }
}
