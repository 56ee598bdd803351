//! What the operator says of a resource.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, HistoryEntry, Run, Time, Trigger};

/// What the operator knows of this resource. Never more than 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct Status {
    /// The `metadata.generation` that the operator has looked at; -1 before the first look.
    #[serde(default = "never")]
    #[schemars(range(min = -1))]
    pub observed_generation: i64,
    /// Ready, Reconciling, Stalled, Succeeded and Finished, by the rules of kstatus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The model, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub model: Option<String>,
    /// The latest run.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "Run::read")]
    pub run: Option<Run>,
    /// The trigger that was accepted and starts the next run: when the present one has ended, the resource is no longer suspended, or what
    /// blocks it is fixed. It runs even if its source is withdrawn, such as an annotation that was removed; a change that is taken back is
    /// withdrawn with an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Trigger>,
    /// The runs that have ended, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 20))]
    pub history: Vec<HistoryEntry>,
    /// The value of the annotation `run-requested-at` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_request: Option<String>,
    /// The value of the annotation `cancel-requested-at` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_cancel_request: Option<String>,
    /// The value of `trigger.token` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_token: Option<String>,
    /// A digest of the model and the refresh parameters that were handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_work: Option<String>,
    /// The `trigger.schedule` that `nextScheduleTime` is of, with its time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_schedule: Option<String>,
    /// The scheduled time that the latest run by `trigger.schedule` was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When `trigger.schedule` is due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The run of the followed refresh (`trigger.afterRefresh`) that was followed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_followed: Option<FollowedRun>,
    /// Since when something that this resource refers to has been missing: a Secret, a `ServiceAccount`, the right to read one of them, or
    /// the refresh that it follows. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since_time: Option<Time>,
    /// When the latest successful run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// How many runs have succeeded, also those that are no longer in `history`.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub successful_runs: i64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            observed_generation: never(),
            conditions: Vec::new(),
            model: None,
            run: None,
            queued: None,
            history: Vec::new(),
            last_handled_request: None,
            last_handled_cancel_request: None,
            last_handled_token: None,
            last_handled_work: None,
            last_handled_schedule: None,
            last_schedule_time: None,
            next_schedule_time: None,
            last_followed: None,
            missing_since_time: None,
            last_successful_time: None,
            successful_runs: 0,
        }
    }
}

/// How far a resource has followed a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowedRun {
    /// The name of the `ModelRefresh`.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid: another one of the same name has runs of its own.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The latest of its runs that was followed; 0 before the first.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub number: i32,
    /// How many successful runs it had, up to that one.
    #[schemars(range(min = 0))]
    pub successful_runs: i64,
    /// Its later successful runs, which wait for a run of this resource each. Absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<QueuedRuns>,
}

/// Successful runs of a refresh that wait to be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedRuns {
    /// The latest of them.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// How many there are.
    #[schemars(range(min = 1))]
    pub count: i64,
}

fn never() -> i64 {
    -1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &i64) -> bool {
    *count == 0
}
