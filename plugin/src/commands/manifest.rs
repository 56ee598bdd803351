//! The group of commands that write and check manifests.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::create::CreateCommand;
use super::validate;
use crate::exit::Exit;
use crate::session::{CommonArgs, OutputArgs, Session};

const CREATE_EXAMPLES: &str = "\
Nothing is applied: the manifest goes to standard output. The help of each subcommand lists its flags.

Examples:
  kubectl tabular create refresh sales --workspace Sales --dataset Orders --secret pbi-sp > sales.yaml
      A refresh of a semantic model, by its names.

  kubectl tabular create sync sales-replicas --after sales | kubectl apply -n bi -f -
      A sync of its replicas, after each of its runs.";

const VALIDATE_EXAMPLES: &str = "\
Checks ModelRefreshes and ModelSyncs without a cluster: unknown fields, types, bounds, the rules of the definitions, \
and what only the operator rejects, such as a schedule that never occurs. Other kinds are skipped and counted. A file has at most 8 MiB. \
Exit code 3 means that a manifest is invalid.

With --dry-run=server, the API server checks structure and rules by its own definitions, in a dry run that creates nothing. This needs \
the permission to create the resource.

Examples:
  kubectl tabular validate -f refreshes/
      All .yaml, .yml and .json files of a directory.

  kustomize build . | kubectl tabular validate -f -
      The output of another program.

  kubectl tabular validate -f sales.yaml --dry-run=server -n bi
      By the definitions of the cluster.";

/// The commands that write and check manifests.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Print the manifest of a new refresh or sync.
    #[command(subcommand, after_help = CREATE_EXAMPLES)]
    Create(Box<CreateCommand>),
    /// Check manifests before they are applied.
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Box<ValidateArgs>),
}

/// Who checks the structure and the rules of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// The plugin, by its own definitions, without a cluster
    Client,
    /// The API server, by the definitions of the cluster; it creates nothing
    Server,
}

/// The arguments of `validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Files or directories; - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Include the directories below the named ones.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Who checks the structure and the rules.
    #[arg(long, value_name = "STRATEGY", default_value = "client")]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl ManifestCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let output = match &self {
            Self::Create(_) => OutputArgs::default(),
            Self::Validate(args) => args.common.output,
        };
        let mut session = Session::new(output);
        let ended = match self {
            Self::Create(create) => create.run(&mut session),
            Self::Validate(args) => validate::run(&args, &mut session).await,
        };
        ended.unwrap_or_else(|failure| session.fail(&failure))
    }
}
