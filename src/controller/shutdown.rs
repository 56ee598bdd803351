//! Shutdown by signal: the first SIGTERM or SIGINT requests a graceful shutdown, the second an immediate one.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels. The second signal exits the process immediately with code 1.
/// Must be called within a tokio runtime, before any work that needs a graceful shutdown.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "received a signal; finishing writes in progress and starting no new work");
        token.cancel();
        let signal = next().await;
        tracing::warn!(signal, "received a second signal; exiting immediately");
        std::process::exit(1);
    });
    Ok(stop)
}
