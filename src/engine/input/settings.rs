//! The operator's settings that the decision depends on.

use std::time::Duration;

/// The operator's settings that the decision depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shortest polling interval.
    pub poll_min: Duration,
    /// The longest polling interval.
    pub poll_max: Duration,
    /// The polling interval, as a fraction of the time that the operation has run.
    pub poll_fraction: f64,
    /// The timeout of one call, and so how long after its intent a submission may still arrive.
    pub call_timeout: Duration,
    /// How long the service's list, and its response to a poll by id, may lag behind the operations that it has accepted.
    pub listing_lag: Duration,
    /// Maximum duration of a refresh on Analysis Services, which documents no limit.
    pub max_refresh_duration: Duration,
    /// How long a missing reference may still arrive before the resource is Stalled.
    pub reference_grace: Duration,
    /// Host of the Power BI portal, such as `app.powerbi.com`, if the cloud has one.
    pub power_bi_portal: Option<String>,
}
