//! `ModelSync`: synchronizes the replicas of a model.

// The derives repeat the attributes of each field on their own types.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Credentials, Model, Status, TriggerSpec, defaults};

/// Synchronizes the read-only replicas of a model: of an Azure Analysis Services server, or of a Power BI semantic model with query
/// scale-out. Each trigger results in one run. Each run is one sync at the service, which the operator requests exactly once and tracks
/// until it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tabular-operator.dev",
    version = "v1alpha1",
    kind = "ModelSync",
    plural = "modelsyncs",
    namespaced,
    status = "Status",
    shortname = "msync",
    category = "tabular",
    derive = "PartialEq",
    doc = "Synchronizes the read-only replicas of a tabular model.",
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model", description = "The server and the model"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.run.state", description = "State of the latest run"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(
        name = "Started",
        type_ = "date",
        json_path = ".status.run.startedTime",
        description = "When the sync started at the service"
    ),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.run.duration", description = "Duration of the sync"),
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
        name = "Operation",
        type_ = "string",
        json_path = ".status.run.operationId",
        priority = 1,
        description = "Id of the operation at the service"
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[x_kube(validation = Rule::new("has(self.model) || (has(self.trigger) && has(self.trigger.afterRefresh))")
    .message("model: must be set unless trigger.afterRefresh is set; the model of that refresh is then the default"))]
#[x_kube(validation = Rule::new("has(self.model) || !has(self.credentials)")
    .message("credentials: must not be set without model; the refresh in trigger.afterRefresh provides both"))]
pub struct ModelSyncSpec {
    /// The model whose replicas to synchronize. Default: the model of the refresh in `trigger.afterRefresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The identity at the service. Default: with `model`, the operator's own identity, if the operator's administrator allows it for this
    /// namespace; without `model`, the credentials of the refresh in `trigger.afterRefresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What starts a run. Default: the creation of the resource, and each change of `model`. A trigger during a run starts one run after
    /// the current run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerSpec>,
    /// Maximum wait of a run, in seconds, 1 to 604800. After that, the run ends as `TimedOut`. This covers waiting for its turn on the
    /// model, for another client's operation, and for a service that refuses to start it. A wait that only a user can end, such as a wait
    /// for a missing Secret, does not count. Default: 86400 (24 hours).
    #[serde(default = "defaults::deadline_seconds")]
    #[schemars(range(min = 1, max = 604_800))]
    pub wait_deadline_seconds: i32,
    /// How long the operator tracks a sync, in seconds, 1 to 604800. After that, the run ends as `TimedOut`. The sync may continue at the
    /// service, because it cannot be cancelled. Default: 86400 (24 hours).
    #[serde(default = "defaults::deadline_seconds")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i32,
    /// How many more syncs a run may request after a failed sync, 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// If true, no run starts. A running operation continues; a run that waits is not submitted. After a change to false, one run covers
    /// all requests and changes, and one run covers all scheduled times. Each success of the upstream refresh gets its own run. Default:
    /// false.
    #[serde(default)]
    pub suspend: bool,
    /// How many ended runs `.status.history` keeps, 0 to 20. Default: 10.
    #[serde(default = "defaults::history_limit")]
    #[schemars(range(min = 0, max = 20))]
    pub history_limit: i32,
}
