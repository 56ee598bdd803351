//! What to refresh, and how: the parameters of the service.

use std::collections::HashSet;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of the refresh, as the service defines them. An omitted parameter has the default of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.attemptTimeoutSeconds) || !has(self.retryCount) \
    || self.attemptTimeoutSeconds * (self.retryCount + 1) <= 86400")
    .message("attemptTimeoutSeconds: must be at most 86400 (24 hours) when multiplied by retryCount + 1; lower attemptTimeoutSeconds or retryCount"))]
pub struct RefreshParameters {
    /// The processing of the objects, as in the refresh command of TMSL: `full` (read the data and recalculate), `clearValues` (empty),
    /// `calculate` (recalculate only), `dataOnly` (read the data only), `automatic` (what each object needs) or `defragment`. `automatic`
    /// skips objects that are ready, so it may process nothing and read no new data. To load new data, set `full` or `dataOnly`. Default:
    /// automatic.
    #[serde(default)]
    pub r#type: RefreshType,
    /// When the service commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_mode: Option<CommitMode>,
    /// How many processing commands run at once, 1 to 1000. Default at the service: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_parallelism: Option<i32>,
    /// How often the service itself retries before the operation fails, 0 to 100. Default at the service: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub retry_count: Option<i32>,
    /// The tables and partitions to refresh, at most 1000, each once. Their names have at most 64 KiB in total (65536 bytes in UTF-8).
    /// Default: the whole model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "atomic"))]
    // With more objects, comparing each with each exceeds the cost that the API server allows for a rule. The operator then checks.
    #[x_kube(validation = Rule::new("self.size() > 200 || self.all(x, self.exists_one(y, y == x))").message("objects: must contain each table or partition once"))]
    // In bytes, because a character has up to four of them.
    #[x_kube(validation = Rule::new("self.map(x, (has(x.table) ? size(bytes(x.table)) : 0) + (has(x.partition) ? size(bytes(x.partition)) : 0)).sum() <= 65536")
        .message("objects: must have names of at most 64 KiB in total; refresh whole tables, or split the list into several ModelRefreshes"))]
    pub objects: Vec<RefreshObject>,
    /// Power BI only: whether the service applies an incremental refresh policy. Default at the service: true. `commitMode: partialBatch`
    /// requires false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_refresh_policy: Option<bool>,
    /// Power BI only: the date that the refresh policy uses as the current date, `YYYY-MM-DD`. Default at the service: the current date.
    /// The editions of Microsoft's documentation differ on its time zone: UTC in the Simplified Chinese edition; in the English edition of
    /// January 2025, the time zone that is configured under Refresh in the settings of the semantic model. Set the date if the run must
    /// load a certain day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|\
        02-(0[1-9]|[12][0-9]))$')")
        .message("effectiveDate: must be a date such as 2026-11-21"))]
    pub effective_date: Option<String>,
    /// Power BI only: time limit of one attempt of the service, in seconds, 60 to 86399. All attempts together end after 24 hours, so
    /// `attemptTimeoutSeconds` × (`retryCount` + 1) must be at most 86400. Default at the service: 18000 (5 hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86399))]
    pub attempt_timeout_seconds: Option<i32>,
}

impl RefreshParameters {
    /// The fault of a list that contains a table or a partition twice, which admission detects only in lists of up to 200 objects. It
    /// starts with the field below `spec`.
    #[must_use]
    pub fn duplicate(&self) -> Option<String> {
        let mut seen = HashSet::new();
        let duplicate = self.objects.iter().find(|object| !seen.insert(*object))?;
        let partition = duplicate.partition.as_ref().map(|partition| format!(", partition {partition}")).unwrap_or_default();
        Some(format!("refresh.objects: must contain each table or partition once; table {}{partition} is listed twice", duplicate.table))
    }
}

/// The types of processing. Neither service supports `add`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RefreshType {
    /// Read the data and recalculate.
    Full,
    /// Empty the objects.
    ClearValues,
    /// Recalculate only.
    Calculate,
    /// Read the data only.
    DataOnly,
    /// What each object needs, and nothing for an object that is ready.
    #[default]
    Automatic,
    /// Defragment the dictionaries.
    Defragment,
}

impl RefreshType {
    /// The name of the type in the APIs of the services.
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

/// When the service commits: `transactional` (all or nothing) or `partialBatch` (in batches; committed batches remain after a failure).
/// Default at the service: transactional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommitMode {
    /// All or nothing.
    Transactional,
    /// In batches.
    PartialBatch,
}

impl CommitMode {
    /// The name of the mode in the APIs of the services.
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
    .message("table: must be set, also for a partition"))]
pub struct RefreshObject {
    /// Name of the table in the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    pub table: String,
    /// Name of one partition of the table. Default: the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    pub partition: Option<String>,
}
