//! The entry point: crypto provider, command line, and the exit code of the command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use kubectl_tabular::cli::Cli;
use kubectl_tabular::commands;
use kubectl_tabular::exit::Exit;

fn main() -> ExitCode {
    // Fails only if a provider is already installed, which is equivalent.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    // One thread: the plugin mostly waits for the API server.
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::run(cli.command)),
        Err(error) => {
            eprintln!("error: failed to start: {error}");
            Exit::Failure
        }
    };
    ended.into()
}
