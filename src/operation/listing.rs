//! The operations of a model, as a list of a service shows them.

use jiff::{SignedDuration, Timestamp};

use super::description::Operation;

/// The operations of a model in a window of time, as its listing showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Those that run, whenever they began, and those that began in the window asked for. Newest first.
    /// Each is looked at one by one (type and objects) as far as the service allows; at most 50.
    pub operations: Vec<Operation>,
    /// Whether more matched than are shown here, so absence from it proves nothing.
    pub truncated: bool,
    /// Whether one that runs may be among those that are not shown, so none here does not mean that none runs.
    pub may_hide_running: bool,
    /// A running operation without an id that is certainly not this operator's.
    pub unnamed: Option<UnnamedOperation>,
    /// How far the service's clock is ahead of ours, where it said what it shows.
    pub ahead: Option<Ahead>,
}

/// A running operation of origin [`Origin::External`](super::Origin::External) that its list shows without an id: Power BI shows some that a person
/// started in its portal so (seen in public reports).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnnamedOperation {
    /// When it started, by the service's clock.
    pub start: Option<Timestamp>,
}

/// How far the service's clock is ahead of ours. It was read at some time during a call, so by our clock between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ahead {
    /// At least so far: it was read at the end of the call.
    pub least: SignedDuration,
    /// At most so far: it was read at the beginning of the call.
    pub most: SignedDuration,
}

impl Ahead {
    /// A difference that is not believed: a gateway's cached `Date`, rather.
    const UNBELIEVABLE: SignedDuration = SignedDuration::from_hours(1);

    /// Whether both bounds are within what a clock may be off.
    #[must_use]
    pub fn is_believable(self) -> bool {
        self.least.abs().max(self.most.abs()) <= Self::UNBELIEVABLE
    }

    /// What a clock that shows `server` is ahead of ours, where it was read between two moments of ours.
    #[must_use]
    pub fn of(server: Timestamp, (asked, heard): (Timestamp, Timestamp)) -> Self {
        Self { least: server.duration_since(heard), most: server.duration_since(asked) }
    }
}
