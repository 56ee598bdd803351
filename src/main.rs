//! Start-up only: the crypto provider, the command line, logs, and what was asked for.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tabular_operator::api::crds;
use tabular_operator::cli::{Cli, Command, DrainArgs, RunArgs, print_crds};
use tabular_operator::controller::drain::{DrainError, drain};
use tabular_operator::controller::run::{RunError, run};
use tabular_operator::controller::work;
use tabular_operator::telemetry::logs;
use tabular_operator::telemetry::metrics::Metrics;
use tabular_operator::telemetry::traces::Traces;
use tabular_operator::text::visible;

/// How long what is still running in the background may hold up the end of the process.
const LINGER: Duration = Duration::from_millis(500);
/// How long the last spans may take to be sent.
const LAST_SPANS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Fails only where one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Run(args) => operate(*args),
        Command::Drain(args) => ready_to_leave(*args),
        Command::Crds => {
            let printed = crds().map_err(std::io::Error::other).and_then(|crds| print_crds(&crds, std::io::stdout().lock()));
            printed.map_or_else(|error| fail(1, &format!("failed to write the definitions: {error}")), |()| ExitCode::SUCCESS)
        }
    }
}

fn operate(args: RunArgs) -> ExitCode {
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
    // One thread: all that is done here is short, and waits for others. A second one would have to be woken for each answer, which
    // costs more than what it could take over.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("failed to start: {error}")),
    };
    let ended = runtime.block_on(run(settings, metrics, traces.clone(), work));
    runtime.shutdown_timeout(LINGER);
    traces.finish(LAST_SPANS);
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => end(&error),
    }
}

fn ready_to_leave(args: DrainArgs) -> ExitCode {
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

/// Before logs are set up, and for bad settings: a sentence for the person who typed the command.
fn fail(code: u8, sentence: &str) -> ExitCode {
    eprintln!("error: {}", visible(sentence));
    ExitCode::from(code)
}
