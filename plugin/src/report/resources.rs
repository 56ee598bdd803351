//! The reports of the commands that show resources, and of `check`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tabular_operator::api::estimate::Scope;
use tabular_operator::api::{Check, ConditionType, HistoryEntry, Run, Time};

use crate::facts::{self, ModelQueue};
use crate::objects::Object;

/// The resources, in the order of the table.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesReport {
    /// The resources.
    pub resources: Vec<ResourceReport>,
}

/// A resource.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceReport {
    /// `ModelRefresh` or `ModelSync`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Short name of the model.
    pub model: String,
    /// The status in one word: `NeedsAction`, `Running`, `Waiting`, `Suspended`, `Succeeded` or `Idle`.
    pub status: String,
    /// State of the latest run, or `Idle`, `Suspended`, `Deleting`.
    pub state: String,
    /// Reason of the condition Ready.
    pub reason: String,
    /// Message of the condition Ready.
    pub message: String,
    /// Number of the latest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i32>,
    /// Id of its operation at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// Number of completed objects of its operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Number of objects of its operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// For how many seconds it has been running or waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_seconds: Option<i64>,
    /// How long its runs usually take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_duration: Option<UsualReport>,
    /// Its position in the queue of the model, from 1. Absent if it is in none, or if resources that are not visible can be ahead of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// End of the latest successful run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// Next time that its schedule is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The age of the data and its target, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessReport>,
}

/// How long runs usually take. The basis is the latest successful runs with the same parameters.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsualReport {
    /// The median, in seconds.
    pub seconds: i64,
    /// The shortest, in seconds.
    pub shortest_seconds: i64,
    /// The longest, in seconds.
    pub longest_seconds: i64,
    /// The number of runs.
    pub runs: usize,
    /// Whether runs with other parameters are included.
    pub any_parameters: bool,
    /// The time that the run in progress probably still takes, in seconds. Absent if it takes longer than each of the earlier runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<i64>,
}

/// The age of the data.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreshnessReport {
    /// In seconds, from the latest success, or from the creation of the resource.
    pub age_seconds: i64,
    /// The target, `spec.staleAfterSeconds`.
    pub stale_after_seconds: i64,
    /// Whether the age exceeds the target.
    pub stale: bool,
}

/// One resource in full.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The resource.
    pub resource: ResourceReport,
    /// What its run waits for. Each item waits for the next one.
    pub waiting_for: Vec<String>,
    /// The names of the resources that wait for their turn behind it, the next one first.
    pub waiting_behind: Vec<String>,
    /// Its latest run, as in the status of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_run: Option<Run>,
    /// Its ended runs, newest first, as in the status of the resource.
    pub history: Vec<HistoryEntry>,
}

/// The ended runs of a resource.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryReport {
    /// `ModelRefresh` or `ModelSync`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// How long its runs usually take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_duration: Option<UsualReport>,
    /// The runs, newest first, as in the status of the resource.
    pub runs: Vec<HistoryEntry>,
}

/// The queues.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueReport {
    /// Whether the resources of all namespaces are included. If not, a resource that is not listed may have the turn.
    pub all_namespaces: bool,
    /// The models with a run in progress or waiting.
    pub models: Vec<ModelReport>,
}

/// The queue of a model.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelReport {
    /// Short name of the model.
    pub model: String,
    /// The resources that have the turn.
    pub running: Vec<ResourceReport>,
    /// The resources that wait for it, the next one first.
    pub waiting: Vec<ResourceReport>,
}

/// The result of a check.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// `ModelRefresh` or `ModelSync`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The result, as in the status of the resource.
    pub check: Check,
}

impl ResourceReport {
    /// A resource, with its place in one of the queues.
    #[must_use]
    pub fn new(object: &Object, queues: &[ModelQueue<'_>], now: Timestamp) -> Self {
        let (key, status, run) = (object.key(), object.status(), object.run());
        let progress = run.and_then(|run| run.progress.as_ref());
        Self {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace,
            name: key.name,
            model: status.model.clone().unwrap_or_else(|| object.model()),
            status: facts::resource_status(object).as_str().to_owned(),
            state: facts::state(object),
            reason: facts::reason(object),
            message: object.condition(ConditionType::Ready).map(|ready| ready.message.clone()).unwrap_or_default(),
            run: run.map(|run| run.number),
            operation_id: run.and_then(|run| run.operation_id.clone()),
            completed: progress.map(|progress| progress.completed),
            total: progress.map(|progress| progress.total),
            elapsed_seconds: facts::elapsed(object, now),
            usual_duration: UsualReport::of(object, now),
            position: facts::place(object, queues, now).and_then(|place| place.position),
            last_successful_time: status.last_successful_time,
            next_schedule_time: status.next_schedule_time,
            freshness: facts::freshness(object, now).map(|freshness| FreshnessReport {
                age_seconds: freshness.age,
                stale_after_seconds: freshness.target,
                stale: freshness.is_stale(),
            }),
        }
    }
}

impl UsualReport {
    /// How long the runs of a resource usually take.
    #[must_use]
    pub fn of(object: &Object, now: Timestamp) -> Option<Self> {
        let typical = facts::typical(object, now)?;
        let (shortest_seconds, longest_seconds) = typical.estimate.range();
        Some(Self {
            seconds: typical.estimate.usual(),
            shortest_seconds,
            longest_seconds,
            runs: typical.estimate.runs(),
            any_parameters: typical.estimate.scope() == Scope::Any,
            remaining_seconds: typical.left(),
        })
    }
}
