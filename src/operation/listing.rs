//! The list of the operations of a model.

use jiff::{SignedDuration, Timestamp};

use super::observed_operation::Operation;

/// The operations of a model in a time window, as the list showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listing {
    /// The running operations, regardless of their start, and those that started in the requested window. Newest first. The client reads
    /// the details of each (type and objects) as far as the service supports it; at most 50. An operation from before the window is not
    /// running if a later one shows that, whatever its row shows.
    pub operations: Vec<Operation>,
    /// Whether more operations matched than the list contains. Absence is then inconclusive.
    pub truncated: bool,
    /// Whether a running operation may be among those that are missing. The list is then inconclusive about running operations.
    pub may_hide_running: bool,
    /// Whether it has rows without an id of which the service does not show who submitted them. Such a row is a candidate only if no
    /// operation of a client is.
    pub has_unknown_rows: bool,
    /// A running operation without an id that no client of the API has certainly submitted.
    pub unnamed: Option<UnnamedOperation>,
    /// How far the clock of the service is ahead of ours, if the response shows its clock.
    pub clock_skew: Option<ClockSkew>,
}

/// A running operation that the list shows without an id. Power BI does this for some operations that a user started in its portal (seen in
/// public reports).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnnamedOperation {
    /// Whether its origin is [`Origin::External`](super::Origin::External); otherwise it is unknown.
    pub is_external: bool,
    /// When it started, by the clock of the service.
    pub start: Option<Timestamp>,
}

/// How far the clock of the service is ahead of ours. The service read it at an unknown time during the call, so two local times bound it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockSkew {
    /// Minimum: the service read it at the end of the call.
    pub min: SignedDuration,
    /// Maximum: the service read it at the start of the call.
    pub max: SignedDuration,
}

impl ClockSkew {
    /// A larger difference is ignored: it is more likely the cached `Date` of a gateway.
    const MAX_PLAUSIBLE: SignedDuration = SignedDuration::from_hours(1);

    /// Whether both bounds are plausible for the offset of a clock.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        self.min.abs().max(self.max.abs()) <= Self::MAX_PLAUSIBLE
    }

    /// The offset of a clock that shows `server`, which was read between two local times.
    #[must_use]
    pub fn of(server: Timestamp, (sent, received): (Timestamp, Timestamp)) -> Self {
        Self { min: server.duration_since(received), max: server.duration_since(sent) }
    }
}
