//! The exit codes.

use std::process::ExitCode;

/// How a command ends. With several names, the exit code is the largest of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success; with `--wait`, the run succeeded.
    #[default]
    Success = 0,
    /// The API server, the network, a permission, an unknown name or the kubeconfig.
    Failure = 1,
    /// Invalid usage, or a prompt without a terminal.
    Usage = 2,
    /// A negative result: the run did not succeed, a check failed, or a manifest is invalid.
    Negative = 3,
    /// `--timeout` expired; the run continues.
    Timeout = 4,
    /// Nothing was changed.
    NoChange = 5,
    /// Ctrl-C; a requested run continues.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table of exit codes, for the help.
pub const HELP: &str = "\
Exit codes:
    0  success; with --wait, the run succeeded
    1  failure: API server, network, permission, unknown name, kubeconfig
    2  invalid usage, or a prompt without a terminal
    3  negative result: the run did not succeed, a check failed, a manifest is
       invalid, the operator rejected a decision, or why --exit-code needs action
    4  no result in time: a requested run or check continues
    5  nothing was requested, or the request was dropped
  130  Ctrl-C, except with -w; a requested run continues";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_exit_code_wins_and_help_lists_each() {
        let all = [Exit::Success, Exit::Failure, Exit::Usage, Exit::Negative, Exit::Timeout, Exit::NoChange, Exit::Interrupted];
        assert!(all.is_sorted());
        for exit in all {
            assert!(HELP.contains(&format!("  {:>3}  ", exit as u8)), "{exit:?}");
        }
    }
}
