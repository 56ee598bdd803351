//! `ModelRefresh`: refreshes a model.

// The derives repeat the attributes of each field on their own types.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Credentials, Model, RefreshParameters, Status, TriggerSpec, defaults};

/// Refreshes a tabular model: an Azure Analysis Services database or a Power BI semantic model. Each trigger results in one run. Each run
/// is one operation at the service, which the operator submits exactly once and tracks until it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tabular-operator.dev",
    version = "v1alpha1",
    kind = "ModelRefresh",
    plural = "modelrefreshes",
    namespaced,
    status = "Status",
    shortname = "mref",
    category = "tabular",
    derive = "PartialEq",
    doc = "Refreshes a tabular model: an Azure Analysis Services database or a Power BI semantic model.",
    validation = Rule::new("!has(self.spec.trigger) || !has(self.spec.trigger.afterRefresh) || self.spec.trigger.afterRefresh.name != self.metadata.name")
        .message("spec.trigger.afterRefresh.name: must not be the name of this resource")
        .field_path(".spec.trigger.afterRefresh.name"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model", description = "The server and the model"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.run.state", description = "State of the latest run"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.run.progress.summary", description = "Completed objects, of all objects"),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.run.startedTime", description = "When the operation started at the service"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.run.duration", description = "Duration of the operation"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Last Success",
        type_ = "date",
        json_path = ".status.lastSuccessfulTime",
        priority = 1,
        description = "End of the latest successful run"
    ),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.nextScheduleTime",
        priority = 1,
        description = "Next time that the schedule is due, in UTC"
    ),
    printcolumn(
        name = "Fresh",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Fresh\")].status",
        priority = 1,
        description = "Whether the data is younger than staleAfterSeconds"
    ),
    printcolumn(
        name = "Operation",
        type_ = "string",
        json_path = ".status.run.operationId",
        priority = 1,
        description = "Id of the operation at the service"
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[x_kube(validation = Rule::new("!has(self.model.powerBI) || !has(self.refresh) || !has(self.refresh.commitMode) \
    || self.refresh.commitMode != 'partialBatch' || (has(self.refresh.applyRefreshPolicy) && !self.refresh.applyRefreshPolicy)")
    .message("refresh.applyRefreshPolicy: must be false for commitMode partialBatch on Power BI"))]
#[x_kube(validation = Rule::new("!has(self.model.analysisServices) || !has(self.refresh) || (!has(self.refresh.applyRefreshPolicy) \
    && !has(self.refresh.effectiveDate) && !has(self.refresh.attemptTimeoutSeconds))")
    .message("refresh: must not set applyRefreshPolicy, effectiveDate or attemptTimeoutSeconds for analysisServices; they require powerBI"))]
pub struct ModelRefreshSpec {
    /// The model to refresh.
    pub model: Model,
    /// The identity at the service. Default: the operator's own identity, if the operator's administrator allows it for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What to refresh, and how. Default: the whole model, with type `automatic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshParameters>,
    /// What starts a run. Default: the creation of the resource, and each change of `model` or `refresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerSpec>,
    /// What a new trigger does during a run. `Queue`: one run starts after the current run. It covers all further requests and
    /// changes. Scheduled times share one run, and each run of the upstream refresh gets its own. `Replace`: cancels the current run and
    /// starts a new one. `Forbid`: drops a scheduled time, a request or a run of the upstream refresh. With `Forbid`, a change of the spec
    /// runs after the current run, and until then the resource is not Ready. Default: Queue.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// What happens if the service is busy with another client's refresh of this model: `Wait` for its end, `Fail`, or `Replace` (cancel
    /// that refresh). A refresh that `deletionPolicy: Orphan` or the annotation `release` left running counts as another client's. Default:
    /// Wait.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// Maximum wait of a run, in seconds, 1 to 604800. After that, the run ends as `TimedOut`. This covers waiting for its turn on the
    /// model, for another client's operation, and for a service that refuses to start it. A wait that only a user can end, such as a wait
    /// for a missing Secret, does not count. Default: 86400 (24 hours).
    #[serde(default = "defaults::deadline_seconds")]
    #[schemars(range(min = 1, max = 604_800))]
    pub wait_deadline_seconds: i32,
    /// How long an operation may run, in seconds, 1 to 604800. After that, the operator cancels it and the run ends as `TimedOut`. Default:
    /// 86400 (24 hours).
    #[serde(default = "defaults::deadline_seconds")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i32,
    /// How many more operations a run may submit after a failed operation (for example an eviction or a node move), 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// If true, no run starts. A running operation continues; a run that waits is not submitted. After a change to false, one run covers
    /// all requests and changes, and one run covers all scheduled times. Each success of the upstream refresh gets its own run. Default:
    /// false.
    #[serde(default)]
    pub suspend: bool,
    /// Maximum age of the data, in seconds, 60 to 31536000 (1 year). It counts from the latest successful run, or from the creation of this
    /// resource before the first success. After that, the condition `Fresh` is False, and the operator emits the event `Stale`. It starts no
    /// run and affects no other condition. Default: no condition `Fresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub stale_after_seconds: Option<i32>,
    /// What happens to a running operation when this resource is deleted: `Cancel` it and wait for its end, or `Orphan` it. Default:
    /// Cancel.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How many ended runs `.status.history` keeps, 0 to 20. Default: 10.
    #[serde(default = "defaults::history_limit")]
    #[schemars(range(min = 0, max = 20))]
    pub history_limit: i32,
}

/// What a new trigger does during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Start one run after the current run.
    #[default]
    Queue,
    /// Cancel the running operation and start a new run.
    Replace,
    /// Drop a scheduled time, a request or a run of the upstream refresh. A change of the spec runs after the current run.
    Forbid,
}

/// What happens while another client's refresh is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConflictPolicy {
    /// Wait for its end.
    #[default]
    Wait,
    /// End as Failed.
    Fail,
    /// Cancel it.
    Replace,
}

/// What happens to a running operation when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Cancel it and wait for its end.
    #[default]
    Cancel,
    /// Leave it running.
    Orphan,
}
