//! The operator's settings that the decision depends on.

use std::time::Duration;

/// The operator's settings that the decision depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shortest pause between two looks at an operation.
    pub poll_min: Duration,
    /// The longest pause between two looks at an operation.
    pub poll_max: Duration,
    /// The pause between two looks, as a part of the time that the operation has run.
    pub poll_fraction: f64,
    /// How long one call may take, so how long after its intent a submission may still arrive.
    pub call_timeout: Duration,
    /// How long the service's listing, and its look-up by id, may lag behind what it has accepted.
    pub listing_lag: Duration,
    /// How long a missing reference may still arrive, before the resource is Stalled.
    pub reference_grace: Duration,
}
