//! What the rest of the operator asks about the lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::engine::Leaving;

/// Whether this process may act. Clones share one state.
#[derive(Clone, Debug)]
pub struct LeaseHandle {
    standing: Arc<watch::Sender<Standing>>,
    /// How much of the lease has to be left for a submission to be sent.
    margin: Duration,
    /// Asks the loop to give the lease back.
    stop: CancellationToken,
    /// The loop has ended, whatever the reason.
    ended: CancellationToken,
    leaving: Arc<watch::Sender<Option<Leaving>>>,
}

/// Where this process stands. It only ever moves down this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It wants the lease; `holder` is who has it, once that is known.
    Seeking { holder: Option<String> },
    /// It has the lease, until then or for ever.
    Held { until: Option<Instant>, term: Option<i32> },
    /// It had the lease, and has it no more.
    Lost,
    /// It gave up the lease, or the wish for it.
    GivenBack,
}

impl LeaseHandle {
    /// Leader election is off: always held, until released.
    #[must_use]
    pub fn always() -> Self {
        let handle = Self::seeking(Duration::ZERO);
        handle.set(Standing::Held { until: None, term: None });
        handle.ended.cancel();
        handle
    }

    pub(super) fn seeking(margin: Duration) -> Self {
        Self {
            standing: Arc::new(watch::Sender::new(Standing::Seeking { holder: None })),
            margin,
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            leaving: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Whether it may act at this moment, by the monotonic clock. Once false after true, it stays false.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_for(Duration::ZERO)
    }

    /// Whether it may act now and for `margin` more, even if no further renewal succeeds. Just before a renewal 7/15 of the
    /// lease's duration are left, so a margin of more than that often fails with nothing wrong.
    #[must_use]
    pub fn holds_for(&self, margin: Duration) -> bool {
        match *self.standing.borrow() {
            Standing::Held { until, .. } => in_time(until, margin),
            Standing::Seeking { .. } | Standing::Lost | Standing::GivenBack => false,
        }
    }

    /// Whether a submission may be sent now: the lease is held, and lasts long enough for the request to be on its way before
    /// anybody else may act.
    ///
    /// It need not last for the answer: a call may take longer than the whole lease. A submission that is in flight when the
    /// lease ends is no second one. Its intent is on record, and whoever leads next submits nothing for it before the call's
    /// deadline and the listing's lag have passed since that intent; what has arrived by then is in the listing, and adopted.
    #[must_use]
    pub fn holds_for_a_submission(&self) -> bool {
        self.holds_for(self.margin)
    }

    /// The number of this holder among all that the Lease had, `leaseTransitions`: a later holder has a higher one.
    /// `None` where it has not been held, or leader election is off.
    #[must_use]
    pub fn term(&self) -> Option<i32> {
        match *self.standing.borrow() {
            Standing::Held { until, term } if in_time(until, Duration::ZERO) => term,
            Standing::Held { .. } | Standing::Seeking { .. } | Standing::Lost | Standing::GivenBack => None,
        }
    }

    /// Waits until the lease is held. For ever, where that does not come about: wait for [`Self::lost`] beside it.
    pub async fn acquired(&self) {
        self.until(|standing| matches!(standing, Standing::Held { .. })).await;
    }

    /// Waits until another was seen to hold the lease: this one stands by from then on.
    pub async fn standing_by(&self) {
        self.until(|standing| matches!(standing, Standing::Seeking { holder: Some(_) })).await;
    }

    /// Waits until the lease is held no more: lost, run out, or given back.
    pub async fn lost(&self) {
        let mut changes = self.standing.subscribe();
        loop {
            let until = match *changes.borrow_and_update() {
                Standing::Lost | Standing::GivenBack => return,
                Standing::Held { until, .. } => until,
                Standing::Seeking { .. } => None,
            };
            tokio::select! {
                // Unless it was renewed at the last moment.
                () = run_out(until) => if !self.holds() { return },
                // The handle itself keeps the sender, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
    }

    /// Whether the Lease says that the operator is about to be uninstalled. Whoever said so and sees the Lease renewed since knows
    /// that this is heeded.
    #[must_use]
    pub fn leaving(&self) -> Option<Leaving> {
        *self.leaving.borrow()
    }

    /// Shows the same each time that it changes.
    #[must_use]
    pub fn leaving_changes(&self) -> watch::Receiver<Option<Leaving>> {
        self.leaving.subscribe()
    }

    /// Takes note of what the Lease says, and says whether that is new.
    pub(super) fn set_leaving(&self, next: Option<Leaving>) -> bool {
        self.leaving.send_if_modified(|leaving| std::mem::replace(leaving, next) != next)
    }

    /// Gives the lease back, so that another can take it at once, and waits until that is done or has failed. From the call
    /// on nothing may act by it any more.
    pub async fn release(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
        self.set(Standing::GivenBack);
    }

    async fn until(&self, reached: impl Fn(&Standing) -> bool) {
        let mut changes = self.standing.subscribe();
        if changes.wait_for(|standing| reached(standing)).await.is_err() {
            // The handle itself keeps the sender, so this is never reached.
            std::future::pending::<()>().await;
        }
    }

    /// Moves on, and says whether that changed anything. What has ended stays so, the first reason with it.
    pub(super) fn set(&self, next: Standing) -> bool {
        self.standing.send_if_modified(|standing| {
            let moves = match standing {
                Standing::Seeking { .. } | Standing::Held { .. } => *standing != next,
                Standing::Lost | Standing::GivenBack => false,
            };
            if moves {
                *standing = next;
            }
            moves
        })
    }

    /// Asked to give the lease back.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Says that the loop has ended, when what is returned is dropped.
    pub(super) fn ends(&self) -> impl Drop + use<> {
        self.ended.clone().drop_guard()
    }
}

fn in_time(until: Option<Instant>, margin: Duration) -> bool {
    until.is_none_or(|until| Instant::now() + margin < until)
}

async fn run_out(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
