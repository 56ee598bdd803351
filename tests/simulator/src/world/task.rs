//! What a client asks for: a refresh of either service, with the documented defaults.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What a client asks for. Defaults and values are those of the service's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The kind of processing.
    pub kind: RefreshType,
    /// `partialBatch` commits batch by batch; otherwise all or nothing.
    pub partial_batch: bool,
    /// How many objects are processed at a time. Default 10.
    pub max_parallelism: u32,
    /// How many more attempts the service makes by itself. Default 0.
    pub retry_count: u32,
    /// What to refresh. Empty: the whole model.
    pub objects: Vec<ObjectName>,
    /// Power BI alone: where it comes from. Default an enhanced refresh.
    pub origin: Origin,
    /// Power BI alone: whether a policy of incremental refresh is applied. Default true.
    pub apply_refresh_policy: bool,
    /// Power BI alone: the date that takes the place of today's for that.
    pub effective_date: Option<String>,
    /// Power BI alone: the longest that one attempt may take.
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

/// Where a refresh of Power BI comes from: the documented values of `refreshType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Origin {
    OnDemand,
    Scheduled,
    ViaApi,
    ViaEnhancedApi,
}

/// The kinds of processing. `add` is documented as not supported, so it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefreshType {
    /// Data and calculations.
    Full,
    /// Empties the objects.
    ClearValues,
    /// Calculations alone.
    Calculate,
    /// Data alone.
    DataOnly,
    /// What is not up to date.
    Automatic,
    /// Clears dictionaries of unused values.
    Defragment,
}

/// A table or one of its partitions, as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The table.
    pub table: String,
    /// The partition; `None` for the whole table.
    pub partition: Option<String>,
}
