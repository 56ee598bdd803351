//! The task of a request: a refresh of either service, with the documented defaults.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The task of a request. Defaults and values are those of the service's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The kind of processing.
    pub kind: RefreshType,
    /// `partialBatch` commits batch by batch; otherwise a refresh is all or nothing.
    pub partial_batch: bool,
    /// Number of objects processed concurrently. Default 10.
    pub max_parallelism: u32,
    /// Number of additional automatic attempts by the service. Default 0.
    pub retry_count: u32,
    /// The objects to refresh. Empty: the whole model.
    pub objects: Vec<ObjectName>,
    /// Power BI only: its origin. Default an enhanced refresh.
    pub origin: Origin,
    /// Power BI only: whether an incremental refresh policy is applied. Default true.
    pub apply_refresh_policy: bool,
    /// Power BI only: the date that the policy uses instead of today.
    pub effective_date: Option<String>,
    /// Power BI only: the maximum duration of one attempt.
    pub timeout: Option<SignedDuration>,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            kind: RefreshType::Automatic,
            partial_batch: false,
            max_parallelism: 10,
            retry_count: 0,
            objects: Vec::new(),
            origin: Origin::ViaEnhancedApi,
            apply_refresh_policy: true,
            effective_date: None,
            timeout: None,
        }
    }
}

/// The origin of a refresh in Power BI: the documented values of `refreshType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Origin {
    OnDemand,
    Scheduled,
    ViaApi,
    ViaEnhancedApi,
}

/// The kinds of processing. `add` is documented as unsupported, so it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefreshType {
    /// Data and calculations.
    Full,
    /// Clears the objects' values.
    ClearValues,
    /// Calculations only.
    Calculate,
    /// Data only.
    DataOnly,
    /// Objects that are not up to date.
    Automatic,
    /// Clears dictionaries of unused values.
    Defragment,
}

/// A table or one of its partitions, as named in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The table.
    pub table: String,
    /// The partition; `None` for the whole table.
    pub partition: Option<String>,
}
