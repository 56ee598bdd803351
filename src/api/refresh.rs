//! What to refresh and how: the service's own parameters.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The refresh, in the service's own parameters. What is left out has the service's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.attemptTimeoutSeconds) || !has(self.retryCount) \
    || self.attemptTimeoutSeconds * (self.retryCount + 1) <= 86400")
    .message("attemptTimeoutSeconds × (retryCount + 1) must be at most 86400 (24 hours): lower attemptTimeoutSeconds or retryCount"))]
pub struct RefreshParameters {
    /// What is done with the objects, as in the refresh command of TMSL: `full` (read and calculate anew), `clearValues`
    /// (empty), `calculate` (only calculate), `dataOnly` (only read), `automatic` (what each object needs) or
    /// `defragment`. `automatic` skips objects that are ready, so it may process nothing and read no new data: to load
    /// new data, set `full` or `dataOnly`. Default: automatic.
    #[serde(default)]
    pub r#type: RefreshType,
    /// When the service commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_mode: Option<CommitMode>,
    /// How many processing commands run at once, 1 to 1000. Default at the service: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_parallelism: Option<i32>,
    /// How often the service itself tries again before the operation has failed, 0 to 100. Default at the service: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub retry_count: Option<i32>,
    /// The tables and partitions to refresh, at most 1000, each once. Their names together have at most 64 KiB (65536 bytes in UTF-8). Default: the
    /// whole model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "atomic"))]
    // Comparing all with all is beyond what the API server lets a rule cost when there are more; the operator looks then.
    #[x_kube(validation = Rule::new("self.size() > 200 || self.all(x, self.exists_one(y, y == x))").message("name each table, or partition of it, once"))]
    // In bytes: a character may be four of them.
    #[x_kube(validation = Rule::new("self.map(x, (has(x.table) ? size(bytes(x.table)) : 0) + (has(x.partition) ? size(bytes(x.partition)) : 0)).sum() <= 65536")
        .message("the names of all tables and partitions are together at most 64 KiB: refresh whole tables, or split the list into several ModelRefreshes"))]
    pub objects: Vec<RefreshObject>,
    /// Power BI alone: whether an incremental refresh policy is applied. Default at the service: true.
    /// `commitMode: partialBatch` needs false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_refresh_policy: Option<bool>,
    /// Power BI alone: the date that the refresh policy takes for today, `YYYY-MM-DD`. Default at the service: the current
    /// date. The editions of Microsoft's documentation differ on its time zone: the Simplified Chinese edition says UTC, the
    /// English edition of January 2025 the time zone that is configured under Refresh in the semantic model's settings. Set
    /// the date if the run has to load a certain day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|\
        02-(0[1-9]|[12][0-9]))$')")
        .message("effectiveDate is a date such as 2026-11-21"))]
    pub effective_date: Option<String>,
    /// Power BI alone: how long one attempt of the service may take, in seconds, 60 to 86399. All attempts together end after
    /// 24 hours, so `attemptTimeoutSeconds` × (`retryCount` + 1) must be at most 86400. Default at the service: 18000 (5 hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86399))]
    pub attempt_timeout_seconds: Option<i32>,
}

/// The kinds of processing; `add` is not supported by either service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RefreshType {
    /// Read the data and calculate.
    Full,
    /// Empty the objects.
    ClearValues,
    /// Calculate only.
    Calculate,
    /// Read the data only.
    DataOnly,
    /// What each object needs; nothing for an object that is ready.
    #[default]
    Automatic,
    /// Defragment the dictionaries.
    Defragment,
}

impl RefreshType {
    /// The word that the services know it by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ClearValues => "clearValues",
            Self::Calculate => "calculate",
            Self::DataOnly => "dataOnly",
            Self::Automatic => "automatic",
            Self::Defragment => "defragment",
        }
    }
}

/// When the service commits: `transactional` (all or nothing) or `partialBatch` (batch by batch, and what was committed stays
/// after a failure). Default at the service: transactional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommitMode {
    /// All or nothing.
    Transactional,
    /// Batch by batch.
    PartialBatch,
}

impl CommitMode {
    /// The word that the services know it by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::PartialBatch => "partialBatch",
        }
    }
}

/// A table, or one partition of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[x_kube(validation = Rule::new("has(self.table)")
    .message("name the table: a partition is found only within its table"))]
pub struct RefreshObject {
    /// The table's name in the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub table: String,
    /// One partition of the table; the whole table where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub partition: Option<String>,
}
