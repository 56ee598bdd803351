//! The line as a whole: whether there is one, and how it passes on what watches show.

use std::time::Duration;

use tokio::sync::watch;

/// How watches are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// As they come.
    #[default]
    Flow,
    /// Each piece so much later.
    Lag(Duration),
    /// Not at all; what comes meanwhile is passed on afterwards.
    Stall,
}

/// The line as it is.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    away: bool,
    /// How often all connections were broken.
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

    /// Whether connections are taken.
    pub(super) fn is_up(&self) -> bool {
        !self.state.borrow().away
    }

    /// Waits until all connections that there are now are broken.
    pub(super) async fn broken(&self) {
        let mut state = self.state.subscribe();
        let breaks = state.borrow().breaks;
        let _ = state.wait_for(|state| state.breaks > breaks).await;
    }

    /// Waits until a piece of a watch may be passed on.
    pub(super) async fn passes_watches(&self) {
        let mut state = self.state.subscribe();
        let Ok(now) = state.wait_for(|state| state.watches != Watches::Stall).await.map(|state| state.watches) else { return };
        if let Watches::Lag(by) = now {
            tokio::time::sleep(by).await;
        }
    }
}
