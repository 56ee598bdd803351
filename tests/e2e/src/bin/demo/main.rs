//! The demo: the released operator on a real Kubernetes API and a local Azure, with eight refreshes and syncs that each take a different
//! course.
//!
//! It checks what it shows, ends automatically, and cleans up after any exit.

#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a panic is an error, which the demo catches and prints")]

mod azure;
mod check;
mod cluster;
mod manifests;
mod plugin;
mod processes;
mod scenario;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use e2e::caught;
use screen::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::processes::Processes;

/// A fatal error, as one sentence for the user.
type Outcome<T> = Result<T, String>;

/// Demonstrates the operator: six refreshes and two syncs, checked, in about a minute.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Cli {
    /// A context of your kubeconfig, in place of the local control plane: uses its own namespaces, which are removed.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Leaves everything running at the end, explains its use, and waits for Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// The signals that end the demo.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // Fails only if a provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    // A panic of a helper is an error: `caught` returns it.
    std::panic::set_hook(Box::new(|_| {}));
    let mut screen = Screen::new(std::io::stdout().is_terminal());
    let (mut signals, mut processes) = match (Signals::listen(), Processes::new()) {
        (Ok(signals), Ok(processes)) => (signals, processes),
        (Err(error), _) => return refuse(&format!("failed to listen for signals: {error}")),
        (_, Err(error)) => return refuse(&error),
    };
    let shown = tokio::select! {
        biased;
        () = signals.next() => None,
        shown = caught(scenario::run(&cli, &mut processes, &mut screen)) => Some(shown.flatten()),
    };
    screen.settle();
    let shown = match shown {
        Some(Ok(true)) if cli.keep => {
            processes.explain_use(&mut screen, cli.context.as_deref()).await;
            signals.next().await;
            screen.settle();
            Some(Ok(true))
        }
        other => other,
    };
    match &shown {
        Some(Err(error)) => {
            screen.print(&format!("error: {error}"));
            for line in processes.last_log_lines() {
                screen.print(&line);
            }
        }
        None => screen.print("interrupted: cleaning up"),
        Some(Ok(_)) => {}
    }
    let ended = tokio::select! {
        ended = processes.end(&mut screen) => ended,
        () = signals.next() => {
            screen.print("error: interrupted again: killing all processes");
            // The guard kills everything that is left.
            std::process::exit(1);
        }
    };
    if let Err(error) = &ended {
        screen.print(&format!("error: {error}"));
    }
    match shown {
        Some(Ok(true)) if ended.is_ok() => {
            screen.print("All checks passed. Everything was removed.");
            ExitCode::SUCCESS
        }
        None => ExitCode::from(130),
        Some(_) => ExitCode::FAILURE,
    }
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::FAILURE
}
