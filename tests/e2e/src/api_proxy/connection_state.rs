//! The state of all connections: up or unavailable, and the delivery of watch events.

use std::time::Duration;

use tokio::sync::watch;

/// The delivery of watch events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchDelivery {
    /// Immediate.
    #[default]
    Immediate,
    /// Delayed by this duration.
    Delayed(Duration),
    /// Suspended; pending events are delivered afterwards.
    Suspended,
}

/// The current state.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    unavailable: bool,
    /// Number of times that all connections were broken.
    breaks: u64,
    watches: WatchDelivery,
}

impl ConnectionState {
    pub(super) fn set_available(&self, available: bool) {
        self.state.send_modify(|state| {
            state.unavailable = !available;
            state.breaks += u64::from(!available);
        });
    }

    pub(super) fn reset_connections(&self) {
        self.state.send_modify(|state| state.breaks += 1);
    }

    pub(super) fn set_watch_delivery(&self, delivery: WatchDelivery) {
        self.state.send_modify(|state| state.watches = delivery);
    }

    /// Whether connections are accepted.
    pub(super) fn is_up(&self) -> bool {
        !self.state.borrow().unavailable
    }

    /// Waits until all current connections are broken.
    pub(super) async fn broken(&self) {
        let mut state = self.state.subscribe();
        let breaks = state.borrow().breaks;
        let _ = state.wait_for(|state| state.breaks > breaks).await;
    }

    /// Waits until an event of a watch may be delivered.
    pub(super) async fn wait_for_watch_delivery(&self) {
        let mut state = self.state.subscribe();
        let Ok(now) = state.wait_for(|state| state.watches != WatchDelivery::Suspended).await.map(|state| state.watches) else { return };
        if let WatchDelivery::Delayed(by) = now {
            tokio::time::sleep(by).await;
        }
    }
}
