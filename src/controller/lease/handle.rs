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
    standing: Arc<watch::Sender<Standing>>,
    /// How much of the lease must remain to send a submission.
    margin: Duration,
    /// Requests the loop to release the lease.
    stop: CancellationToken,
    /// Cancelled when the loop has ended for any reason.
    ended: CancellationToken,
    leaving: Arc<watch::Sender<Option<DrainMode>>>,
}

/// The state of this process. It only moves down this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It seeks the lease. `holder` is the current holder, once known.
    Seeking { holder: Option<String> },
    /// It holds the lease until this time, or forever.
    Held { until: Option<Instant>, term: Option<i32> },
    /// It has lost the lease.
    Lost,
    /// It released the lease or stopped seeking it.
    GivenBack,
}

impl LeaseHandle {
    /// A lease without leader election: held until released.
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

    /// Whether the process may act now, by the monotonic clock. Once false after true, it stays false.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_for(Duration::ZERO)
    }

    /// Whether the process may act now and for `margin` more, even if no further renewal succeeds. Just before a renewal, 7/15 of the
    /// duration remain, so a larger margin often fails without any fault.
    #[must_use]
    pub fn holds_for(&self, margin: Duration) -> bool {
        match *self.standing.borrow() {
            Standing::Held { until, .. } => in_time(until, margin),
            Standing::Seeking { .. } | Standing::Lost | Standing::GivenBack => false,
        }
    }

    /// Whether a submission may be sent now: the lease is held, and remains valid long enough to send the request before another
    /// operator may act.
    ///
    /// It need not remain valid until the response, because a call may take longer than the lease. A submission that is in flight when
    /// the lease ends causes no duplicate. Its intent is recorded, and the next leader submits nothing for it until the timeout of the
    /// call and the lag of the list have passed since that intent. An operation that has arrived by then is in the list, and is adopted.
    #[must_use]
    pub fn holds_for_a_submission(&self) -> bool {
        self.holds_for(self.margin)
    }

    /// The number of this holder (`leaseTransitions`). A later holder has a higher one. `None` if the lease is not held or leader
    /// election is disabled.
    #[must_use]
    pub fn term(&self) -> Option<i32> {
        match *self.standing.borrow() {
            Standing::Held { until, term } if in_time(until, Duration::ZERO) => term,
            Standing::Held { .. } | Standing::Seeking { .. } | Standing::Lost | Standing::GivenBack => None,
        }
    }

    /// Waits until the lease is held. If that never happens, waits forever: wait for [`Self::lost`] concurrently.
    pub async fn acquired(&self) {
        self.until(|standing| matches!(standing, Standing::Held { .. })).await;
    }

    /// Waits until another holder of the lease is observed. This process is on standby from then on.
    pub async fn standing_by(&self) {
        self.until(|standing| matches!(standing, Standing::Seeking { holder: Some(_) })).await;
    }

    /// Waits until the lease is no longer held: lost, expired or released.
    pub async fn lost(&self) {
        let mut changes = self.standing.subscribe();
        loop {
            let until = match *changes.borrow_and_update() {
                Standing::Lost | Standing::GivenBack => return,
                Standing::Held { until, .. } => until,
                Standing::Seeking { .. } => None,
            };
            tokio::select! {
                // It may have been renewed at the last moment.
                () = run_out(until) => if !self.holds() { return },
                // The handle owns the sender, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
    }

    /// Whether the Lease contains a drain request, and how running operations end. A renewal of the Lease after the request confirms that
    /// the holder has received it.
    #[must_use]
    pub fn leaving(&self) -> Option<DrainMode> {
        *self.leaving.borrow()
    }

    /// Receives each change of [`Self::leaving`].
    #[must_use]
    pub fn leaving_changes(&self) -> watch::Receiver<Option<DrainMode>> {
        self.leaving.subscribe()
    }

    /// Records the drain request, and returns whether it changed.
    pub(super) fn set_leaving(&self, next: Option<DrainMode>) -> bool {
        self.leaving.send_if_modified(|leaving| std::mem::replace(leaving, next) != next)
    }

    /// Releases the lease, so that another candidate can acquire it immediately, and waits until that has succeeded or failed. The process
    /// must not act after this call.
    pub async fn release(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
        self.set(Standing::GivenBack);
    }

    async fn until(&self, reached: impl Fn(&Standing) -> bool) {
        let mut changes = self.standing.subscribe();
        if changes.wait_for(|standing| reached(standing)).await.is_err() {
            // The handle owns the sender, so this is unreachable.
            std::future::pending::<()>().await;
        }
    }

    /// Changes the state, and returns whether it changed. A final state never changes.
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

    /// Cancelled when the release of the lease is requested.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Returns a guard that records the end of the loop when it is dropped.
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
