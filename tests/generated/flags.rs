//! The reference of the command line, from its help.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use tabular_operator::cli::Cli;

use crate::{page, settle};

#[test]
fn flags() {
    let about = "The output of `tabular-operator --help` and of `--help` for each command.";
    let mut text = page("Flags", about);
    let mut program = Cli::command().term_width(110);
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).filter(|name| name != "help").collect();
    write!(text, "\n## tabular-operator\n\n```text\n{}\n```\n", help(&mut program)).unwrap();
    for name in names {
        let command = program.find_subcommand_mut(&name).unwrap();
        let mut command = command.clone().bin_name(format!("tabular-operator {name}")).term_width(110);
        write!(text, "\n## tabular-operator {name}\n\n```text\n{}\n```\n", help(&mut command)).unwrap();
    }
    settle("docs/reference/flags.md", &text);
}

fn help(command: &mut clap::Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    lines.join("\n")
}
