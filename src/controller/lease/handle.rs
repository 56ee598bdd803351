//! The state of the lease for the rest of the operator.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::engine::DrainMode;

/// Whether this process may act. Clones share one state.
#[derive(Clone, Debug)]
pub struct LeaseHandle {
    leadership: Arc<watch::Sender<Leadership>>,
    /// How much of the lease must remain to send a submission.
    margin: Duration,
    /// Requests the loop to release the lease.
    stop: CancellationToken,
    /// Cancelled when the loop has ended for any reason.
    ended: CancellationToken,
    drain: Arc<watch::Sender<Option<DrainMode>>>,
}

/// The state of this process. It only moves down this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leadership {
    /// It seeks the lease. `holder` is the current holder, once known.
    Candidate { holder: Option<String> },
    /// It holds the lease until this time, or forever.
    Leader { until: Option<Instant>, term: Option<i32> },
    /// It has lost the lease.
    Lost,
    /// It released the lease or stopped seeking it.
    Released,
}

impl LeaseHandle {
    /// A lease without leader election: held until released.
    #[must_use]
    pub fn always() -> Self {
        let handle = Self::candidate(Duration::ZERO);
        handle.set(Leadership::Leader { until: None, term: None });
        handle.ended.cancel();
        handle
    }

    pub(super) fn candidate(margin: Duration) -> Self {
        Self {
            leadership: Arc::new(watch::Sender::new(Leadership::Candidate { holder: None })),
            margin,
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            drain: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Whether the process may act now, by the monotonic clock. Once false after true, it stays false.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_for(Duration::ZERO)
    }

    /// Whether the process may act now and for `margin` more, even if no further renewal succeeds. Just before a renewal, 7/15 of the
    /// duration remain, so a larger margin often fails without any fault.
    #[must_use]
    pub fn holds_for(&self, margin: Duration) -> bool {
        match *self.leadership.borrow() {
            Leadership::Leader { until, .. } => is_before(until, margin),
            Leadership::Candidate { .. } | Leadership::Lost | Leadership::Released => false,
        }
    }

    /// Whether a submission may be sent now: the lease is held, and remains valid long enough to send the request before another
    /// operator may act.
    ///
    /// It need not remain valid until the response, because a call may take longer than the lease. A submission that is in flight when
    /// the lease ends causes no duplicate. Its intent is recorded, and the next leader submits nothing for it until the timeout of the
    /// call and the lag of the list have passed since that intent. An operation that has arrived by then is in the list, and is adopted.
    #[must_use]
    pub fn may_submit(&self) -> bool {
        self.holds_for(self.margin)
    }

    /// The number of this holder (`leaseTransitions`). A later holder has a higher one. `None` if the lease is not held or leader
    /// election is disabled.
    #[must_use]
    pub fn term(&self) -> Option<i32> {
        match *self.leadership.borrow() {
            Leadership::Leader { until, term } if is_before(until, Duration::ZERO) => term,
            Leadership::Leader { .. } | Leadership::Candidate { .. } | Leadership::Lost | Leadership::Released => None,
        }
    }

    /// Waits until the lease is held. If that never happens, waits forever: wait for [`Self::lost`] concurrently.
    pub async fn acquired(&self) {
        self.until(|leadership| matches!(leadership, Leadership::Leader { .. })).await;
    }

    /// Waits until another holder of the lease is observed. This process is on standby from then on.
    pub async fn on_standby(&self) {
        self.until(|leadership| matches!(leadership, Leadership::Candidate { holder: Some(_) })).await;
    }

    /// Waits until the lease is no longer held: lost, expired or released.
    pub async fn lost(&self) {
        let mut changes = self.leadership.subscribe();
        loop {
            let until = match *changes.borrow_and_update() {
                Leadership::Lost | Leadership::Released => return,
                Leadership::Leader { until, .. } => until,
                Leadership::Candidate { .. } => None,
            };
            tokio::select! {
                // It may have been renewed just before.
                () = expiry(until) => if !self.holds() { return },
                // The handle owns the sender, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
    }

    /// Whether the Lease contains a drain request, and how running operations end. A renewal of the Lease after the request confirms that
    /// the holder has received it.
    #[must_use]
    pub fn drain(&self) -> Option<DrainMode> {
        *self.drain.borrow()
    }

    /// Receives each change of [`Self::drain`].
    #[must_use]
    pub fn drain_changes(&self) -> watch::Receiver<Option<DrainMode>> {
        self.drain.subscribe()
    }

    /// Records the drain request, and returns whether it changed.
    pub(super) fn set_drain(&self, next: Option<DrainMode>) -> bool {
        self.drain.send_if_modified(|drain| std::mem::replace(drain, next) != next)
    }

    /// Releases the lease, so that another candidate can acquire it immediately, and waits until that has succeeded or failed. The process
    /// must not act after this call.
    pub async fn release(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
        self.set(Leadership::Released);
    }

    async fn until(&self, reached: impl Fn(&Leadership) -> bool) {
        let mut changes = self.leadership.subscribe();
        if changes.wait_for(|leadership| reached(leadership)).await.is_err() {
            // The handle owns the sender, so this is unreachable.
            std::future::pending::<()>().await;
        }
    }

    /// Changes the state, and returns whether it changed. A final state never changes.
    pub(super) fn set(&self, next: Leadership) -> bool {
        self.leadership.send_if_modified(|leadership| {
            let moves = match leadership {
                Leadership::Candidate { .. } | Leadership::Leader { .. } => *leadership != next,
                Leadership::Lost | Leadership::Released => false,
            };
            if moves {
                *leadership = next;
            }
            moves
        })
    }

    /// Cancelled when the release of the lease is requested.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Returns a guard that records the end of the loop when it is dropped.
    pub(super) fn end_guard(&self) -> impl Drop + use<> {
        self.ended.clone().drop_guard()
    }
}

fn is_before(until: Option<Instant>, margin: Duration) -> bool {
    until.is_none_or(|until| Instant::now() + margin < until)
}

async fn expiry(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
