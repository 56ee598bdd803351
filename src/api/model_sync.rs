//! `ModelSync`: replicas of a model that are to be brought up to date with it, and when.

// The derives repeat each field's attributes on types of their own.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Credentials, Model, RefreshTrigger, Status, defaults};

/// Synchronises the read-only replicas of a model: of an Azure Analysis Services server, or of a Power BI semantic model with
/// query scale-out. Each trigger is one run, and each run is one synchronisation, asked for exactly once and followed to its end.
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
    doc = "A tabular model whose read-only replicas are to be synchronised with it.",
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model", description = "The server and the model"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.run.state", description = "Where the latest run stands"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it stands so"
    ),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.run.startedTime", description = "When the service began"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.run.duration", description = "How long it took"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Operation",
        type_ = "string",
        json_path = ".status.run.operationId",
        priority = 1,
        description = "The service's id for the operation"
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[x_kube(validation = Rule::new("has(self.model) || (has(self.trigger) && has(self.trigger.afterRefresh))")
    .message("name the model, or the refresh that this follows in trigger.afterRefresh: then its model is taken"))]
#[x_kube(validation = Rule::new("has(self.model) || !has(self.credentials)")
    .message("credentials without a model: the refresh that this follows brings both; leave credentials out, or name the model too"))]
pub struct ModelSyncSpec {
    /// The model whose replicas to synchronise. Left out: that of the refresh in `trigger.afterRefresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Who to be at the service. Left out together with `model`: the credentials of the refresh in `trigger.afterRefresh`. Left
    /// out beside a `model`: the operator's own identity, where its administrator allows it for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What starts a run. Left out: the creation of the resource, and each change of `model`. A trigger that comes during a run
    /// starts one when that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<RefreshTrigger>,
    /// How long a run may wait for its turn on the model, for another client's operation, or for a service that refuses to start it, in
    /// seconds, 1 to 604800. Then it has `TimedOut`. A wait for what only a person can provide, such as a Secret, does not count.
    /// Default: 86400 (24 hours).
    #[serde(default = "defaults::day")]
    #[schemars(range(min = 1, max = 604_800))]
    pub wait_deadline_seconds: i32,
    /// How long a synchronisation is followed, in seconds, 1 to 604800. Then the run has `TimedOut`; the service, which cannot be
    /// told to stop, may go on. Default: 86400 (24 hours).
    #[serde(default = "defaults::day")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i32,
    /// How many fresh synchronisations a run may ask for after one that failed, 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// While true, no run begins; one that runs goes on. What was triggered meanwhile runs once when it is false again. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// How many ended runs `.status.history` keeps, 0 to 20. Default: 10.
    #[serde(default = "defaults::ten")]
    #[schemars(range(min = 0, max = 20))]
    pub history_limit: i32,
}
