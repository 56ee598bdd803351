//! The entry point: crypto provider, command line, logs and dispatch of the command.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tabular_operator::api::crds;
use tabular_operator::cli::{Cli, Command, DrainArgs, RunArgs, print_crds};
use tabular_operator::controller::drain::{DrainError, drain};
use tabular_operator::controller::manager::{RunError, run, run_controllers};
use tabular_operator::telemetry::logs;
use tabular_operator::telemetry::metrics::Metrics;
use tabular_operator::telemetry::traces::Traces;
use tabular_operator::text::visible;

/// How long background tasks may delay the exit of the process.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);
/// Time limit for sending the last spans.
const TRACE_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Fails only if a provider is already installed, which is equivalent.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Run(args) => run_operator(*args),
        Command::Drain(args) => run_drain(*args),
        Command::Crds => {
            let printed = crds().map_err(std::io::Error::other).and_then(|crds| print_crds(&crds, std::io::stdout().lock()));
            printed.map_or_else(|error| fail(1, &format!("failed to write the definitions: {error}")), |()| ExitCode::SUCCESS)
        }
    }
}

fn run_operator(args: RunArgs) -> ExitCode {
    if let Err(error) = logs::start(&args.logs()) {
        return fail(2, &error.to_string());
    }
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error.to_string()),
    };
    let metrics = Arc::new(Metrics::new());
    let traces = match settings.otlp_endpoint.as_deref().map(|endpoint| Traces::to(endpoint, &metrics)) {
        None => Traces::off(),
        Some(Ok(traces)) => traces,
        Some(Err(error)) => return fail(2, &error.to_string()),
    };
    // One thread: each task here is short and mostly waits for I/O. Waking a second thread for each response would cost more than it saves.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("failed to start: {error}")),
    };
    let ended = runtime.block_on(run(settings, metrics, traces.clone(), run_controllers));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    traces.finish(TRACE_FLUSH_TIMEOUT);
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => end(&error),
    }
}

fn run_drain(args: DrainArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("failed to start: {error}")),
    };
    let drained: Result<(), DrainError> = runtime.block_on(drain(args.settings(), &mut std::io::stdout()));
    drained.map_or_else(|error| fail(error.exit_code(), &error.to_string()), |()| ExitCode::SUCCESS)
}

fn end(error: &RunError) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::from(error.exit_code())
}

/// Reports an error on standard error before logs are set up, and for invalid settings.
fn fail(code: u8, sentence: &str) -> ExitCode {
    eprintln!("error: {}", visible(sentence));
    ExitCode::from(code)
}
