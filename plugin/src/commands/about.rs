//! The group of commands about the plugin.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::version;
use crate::completion::{complete, render};
use crate::exit::Exit;
use crate::session::{CommonArgs, OutputArgs, Session};

/// The script that kubectl runs to complete the command line of this plugin.
const SCRIPT: &str = include_str!("../../kubectl_complete-tabular");

const COMPLETION_EXAMPLES: &str = "\
If its own completion is set up, kubectl completes this plugin with a program kubectl_complete-tabular in the PATH.

Examples:
  kubectl tabular completion > ~/.local/bin/kubectl_complete-tabular
  chmod +x ~/.local/bin/kubectl_complete-tabular
      kubectl then completes commands, flags and the names of resources.";

const VERSION_EXAMPLES: &str = "\
Examples:
  kubectl tabular version
      Also the versions that the cluster serves, and whether its definitions are those of this plugin.

  kubectl tabular version --client
      The plugin, without a cluster.";

/// The commands about the plugin.
#[derive(Debug, Subcommand)]
pub enum AboutCommand {
    /// Print the script for the completion by kubectl.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion,
    /// Show the version of the plugin and of the cluster's definitions.
    #[command(after_help = VERSION_EXAMPLES)]
    Version(VersionArgs),
    /// Complete a command line, in the protocol of Cobra.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(CompleteArgs),
}

/// The arguments of `version`.
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// Show the plugin only, without a cluster.
    #[arg(long)]
    pub client: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// The arguments of `__complete`.
#[derive(Args, Debug)]
pub struct CompleteArgs {
    /// The words of the command line. The last one is incomplete.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

impl AboutCommand {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let output = match &self {
            Self::Completion | Self::Complete(_) => OutputArgs::default(),
            Self::Version(args) => args.common.output,
        };
        let mut session = Session::new(output);
        match self {
            Self::Completion => {
                session.print_text(SCRIPT);
                session.note("save it as kubectl_complete-tabular in a directory of your PATH, and make it executable");
                Exit::Success
            }
            Self::Version(args) => version::run(&args, &mut session).await.unwrap_or_else(|failure| session.fail(&failure)),
            Self::Complete(args) => {
                let (candidates, directive) = complete(&args.words);
                session.print_text(&render(&candidates, directive));
                Exit::Success
            }
        }
    }
}
