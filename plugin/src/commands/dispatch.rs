//! Runs a command of the command line.

use crate::cli::Command;
use crate::exit::Exit;

/// Runs a command, and returns its exit code. Everything that the user needs to know is printed.
pub async fn run(command: Command) -> Exit {
    match command {
        Command::Show(show) => show.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Request(request) => request.run().await,
        Command::Decide(decide) => decide.run().await,
        Command::Author(author) => author.run().await,
        Command::Tools(tools) => tools.run().await,
        Command::Check(args) => args.run().await,
    }
}
