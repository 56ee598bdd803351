//! `ModelRefresh`: a model that is to be refreshed, and when, and how.

// The derives repeat each field's attributes on types of their own.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Credentials, Model, RefreshParameters, RefreshTrigger, Status, defaults};

/// Refreshes a tabular model: an Azure Analysis Services database or a Power BI semantic model. Each trigger is one run,
/// and each run is one operation at the service, submitted exactly once and followed to its end.
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
    doc = "A tabular model that is to be refreshed: an Azure Analysis Services database or a Power BI semantic model.",
    validation = Rule::new("!has(self.spec.trigger) || !has(self.spec.trigger.afterRefresh) || self.spec.trigger.afterRefresh.name != self.metadata.name")
        .message("spec.trigger.afterRefresh.name is this resource's own: a refresh cannot follow itself")
        .field_path(".spec.trigger.afterRefresh.name"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model", description = "The server and the model"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.run.state", description = "Where the latest run stands"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it stands so"
    ),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.run.progress.summary", description = "Objects done, of all"),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.run.startedTime", description = "When the service began"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.run.duration", description = "How long the operation took"),
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
#[x_kube(validation = Rule::new("!has(self.model.powerBI) || !has(self.refresh) || !has(self.refresh.commitMode) \
    || self.refresh.commitMode != 'partialBatch' || (has(self.refresh.applyRefreshPolicy) && !self.refresh.applyRefreshPolicy)")
    .message("commitMode partialBatch on Power BI needs refresh.applyRefreshPolicy: false"))]
#[x_kube(validation = Rule::new("!has(self.model.analysisServices) || !has(self.refresh) || (!has(self.refresh.applyRefreshPolicy) \
    && !has(self.refresh.effectiveDate) && !has(self.refresh.attemptTimeoutSeconds))")
    .message("applyRefreshPolicy, effectiveDate and attemptTimeoutSeconds are Power BI's: leave them out for analysisServices"))]
pub struct ModelRefreshSpec {
    /// The model to refresh.
    pub model: Model,
    /// Who to be at the service. Left out: the operator's own identity, where its administrator allows it for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What to refresh and how. Left out: the whole model, type automatic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshParameters>,
    /// What starts a run. Left out: the creation of the resource, and each change of `model` or `refresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<RefreshTrigger>,
    /// What a new trigger does during a run: `Queue` (one run follows when this one has ended; further triggers join it, but
    /// with `afterRefresh` each followed run has one of its own), `Replace` (cancel this one and start again) or `Forbid` (a scheduled
    /// time, a request or a followed run is dropped; a change of the spec runs when this run has ended, and until then the resource is
    /// not Ready). Default: Queue.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// What happens when the service is busy with somebody else's refresh of this model: `Wait` for its end, `Fail`, or
    /// `Replace` (cancel that refresh). Somebody else's is also one that `deletionPolicy: Orphan` or the annotation `release` let
    /// go. Default: Wait.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// How long a run may wait for its turn on the model, for another client's operation, or for a service that refuses to start it, in
    /// seconds, 1 to 604800. Then it has `TimedOut`. A wait for what only a person can provide, such as a Secret, does not count.
    /// Default: 86400 (24 hours).
    #[serde(default = "defaults::day")]
    #[schemars(range(min = 1, max = 604_800))]
    pub wait_deadline_seconds: i32,
    /// How long an operation may run, in seconds, 1 to 604800. Then it is cancelled and the run has `TimedOut`. Default: 86400 (24 hours).
    #[serde(default = "defaults::day")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i32,
    /// How many fresh operations a run may submit after one that failed (an eviction, a node move), 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// While true, no run begins; one that runs goes on. What was triggered meanwhile runs once when it is false again. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// What becomes of a running operation when this resource is deleted: `Cancel` it and wait for its end, or `Orphan` it.
    /// Default: Cancel.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How many ended runs `.status.history` keeps, 0 to 20. Default: 10.
    #[serde(default = "defaults::ten")]
    #[schemars(range(min = 0, max = 20))]
    pub history_limit: i32,
}

/// What a new trigger does during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// One run follows when this one has ended.
    #[default]
    Queue,
    /// Cancel the running operation and start anew.
    Replace,
    /// Drop a scheduled time, a request or a followed run. A change of the spec runs when this run has ended.
    Forbid,
}

/// What happens when another client's refresh is running.
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

/// What becomes of a running operation when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Cancel it, and wait for its end.
    #[default]
    Cancel,
    /// Leave it running.
    Orphan,
}
