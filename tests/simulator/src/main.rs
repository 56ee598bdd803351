//! The simulator's binary: startup and exit only.

#![forbid(unsafe_code)]

mod cli;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser as _;
use simulator::{Settings, Simulator, control::initial_state::InitialState, simulator::Error as StartError};
use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{SignalKind, signal},
};

use crate::cli::Cli;

/// The exit code and the message.
struct Failure(u8, String);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, sentence)) => {
            // Standard error may be closed, which is not a reason to fail.
            let _ = writeln!(io::stderr(), "simulator: {sentence}");
            ExitCode::from(code)
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let initial_state = initial_state(cli.world.as_deref()).map_err(|sentence| Failure(2, sentence))?;
    // Installed before the announcement, so that an early signal is not lost.
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let settings = Settings { proxy_address: cli.proxy_address, control_address: cli.control_address, initial_state };
    let simulator = Simulator::start(settings).await.map_err(|error| {
        let code = if matches!(error, StartError::NotLoopback(_) | StartError::InitialState(_)) { 2 } else { 1 };
        Failure(code, error.to_string())
    })?;
    fs::write(&cli.ca_file, simulator.ca_pem())
        .map_err(|error| Failure(1, format!("failed to write {}: {error}", cli.ca_file.display())))?;
    let ready = serde_json::json!({
        "proxy": simulator.proxy_url(),
        "control": simulator.control_url(),
        "caFile": cli.ca_file,
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "{ready}").and_then(|()| stdout.flush()).map_err(|error| failed(&error))?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        () = end_of_input(), if cli.parent_exits => {}
    }
    // A pending read of standard input would block a regular shutdown of the runtime.
    std::process::exit(0)
}

fn initial_state(file: Option<&Path>) -> Result<InitialState, String> {
    let read = match file {
        None => InitialState::example(),
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
            InitialState::read(&text)
        }
    };
    read.map_err(|error| error.to_string())
}

async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 1_024];
    while matches!(input.read(&mut ignored).await, Ok(read) if read > 0) {}
}

fn failed(error: &io::Error) -> Failure {
    Failure(1, error.to_string())
}
