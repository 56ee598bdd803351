//! The end from outside: SIGTERM or SIGINT asks for an orderly one, a second of them for one at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second ends the process with 1, where it stands.
/// Call it where tokio runs, before anything that is to be ended in order.
///
/// # Errors
/// Where the signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "received a signal; finishing writes in progress and starting no new work");
        told.cancel();
        let signal = next().await;
        tracing::warn!(signal, "received a second signal; exiting immediately");
        std::process::exit(1);
    });
    Ok(stop)
}
