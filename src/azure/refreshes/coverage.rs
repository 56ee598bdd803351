//! How far the rows of a list reach back. Needs no network.

use jiff::Timestamp;

/// Minimum number of refreshes that Power BI keeps of a model.
///
/// Power BI REST documentation, "Get Refresh History In Group": the service keeps between 20 and 60 refreshes. It removes the oldest ones
/// beyond 60, and those of more than 3 days beyond 20.
const MIN_HISTORY: usize = 20;

/// Maximum number of refreshes that it keeps.
const MAX_HISTORY: usize = 60;

/// The starts of the rows of a list: the latest times at which their refreshes can have started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) struct Coverage {
    /// The start of the last row with a start.
    last: Timestamp,
    /// The earliest start.
    oldest: Timestamp,
    /// Whether the rows with a start are sorted with the newest first.
    pub(super) newest_first: bool,
    /// Whether all rows have a start.
    all_have_start: bool,
}

impl Coverage {
    pub(in crate::azure) fn new() -> Self {
        Self { last: Timestamp::MAX, oldest: Timestamp::MAX, newest_first: true, all_have_start: true }
    }

    /// Adds the start of the next row.
    pub(in crate::azure) fn add(&mut self, start: Option<Timestamp>) {
        self.newest_first &= start.is_none_or(|start| start <= self.last);
        self.all_have_start &= start.is_some();
        self.last = start.unwrap_or(self.last);
        self.oldest = start.map_or(self.oldest, |start| start.min(self.oldest));
    }

    /// Whether the last row is the oldest, and started before `since`.
    pub(super) fn covers(&self, since: Timestamp) -> bool {
        self.newest_first && self.all_have_start && self.last < since
    }

    /// Whether Power BI may have removed a refresh that started since then, if its list has `count` rows. It removes the oldest ones, so an
    /// older row proves the opposite, in any order.
    ///
    /// The service documents that it keeps 60 of the last 3 days. The minimum is a margin, because a wrong conclusion is a second
    /// submission: the list does not contain refreshes of `OneDrive`, which may count.
    pub(super) fn may_be_displaced(&self, count: usize, since: Timestamp) -> bool {
        count >= MIN_HISTORY && self.oldest >= since
    }

    /// The same for a running refresh. Power BI lets none run for 3 days, so only the maximum number of newer ones displaces it.
    pub(in crate::azure) fn may_be_displaced_while_running(&self, count: usize, oldest_running: Timestamp) -> bool {
        count >= MAX_HISTORY && self.oldest >= oldest_running
    }
}
