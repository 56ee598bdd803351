//! Runs a command of the command line.

use crate::cli::Command;
use crate::exit::Exit;

/// Runs a command, and returns its exit code. Everything that the user needs to know is printed.
pub async fn run(command: Command) -> Exit {
    match command {
        Command::Show(show) => show.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Request(request) => request.run().await,
        Command::Decision(decision) => decision.run().await,
        Command::Manifest(manifest) => manifest.run().await,
        Command::About(about) => about.run().await,
    }
}
