//! The command line. Each group of commands has its own file in [`crate::commands`], with its arguments and its code.

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::commands::about::AboutCommand;
use crate::commands::decision::DecisionCommand;
use crate::commands::explain::ExplainCommand;
use crate::commands::manifest::ManifestCommand;
use crate::commands::request::RequestCommand;
use crate::commands::show::ShowCommand;
use crate::exit;

/// Shows and controls the refreshes and syncs of tabular models.
///
/// The plugin shows which model is stale, what runs, what waits and what needs action. It starts runs and waits for them. Every command has examples: kubectl tabular COMMAND --help.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl tabular",
    bin_name = "kubectl tabular",
    max_term_width = 110,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = exit::HELP
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, by group.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commands that show resources and change nothing.
    #[command(flatten)]
    Show(ShowCommand),
    /// Commands that explain the state of a resource.
    #[command(flatten)]
    Explain(ExplainCommand),
    /// Commands that request something of the operator.
    #[command(flatten)]
    Request(RequestCommand),
    /// Commands that record a decision.
    #[command(flatten)]
    Decision(DecisionCommand),
    /// Commands that write and check manifests.
    #[command(flatten)]
    Manifest(ManifestCommand),
    /// Commands about the plugin.
    #[command(flatten)]
    About(AboutCommand),
}

/// A duration of the command line, such as `10s`, `2m` or `1h30m`; a bare number counts seconds, as in kubectl.
///
/// # Errors
/// If the text is no such duration, or is longer than a week.
pub fn timeout(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_hours(7 * 24);
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()),
    };
    parsed.filter(|duration| *duration <= MOST).ok_or_else(|| "must be a duration of at most a week, such as 10s, 2m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent_and_names_the_plugin() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage: kubectl tabular <COMMAND>"), "{help}");
        assert!(help.contains("Exit codes:"), "{help}");
        // These call no API server.
        let offline = ["create", "completion"];
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
            let help = sub.render_long_help().to_string();
            let is_offline = offline.contains(&sub.get_name());
            assert!(help.contains("Examples:") && help.contains("--request-timeout") != is_offline, "{help}");
        }
    }

    /// The texts below the arguments: a paragraph is one line, which clap wraps, and only short lines have a place of their own.
    #[test]
    fn help_is_wrapped_once() {
        fn check(command: &clap::Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let continues = lines.get(at + 1).is_some_and(|next| !next.is_empty() && !next.starts_with(' '));
                let is_paragraph = !line.is_empty() && !line.starts_with(' ');
                assert!(!(is_paragraph && continues), "{}: a break within a paragraph: {line}", command.get_name());
                assert!(is_paragraph || line.chars().count() <= 108, "{}: too long for a line of its own: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn timeouts_are_durations() {
        let rows = [("10s", 10), ("2m", 120), ("1h30m", 5_400), ("7", 7), ("0", 0)];
        for (text, seconds) in rows {
            assert_eq!(timeout(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "-1s", "9d", "8000h"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_are_parsed_as_in_kubectl() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        assert!(parse("kubectl-tabular get -A -l tier=gold --stale -o json").is_ok());
        assert!(parse("kubectl-tabular status msync/a -n bi --context c -w --timeout 5m").is_ok());
        assert!(parse("kubectl-tabular get a -A").is_err(), "a name is in one namespace");
        assert!(parse("kubectl-tabular get --as-group g").is_err(), "a group needs a user");
        assert!(parse("kubectl-tabular status a --timeout 5m").is_err(), "a timeout needs --watch");
        assert!(parse("kubectl-tabular get -w -o json").is_err(), "a watch is text");
        assert!(parse("kubectl-tabular history a --run 0").is_err());
        assert!(parse("kubectl-tabular run a msync/b --reason late --wait --timeout 5m").is_ok());
        assert!(parse("kubectl-tabular run a --timeout 5m").is_err(), "a timeout needs --wait");
        for command in ["run", "cancel", "suspend", "resume"] {
            assert!(parse(&format!("kubectl-tabular {command}")).is_err(), "{command} needs a name");
        }
        assert!(parse("kubectl-tabular why a --exit-code --operator-namespace platform -o yaml").is_ok());
        assert!(parse("kubectl-tabular adopt a 1344a272 --yes").is_ok() && parse("kubectl-tabular adopt").is_err());
        assert!(parse("kubectl-tabular resubmit a b").is_err(), "one decision is about one resource");
        assert!(parse("kubectl-tabular release msync/a -y").is_ok());
        assert!(parse("kubectl-tabular validate -f a b -R --dry-run=server").is_ok() && parse("kubectl-tabular validate").is_err());
        assert!(parse("kubectl-tabular validate -f a --server").is_err(), "--server is a model of create");
        assert!(parse("kubectl-tabular check msync/a --timeout 30s -o json").is_ok());
        assert!(parse("kubectl-tabular check").is_err(), "a check needs a name");
    }
}
