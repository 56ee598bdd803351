//! The open connections of a port. Their number is bounded, and a new connection evicts one that sends no request, so silent clients never
//! delay a probe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::AbortHandle;

/// Maximum number of connections. Probes and scrapers need only a few.
const MAX_CONNECTIONS: usize = 64;

/// Whether a connection has sent the head of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestHead(Arc<AtomicBool>);

impl RequestHead {
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
pub(super) struct Connections(VecDeque<(AbortHandle, RequestHead)>);

impl Connections {
    /// Makes room for one more connection: closes the oldest that has sent no request, or else the oldest.
    pub(super) fn make_room(&mut self) {
        self.0.retain(|(connection, _)| !connection.is_finished());
        if self.0.len() >= MAX_CONNECTIONS {
            let evicted = self.0.iter().position(|(_, head)| !head.get()).unwrap_or(0);
            if let Some((connection, _)) = self.0.remove(evicted) {
                connection.abort();
            }
        }
    }

    /// Adds the newest connection.
    pub(super) fn keep(&mut self, connection: AbortHandle, head: RequestHead) {
        self.0.push_back((connection, head));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silent_connection_is_evicted_before_served_one() {
        let mut connections = Connections::default();
        let tasks: Vec<_> = (0..=MAX_CONNECTIONS).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        for (number, task) in tasks.iter().enumerate() {
            let head = RequestHead::default();
            if number != 2 {
                head.set();
            }
            connections.make_room();
            connections.keep(task.abort_handle(), head);
        }
        let (mut kept, mut evicted) = (0, Vec::new());
        connections.make_room();
        tokio::task::yield_now().await;
        for (number, task) in tasks.iter().enumerate() {
            if task.is_finished() { evicted.push(number) } else { kept += 1 }
        }
        assert_eq!((kept, evicted), (MAX_CONNECTIONS - 1, vec![0, 2]));
    }
}
