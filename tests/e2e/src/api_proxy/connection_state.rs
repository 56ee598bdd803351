//! The state of all connections: up or cut, and the delivery of watch events.

use std::time::Duration;

use tokio::sync::watch;

/// The delivery of watch events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// Immediate.
    #[default]
    Flow,
    /// Delayed by this duration.
    Lag(Duration),
    /// Suspended; pending events are delivered afterwards.
    Stall,
}

/// The current state.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    away: bool,
    /// Number of times that all connections were broken.
    breaks: u64,
    watches: Watches,
}

impl Line {
    pub(super) fn cut(&self, away: bool) {
        self.state.send_modify(|state| {
            state.away = away;
            state.breaks += u64::from(away);
        });
    }

    pub(super) fn shake(&self) {
        self.state.send_modify(|state| state.breaks += 1);
    }

    pub(super) fn watches(&self, how: Watches) {
        self.state.send_modify(|state| state.watches = how);
    }

    /// Whether connections are accepted.
    pub(super) fn is_up(&self) -> bool {
        !self.state.borrow().away
    }

    /// Waits until all current connections are broken.
    pub(super) async fn broken(&self) {
        let mut state = self.state.subscribe();
        let breaks = state.borrow().breaks;
        let _ = state.wait_for(|state| state.breaks > breaks).await;
    }

    /// Waits until an event of a watch may be delivered.
    pub(super) async fn passes_watches(&self) {
        let mut state = self.state.subscribe();
        let Ok(now) = state.wait_for(|state| state.watches != Watches::Stall).await.map(|state| state.watches) else { return };
        if let Watches::Lag(by) = now {
            tokio::time::sleep(by).await;
        }
    }
}
