//! The open connections of a port. Their number is bounded, and a new connection evicts one that sends no request, so silent clients never
//! delay a probe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::AbortHandle;

/// Maximum number of connections. Probes and scrapers need only a few.
const CONNECTIONS: usize = 64;

/// Whether a connection has sent the head of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// Records that the head of the request has arrived.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The open connections, oldest first.
#[derive(Debug, Default)]
pub(super) struct Connections(VecDeque<(AbortHandle, Asked)>);

impl Connections {
    /// Makes room for one more connection: closes the oldest that has sent no request, or else the oldest.
    pub(super) fn make_room(&mut self) {
        self.0.retain(|(connection, _)| !connection.is_finished());
        if self.0.len() >= CONNECTIONS {
            let evicted = self.0.iter().position(|(_, asked)| !asked.get()).unwrap_or(0);
            if let Some((connection, _)) = self.0.remove(evicted) {
                connection.abort();
            }
        }
    }

    /// Adds the newest connection.
    pub(super) fn keep(&mut self, connection: AbortHandle, asked: Asked) {
        self.0.push_back((connection, asked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silent_connection_is_evicted_before_served_one() {
        let mut connections = Connections::default();
        let tasks: Vec<_> = (0..=CONNECTIONS).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        for (number, task) in tasks.iter().enumerate() {
            let asked = Asked::default();
            if number != 2 {
                asked.set();
            }
            connections.make_room();
            connections.keep(task.abort_handle(), asked);
        }
        let (mut kept, mut evicted) = (0, Vec::new());
        connections.make_room();
        tokio::task::yield_now().await;
        for (number, task) in tasks.iter().enumerate() {
            if task.is_finished() { evicted.push(number) } else { kept += 1 }
        }
        assert_eq!((kept, evicted), (CONNECTIONS - 1, vec![0, 2]));
    }
}
