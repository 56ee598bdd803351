//! How old the data of a model are, and whether that is too old.

use std::time::Duration;

use jiff::Timestamp;
use tabular_operator::api::ModelResource;
use tabular_operator::engine::stale_time;

use crate::objects::Object;

/// The age of the data, and its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The maximum age by `spec.staleAfterSeconds`, in seconds.
    pub target: i64,
    /// The age in seconds, from the last success, or from the creation before the first one. Never negative.
    pub age: i64,
    /// How many seconds the age exceeds the target by; negative if it does not.
    pub overdue: i64,
}

impl Freshness {
    /// Whether the data are too old, by the same rule as the condition Fresh.
    #[must_use]
    pub fn is_stale(self) -> bool {
        self.overdue >= 0
    }
}

/// The freshness of a resource; `None` if it has no target.
#[must_use]
pub fn freshness(object: &Object, now: Timestamp) -> Option<Freshness> {
    let ModelResource::ModelRefresh(refresh) = &object.resource else { return None };
    let seconds = u32::try_from(refresh.spec.stale_after_seconds?).ok()?;
    let target = i64::from(seconds);
    let stale_time = stale_time(object.status(), object.created()?, Duration::from_secs(seconds.into()), now);
    let overdue = now.duration_since(stale_time.timestamp()).as_secs();
    // A clock of the service that is ahead results in the age zero.
    Some(Freshness { target, age: target.saturating_add(overdue).max(0), overdue })
}
